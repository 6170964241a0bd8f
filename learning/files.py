"""Files: written atomically, read only if regular and bounded, and fingerprinted."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from statements import Code, Place, Refused, Statement

HUB = "hub:"
"""What the name of something begins with that is to be downloaded from the Hugging Face hub."""
NO_SYNC = (errno.EINVAL, errno.ENOTSUP)
"""Errors of file systems that cannot sync a folder."""


@contextmanager
def at_once(path: Path, own: str = "", *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; the file written there is renamed to it at the end.

    Its bytes are synced to the disk before that, and unless ``durable`` is False the new name is
    after it. Processes that may write the same file at the same time have an ``own`` word each.
    Raises OSError; a file that was there before then stays.
    """
    part = path.with_name(".".join(["", path.name, *([own] if own else []), "part"]))
    if part.is_symlink() and (part.is_file() or not part.exists()):
        part.unlink()  # it would have this written to another file
    try:
        yield part
        _sync(part)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Sync the names in ``folder`` to the disk, where the system can do that."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        _sync(folder)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write ``data`` to ``path`` at once."""
    with at_once(path, durable=durable) as part:
        part.write_bytes(data)


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Give a file a second name, or copy it where the file system has no links.

    Only for files that nobody changes in place.
    """
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


SEAL = struct.Struct("<6sI")
"""The end of a sealed file: a word, and the CRC-32 of what stands before it."""
WORD = b"leomix"
CHUNK_BYTES = 1 << 24


def write_sealed(path: Path, data: bytes) -> None:
    """Write ``data`` and its seal to ``path``; a file that a crash tears does not fit its seal."""
    with path.open("wb") as file:
        file.write(data)
        file.write(SEAL.pack(WORD, zlib.crc32(data)))


def read_sealed(path: Path) -> bytes:
    """Return what :func:`write_sealed` wrote; errors as of :func:`read_regular`.

    Raises :class:`ValueError` for a file that has changed since, or was cut short.
    """
    size = check_regular(path) - SEAL.size
    with path.open("rb") as file:
        data = file.read(max(size, 0))
        if file.read() != SEAL.pack(WORD, zlib.crc32(data)):
            raise ValueError("it has changed since it was written, or was cut short")
    return data


def checksum(data: bytes) -> str:
    """Return the CRC-32 of ``data`` in 8 hexadecimal digits."""
    return f"{zlib.crc32(data):08x}"


def checksum_of(path: Path) -> str:
    """Return the :func:`checksum` of a regular file; errors as of :func:`check_regular`."""
    check_regular(path)
    code = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            code = zlib.crc32(chunk, code)
    return f"{code:08x}"


def is_stray(name: str) -> bool:
    """Whether a file of this name was being written when its process ended."""
    return name.startswith(".") and name.endswith(".part")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Files that others may have written, checked before they are opened or parsed.


LARGEST_JSON_BYTES = 100_000_000
"""A tokenizer with a vocabulary of a million tokens has less."""
JSON_BYTES = {b"[": 64, b"{": 240, b'"': 32}
"""Memory for each list, each object, and each end of a text, when JSON is read."""
JSON_TIMES, SPARE_BYTES = 8, 20_000_000
"""How many times its size a file may take in memory; journals take five times theirs."""


PERMISSION = "get the permission for it from its owner (chmod)"
"""What helps where a file is not for everybody."""


def broken(path: str | Path, what: str) -> Refused:
    """Return the error of a file that is not what it should be."""
    return Refused(Statement(Code.BROKEN_FILE, (), what), Place(file=str(path)))


def check_regular(path: str | Path) -> int:
    """Return the bytes of a regular file.

    Raises :class:`ValueError` for a pipe, which may block for ever, a device, which may have no
    end, and a folder, and :class:`OSError` for a missing file.
    """
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe or a device"
        raise broken(path, f"is {kind}; name a regular file")
    return found.st_size


def check_size(path: str | Path, most: int) -> None:
    """Raise :class:`ValueError` unless it is a regular file of at most ``most`` bytes."""
    size = check_regular(path)
    if size > most:
        raise broken(path, f"has {size} bytes; at most {most} are read")


def read_regular(path: Path) -> bytes:
    """Return the bytes of a regular file; errors as of :func:`check_regular`.

    Raises :class:`ValueError` for one that fails while it is read, too.
    """
    check_regular(path)
    with path.open("rb") as file:
        try:
            return file.read()
        except OSError as error:  # which names no file
            raise broken(path, f"cannot be read ({error.strerror})") from None


def read_object(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file; raise :class:`ValueError` for anything else, in one line.

    Raises :class:`OSError` for a file that cannot be read.
    """
    check_size(path, LARGEST_JSON_BYTES)
    data = path.read_bytes()
    needed = sum(data.count(mark) * size for mark, size in JSON_BYTES.items())
    if needed > JSON_TIMES * len(data) + SPARE_BYTES:
        raise broken(path, "not JSON of leomix (too many lists and objects for its size)")
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise broken(path, f"not JSON ({error})") from None
    if not isinstance(value, dict):
        raise broken(path, "should be a JSON object")
    return value


# Safetensors files of others: the header is bounded before the library parses it.


LARGEST_HEADER_BYTES = 10_000_000
MOST_TENSORS = 100_000
"""The largest published mixtures have some ten thousand tensors a file."""
LENGTH_BYTES = 8
ENTRY = b'"data_offsets"'
"""A key that a header has once per tensor."""


def open_tensors(path: Path) -> Any:
    """Open a file of tensors, each of which is read on demand.

    The library itself checks that types, shapes and offsets agree with each other and with the
    file's size. Raises :class:`ValueError` that names the file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        size = check_regular(path)
        with path.open("rb") as file:
            _check_header(file, size)
        return safe_open(str(path), framework="pt")
    except PermissionError as error:
        raise broken(path, f"cannot be read ({error.strerror}); {PERMISSION}") from None
    except (SafetensorError, OSError, ValueError) as error:
        text = "broken" if path.exists() else "missing"
        raise ValueError(f"{path}: is {text} ({error}); copy it once more") from None


def check_header(data: bytes) -> None:
    """Raise :class:`ValueError` for a file's bytes with too long a header or too many tensors."""
    _check_header(BytesIO(data), len(data))


def _check_header(file: BinaryIO, size: int) -> None:
    length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    if length > min(LARGEST_HEADER_BYTES, max(size - LENGTH_BYTES, 0)):
        raise ValueError(
            f"its header would have {length} bytes, where the file has {size} and at most "
            f"{LARGEST_HEADER_BYTES} are read"
        )
    tensors = file.read(length).count(ENTRY)
    if tensors > MOST_TENSORS:
        raise ValueError(f"it has {tensors} tensors; at most {MOST_TENSORS} are read")


# Fingerprints, by which a result is known to come from files that have not changed since.


Fingerprint = tuple[str, int, int]
"""Path, bytes and time of the last change, ns, of a file."""
Fingerprints = tuple[Fingerprint, ...]

MOST_ENTRIES = 200_000
"""Most files and folders in a folder of data or weights; more are half a disk, named by mistake."""


def files_under(name: str) -> list[Path]:
    """Return the file of that name, or all files in the folder of that name, sorted.

    Raises ValueError for a folder with very many.
    """
    path = Path(name)
    if path.is_file():
        return [path]
    found: list[Path] = []
    seen: set[Path] = set()
    entries = 0
    for folder, inner, names in os.walk(path, followlinks=True):
        entries += len(inner) + len(names)
        if entries > MOST_ENTRIES:
            raise ValueError(f"{name}: holds more than {MOST_ENTRIES} files; name a smaller folder")
        inner[:] = [one for one in inner if _is_new(Path(folder, one), seen)]
        found += [file for one in names if (file := Path(folder, one)).is_file()]
    return sorted(found)


def _is_new(folder: Path, seen: set[Path]) -> bool:
    """Whether a folder, perhaps reached by a link, has not been visited before."""
    real = folder.resolve()
    if real in seen:
        return False
    seen.add(real)
    return True


def fingerprints_under(names: Iterable[str]) -> Fingerprints:
    """Return the fingerprints of all files of these names, or in folders of these names."""
    return tuple(fingerprint(str(file)) for name in names for file in files_under(name))


def source_fingerprints(package: Path) -> Fingerprints:
    """Return the fingerprints of all Python files under ``package``, by their paths there."""
    paths = (os.path.join(folder, name) for folder, _, names in os.walk(package) for name in names)
    seen = (fingerprint(path) for path in paths if path.endswith(".py"))
    return tuple(sorted((os.path.relpath(path, package), size, ns) for path, size, ns in seen))


def fingerprint(path: str) -> Fingerprint:
    """Return the fingerprint of a file; raise OSError where it is missing."""
    found = os.stat(path)
    return path, found.st_size, found.st_mtime_ns


SOURCE = source_fingerprints(Path(__file__).parent)
"""This package's source files as they were when the program began."""
