"""Reading of files: regular files only, and CSV whose errors name the line."""

import csv
import errno
import os
import stat
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from io import StringIO
from itertools import chain, islice
from math import isfinite, nan
from os import PathLike, fspath

from orbit.checks import shown

# Bounds that no file of a user comes near.
LONGEST_ROW = 16_384
"""Characters of a table's row, or of one entry of elements."""
MOST_ROWS = 1_000_000
"""Rows of a table."""
MOST_LINES = 5_000_000
"""Lines of any text."""


_BEGIN = 64
"""Bytes by which an encoding is known."""


class TableError(ValueError):
    """A CSV that cannot be used; the message is `file:line: what is wrong; how to mend it`."""


@dataclass(frozen=True)
class _Line:
    source: str
    line: int

    def error(self, message: str) -> TableError:
        """The error to raise for this line."""
        return TableError(f"{self.source}:{self.line}: {message}")


@dataclass(frozen=True)
class Row(_Line):
    """The cells of a row (without blanks around them) by column."""

    cells: dict[str, str]

    def name(self, column: str) -> str:
        """A cell that must say something."""
        if not self.cells[column]:
            raise self.error(f"{column} is empty; give a name, or leave the whole column out")
        if not self.cells[column].isprintable():
            text = f"{self.cells[column]!r:.60}"
            raise self.error(f"{column} {text} has characters that cannot be shown; retype it")
        return self.cells[column]

    def number(self, column: str) -> float:
        """A finite number."""
        text = self.cells[column]
        try:
            value = float(text)
        except ValueError:
            value = nan
        if not isfinite(value) or "_" in text:
            raise self.error(f"{column} {shown(text)} is not a number; give one such as 12.5")
        return value


@dataclass(frozen=True)
class Table(_Line):
    """A header line with its columns, and the rows below it (at least one), read on demand."""

    columns: tuple[str, ...]
    rows: Iterator[Row]


def read_text(path: str | PathLike[str]) -> str:
    """Text of a UTF-8 file; TableError if it is not one, OSError if it cannot be read."""
    data = read_bytes(path, TableError)
    if b"\0" in data and not _is_utf_16(data):
        raise TableError(
            f"{fspath(path)}:1: a binary file, and only CSV is read; save the table as CSV in UTF-8"
        )
    return decoded(data, path, TableError, "save the table as CSV in UTF-8")


def parse_table(text: str, source: str, most_rows: int = MOST_ROWS) -> Table:
    """Read comma-separated text (RFC 4180) with a header; blank lines and # comments are skipped.

    Raises TableError for a broken quotation, no row, a column twice, or a row of another length;
    its rows do for one that is too long, and behind `most_rows`.
    """
    records = _records(text.removeprefix("\ufeff"), source, most_rows)
    line, cells = next(records, (1, []))
    if len(cells) == 1 and (";" in cells[0] or "\t" in cells[0]):
        raise TableError(
            f"{source}:{line}: columns are not separated by commas; save the table with commas"
        )
    # A header may be broken into lines inside its quotation marks.
    header = [" ".join(cell.split()) for cell in cells]
    rows = (_row(source, number, header, record) for number, record in records)
    first = list(islice(rows, 1))
    table = Table(source, line, tuple(header), chain(first, rows))
    twice = next((name for name, times in Counter(header).items() if times > 1), None)
    if twice is not None:
        raise table.error(f"column {shown(twice)} comes twice; keep one of them")
    if not first:
        raise table.error("no rows found; give a header line and one row or more below it")
    return table


def near(name: str, names: Iterable[str]) -> str:
    """Suggest the nearest of `names`, or list them all."""
    known = {known.lower(): known for known in names}
    found = get_close_matches(name.lower(), known, n=1)
    if found:
        return f"did you mean {shown(known[found[0]])}?"
    return f"there are {', '.join(map(repr, known.values()))}"


def _records(text: str, source: str, most_rows: int) -> Iterator[tuple[int, list[str]]]:
    if text.count("\n") + text.count("\r") > MOST_LINES:
        raise TableError(f"{source}:1: more than {MOST_LINES} lines; give a part of it")
    try:
        for count, (line, cells) in enumerate(csv_rows(text)):
            if count > most_rows:
                raise TableError(f"{source}:{line}: more than {most_rows} rows; give a part of it")
            yield line, cells
    except BrokenCsv as broken:
        remedy = "check the quotation marks of this row"
        raise TableError(f"{source}:{broken.line}: {broken}; {remedy}") from None


class BrokenCsv(ValueError):
    """What is wrong with comma-separated text, and in which line."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.line = line


def csv_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Line and cells (without blanks around them) of rows that are neither blank nor # comments.

    Raises BrokenCsv for a quotation that does not end, or a row that is too long.
    """
    length = 0

    def lines() -> Iterator[str]:
        nonlocal length
        for line in StringIO(text, newline=""):
            is_comment = line.lstrip().startswith("#")
            length += 1 if is_comment else len(line)
            if length > LONGEST_ROW:
                raise csv.Error(f"a row of more than {LONGEST_ROW} characters")
            yield "\n" if is_comment else line

    reader = csv.reader(lines(), strict=True, skipinitialspace=True)
    try:
        for record in reader:
            length = 0
            cells = [cell.strip() for cell in record]
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise BrokenCsv(str(error), reader.line_num) from None


def _row(source: str, line: int, header: list[str], cells: list[str]) -> Row:
    row = Row(source, line, dict(zip(header, cells, strict=False)))
    if len(cells) != len(header):
        raise row.error(
            f"cells in the row: {len(cells)}, in the header: {len(header)}; "
            "give every column its cell, empty if need be"
        )
    return row


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
