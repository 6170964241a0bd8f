"""Reading of files: regular files only, and text whose errors name the line."""

import errno
import json
import os
import stat
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from os import PathLike, fspath

from orbit.checks import BrokenFile

# Bounds that no file of a user comes near.
LONGEST_ROW = 16_384
"""Characters of a table's row, or of one entry of elements."""
MOST_ROWS = 1_000_000
"""Rows of a table."""
MOST_LINES = 5_000_000
"""Lines of any text."""


_BEGIN = 64
"""Bytes by which an encoding is known."""
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "a zip archive (or a spreadsheet: save that as CSV)",
    b"\xfd7zXZ\0": "xz",
    **{b"BZh%d1AY&SY" % level: "bzip2" for level in range(1, 10)},
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
}
"""How files begin that are packed."""


class TableError(BrokenFile):
    """A CSV that cannot be used; the message is `file:line: what is wrong; how to mend it`."""


def read_text(path: str | PathLike[str]) -> str:
    """Text of a UTF-8 file; TableError if it is not one, OSError if it cannot be read."""
    data = read_bytes(path, TableError)
    if b"\0" in data and not _is_utf_16(data):
        raise TableError(
            f"{fspath(path)}:1: a binary file, and only CSV is read; save the table as CSV in UTF-8"
        )
    return decoded(data, path, TableError, "save the table as CSV in UTF-8")


def no_json(error: Exception, text: str) -> str:
    """What is wrong with JSON, and how to mend it, by the error that reading it raised."""
    if not isinstance(error, json.JSONDecodeError):
        return f"JSON that cannot be read: {error}; get the file again from its source"
    if error.msg == "Extra data" and text.startswith(("{", "["), error.pos):
        return "JSON lines, a value in each line; put them into one list: [..., ...]"
    where = f"line {error.lineno}, column {error.colno}"
    return f"broken JSON at {where}: {error.msg}; get the file again from its source"


def lines_of(text: str) -> Iterator[str]:
    """As `str.splitlines`, but without a list of all lines in memory."""
    at = 0
    while at < len(text):
        end = text.find("\n", at + (1 << 16)) + 1 or len(text)
        yield from text[at:end].splitlines()
        at = end


LARGEST_BYTES = 100_000_000
"""Elements of all catalogued objects as XML are half of it."""


def read_bytes(path: str | PathLike[str], error: type[ValueError]) -> bytes:
    """All bytes of a regular file of at most `LARGEST_BYTES`.

    Whatever else a name may lead to is never opened: a pipe would wait for ever, a device may have
    no end. Raises `error` for that and for larger files, OSError when the file cannot be read.
    """
    name = fspath(path)
    if "\0" in name:
        raise error(f"{name!r}: is no path; name a file")
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if not stat.S_ISREG(mode):
        raise error(f"{name}: is a pipe or a device; name a regular file")
    with open(path, "rb") as file:
        try:
            data = file.read(LARGEST_BYTES + 1)
        except OSError as why:  # which names no file
            raise error(
                f"{name}: cannot be read ({why.strerror}); check the disk, or name another file"
            ) from None
    if packed := next((form for begin, form in _PACKED.items() if data.startswith(begin)), None):
        raise error(f"{name}:1: is {packed} instead of text; unpack it, and name what is inside")
    if len(data) > LARGEST_BYTES:
        raise error(f"{name}: is larger than {LARGEST_BYTES / 1e6:.0f} MB; give a part of it")
    return data


def decoded(data: bytes, path: str | PathLike[str], error: type[ValueError], remedy: str) -> str:
    """Text of a file's bytes; raises `error` when they are not UTF-8."""
    if _is_utf_16(data):
        raise error(f"{fspath(path)}:1: not UTF-8 text, but UTF-16; save it as UTF-8")
    data = data.removeprefix(BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as wrong:
        line = len(data[: wrong.start + 1].splitlines())
        raise error(
            f"{fspath(path)}:{line}: not UTF-8 text ({wrong.reason} at byte {wrong.start}); "
            f"{remedy}"
        ) from None


def _is_utf_16(data: bytes) -> bool:
    """Whether bytes begin as text of UTF-16 does, which says so or has a zero by each letter."""
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return True
    begin = data[:_BEGIN]
    halves = begin[::2], begin[1::2]
    return any(
        len(zeros) > 1 and not zeros.strip(b"\0") and b"\0" not in letters
        for zeros, letters in (halves, halves[::-1])
    )
