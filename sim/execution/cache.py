"""The folder of what runs share: where it is, how its files are read and kept, and its bound.

A file is sealed: it ends in a checksum of what stands before it, so that a torn one is known. It
stands in one of the ``FOLDERS``, in a namespace of its own, by a key and a kind (``KEY.KIND``).
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar
from uuid import uuid4
from zipfile import BadZipFile

from learning.files import at_once, check_regular, read_regular, read_sealed, write_sealed
from sim.errors import InputError
from sim.files import write_text
from statements import Code

VARIABLE = "LEOMIX_CACHE"
TAG = "CACHEDIR.TAG"
SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"
"""First line of the tag by which backups know a cache (bford.info/cachedir)."""
TEXT = f"{SIGNATURE}\n# Results that leomix keeps between runs: the folder may be deleted.\n"
RESULTS, WINDOWS = "results", "windows"
FOLDERS = (RESULTS, WINDOWS)
"""The folders of all that is kept: nothing else is counted or removed."""
PART_SUFFIX = ".part"
"""How files end that are not finished."""
STRAY_S = 3600.0
"""Age from which a file that was never finished belongs to no process any more."""
LARGEST_BYTES = 2**30
"""Larger values are not kept: they would displace all others."""
BOUND_BYTES = 5 * 2**30
"""How large the cache may be when a run ends."""
LEFT_BY_TRIMMING = 0.9
"""Share of the bound that is left when it was reached, so that the next runs need not trim."""
TALLY = "size"
"""File with the size of the cache when a run last ended, in bytes."""
BLOCK_BYTES = 4096

T = TypeVar("T")


def cache_folder() -> Path | None:
    """Return ``$LEOMIX_CACHE``, or ``leomix`` in the user's cache folder; None where it is off."""
    if os.environ.get(VARIABLE, "").lower() == "off":
        return None
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser().absolute()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "~/AppData/Local")
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "leomix"


class Cache:
    """Sealed files in the cache folder ``root``, by name and for many processes at once.

    Trouble with the disk ends the writing, never the run: ``trouble`` then says what it was. A file
    that was read counts as used now. ``read_files`` and ``kept_files`` count by kind.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.trouble = ""
        self.read_files: Counter[str] = Counter()
        self.kept_files: Counter[str] = Counter()
        self.kept_bytes = 0
        self._is_tagged = False

    def read(self, name: str, unpack: Callable[[bytes], T]) -> T | None:
        """Return what is kept under ``name``; None where nothing is. What is broken is removed."""
        path = self.root / name
        try:
            check_regular(path)
        except (OSError, ValueError):
            return None
        try:
            found = unpack(read_sealed(path))
        except OSError:
            return None
        except (ValueError, KeyError, EOFError, BadZipFile):
            with suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        self.read_files[path.suffix] += 1
        with suppress(OSError):
            os.utime(path)
        return found

    def keep(self, name: str, size_bytes: int, pack: Callable[[], bytes]) -> None:
        """Keep what ``pack`` returns, unless it is too much, or there has been trouble."""
        if self.trouble or size_bytes > LARGEST_BYTES:
            return
        data = pack()
        path = self.root / name
        part = path.with_name(f".{uuid4().hex}{PART_SUFFIX}")
        try:
            self._tag()
            path.parent.mkdir(parents=True, exist_ok=True)
            write_sealed(part, data)  # not synced
            part.replace(path)
        except OSError as error:
            self.trouble = f"{error.filename or path}: {error.strerror or error}"
            with suppress(OSError):
                part.unlink(missing_ok=True)
        else:
            self.kept_files[path.suffix] += 1
            self.kept_bytes += len(data)

    def close(self) -> None:
        """Bring the folder within its bound, if anything was added to it."""
        if files := self.kept_files.total():
            added_bytes = self.kept_bytes + files * BLOCK_BYTES
            keep_within_bound(self.root, added_bytes, BOUND_BYTES)

    def _tag(self) -> None:
        """Make the folder a cache, unless it is one; raise OSError where it is something else."""
        if self._is_tagged:
            return
        if not _may_become_cache(self.root):
            raise OSError(f"{self.root}: holds other things than a leomix cache")
        self.root.mkdir(parents=True, exist_ok=True)
        if not _is_cache(self.root):
            with at_once(self.root / TAG, uuid4().hex) as tag:
                tag.write_text(TEXT, encoding="utf-8")
        self._is_tagged = True


class Namespace:
    """What is kept in one folder of a cache: what is named alike elsewhere is another.

    :class:`learning.values.lazy.Values` and :class:`~learning.own.replies.Replies` ask for it.
    """

    def __init__(self, cache: Cache, *folders: str) -> None:
        if folders[0] not in FOLDERS:
            raise ValueError(f"{folders[0]!r} is no folder of a cache")
        self._cache = cache
        self._folder = "/".join(folders)

    def read(self, name: str, unpack: Callable[[bytes], T]) -> T | None:
        """Return what is kept; None where nothing is."""
        return self._cache.read(f"{self._folder}/{name}", unpack)

    def keep(self, name: str, size_bytes: int, pack: Callable[[], bytes]) -> None:
        """Keep the bytes that ``pack`` returns, unless they are too many."""
        self._cache.keep(f"{self._folder}/{name}", size_bytes, pack)


def _is_cache(folder: Path) -> bool:
    """Whether ``folder`` holds a cache of leomix."""
    try:
        text = read_regular(folder / TAG).decode()
    except (OSError, ValueError):
        return False
    return text.startswith(SIGNATURE) and "leomix" in text


def _may_become_cache(folder: Path) -> bool:
    """Whether ``folder`` is a cache, or there is nothing in it. Raises OSError."""
    # What another process begins to write there at this moment is nothing yet.
    return (
        not folder.exists()
        or all(path.suffix == PART_SUFFIX for path in folder.iterdir())
        or _is_cache(folder)
    )


# Its size, and how it is kept within its bound.


class _Entry(NamedTuple):
    """One file: what it takes of the disk, and when it was last used (Unix time, s)."""

    path: Path
    size_bytes: int
    used_s: float


def _entries(root: Path) -> Iterator[_Entry]:
    """Yield all files of the cache, those too that were never finished."""
    for part in FOLDERS:
        for folder, _, names in os.walk(root / part):
            for name in names:
                path = Path(folder, name)
                with suppress(OSError):  # another process may be tidying up
                    stat = path.stat()
                    size = -(-stat.st_size // BLOCK_BYTES) * BLOCK_BYTES
                    yield _Entry(path, size, stat.st_mtime)


def size_bytes(root: Path) -> int:
    """Return what the cache takes of the disk; InputError for what is no cache."""
    if root.exists() and not root.is_dir():
        raise InputError.of_file(root, Code.WRONG_FILE, "is no folder", f"let {VARIABLE} name one")
    if not _may_become_cache(root):
        raise InputError.of_file(
            root,
            Code.WRONG_FILE,
            f"is no leomix cache (it has no {TAG} of it)",
            f"let {VARIABLE} name one that is, or a new folder",
        )
    return sum(entry.size_bytes for entry in _entries(root) if entry.path.suffix != PART_SUFFIX)


def keep_within_bound(root: Path, added_bytes: int, bound_bytes: int) -> None:
    """Trim the cache where, with what was added now, it has outgrown its bound.

    The size is kept in a tally, since reading every file's size takes long where there are many.
    Runs that end at the same moment may miss each other's part; the next trimming corrects it.
    """
    try:
        size = int(read_regular(root / TALLY)) + added_bytes
    except (OSError, ValueError):
        size = bound_bytes + 1  # it is not known
    if size > bound_bytes:
        size = trim(root, int(LEFT_BY_TRIMMING * bound_bytes))
    with suppress(OSError):
        write_text(root / TALLY, str(size))


def trim(root: Path, bound_bytes: int) -> int:
    """Remove what was used longest ago until the rest is within the bound; return its bytes."""
    kept = []
    now = time.time()
    for entry in _entries(root):
        if entry.path.suffix != PART_SUFFIX:
            kept.append(entry)
        elif now - entry.used_s > STRAY_S:
            _remove(entry.path)
    size = sum(entry.size_bytes for entry in kept)
    for entry in sorted(kept, key=lambda entry: entry.used_s):
        if size <= bound_bytes:
            break
        _remove(entry.path)
        size -= entry.size_bytes
    return size


def _remove(path: Path) -> None:
    """Remove a file, and its folder if it was the last one there."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
        path.parent.rmdir()
