"""What runs share: contact windows, trainings and final models, kept within a bound."""

import io
import os
import platform
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import astuple, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar
from uuid import uuid4
from zipfile import BadZipFile

import numpy as np

import orbit
from learning.files import at_once, read_regular, source_fingerprints
from learning.learner import Learner
from learning.provenance import processor, why_not_cacheable
from learning.values.reuse import NUMBER, TENSORS
from sim.errors import InputError
from sim.files import write_text
from sim.plan.windows import WindowQuery, Windows, find_windows
from sim.trace.digest import json_digest

# The folder, and files in it.


VARIABLE = "LEOMIX_CACHE"
TAG = "CACHEDIR.TAG"
PART = ".part"
"""How files end that are not finished."""
SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"
"""First line of the tag by which backups know a cache (bford.info/cachedir)."""
TEXT = (
    f"{SIGNATURE}\n# Results that leomix keeps between runs; `leomix cache --clear` removes them.\n"
)


def cache_folder() -> Path | None:
    """Return ``$LEOMIX_CACHE``, or ``leomix`` in the user's cache folder; None where it is off."""
    if os.environ.get(VARIABLE, "").lower() == "off":
        return None
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "~/AppData/Local")
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "leomix"


def is_cache(folder: Path) -> bool:
    """Whether ``folder`` holds a cache of leomix."""
    try:
        text = read_regular(folder / TAG).decode()
    except (OSError, ValueError):
        return False
    return text.startswith(SIGNATURE) and "leomix" in text


def may_become_cache(folder: Path) -> bool:
    """Whether ``folder`` is a cache, or there is nothing in it. Raises OSError."""
    # What another process begins to write there at this moment is nothing yet.
    return (
        not folder.exists()
        or all(path.suffix == PART for path in folder.iterdir())
        or is_cache(folder)
    )


# Sealed files: each ends in a checksum of what stands before it, so that a torn one is known.


SEAL = struct.Struct("<6sI")
T = TypeVar("T")


class Shelf:
    """Sealed files in the cache folder ``root``, by name and for many processes at once.

    Trouble with the disk ends the writing, never the run: ``trouble`` then says what it was. A file
    that was read counts as used now. ``read_files`` and ``kept_files`` count by suffix.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.trouble = ""
        self.read_files: Counter[str] = Counter()
        self.kept_files: Counter[str] = Counter()
        self.kept_bytes = 0
        self._ready = False

    def read(self, name: str, unpack: Callable[[bytes], T]) -> T | None:
        """Return what is kept under ``name``; None where nothing is. What is broken is removed."""
        path = self.root / name
        try:
            sealed = read_regular(path)
        except (OSError, ValueError):
            return None
        try:
            if sealed[-SEAL.size :] != _seal(sealed[: -SEAL.size]):
                raise ValueError("torn")
            found = unpack(sealed[: -SEAL.size])
        except (ValueError, KeyError, EOFError, BadZipFile):
            with suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        self.read_files[path.suffix] += 1
        with suppress(OSError):
            os.utime(path)
        return found

    def write(self, name: str, data: bytes) -> None:
        """Keep ``data`` under ``name``, unless there has been trouble."""
        if self.trouble:
            return
        path = self.root / name
        part = path.with_name(f".{uuid4().hex}{PART}")
        try:
            if not self._ready:
                if not may_become_cache(self.root):
                    raise OSError(f"{self.root}: holds other things than a leomix cache")
                self.root.mkdir(parents=True, exist_ok=True)
                if not is_cache(self.root):
                    with at_once(self.root / TAG, uuid4().hex) as tag:
                        tag.write_text(TEXT, encoding="utf-8")
                self._ready = True
            path.parent.mkdir(parents=True, exist_ok=True)
            # No fsync: a file that a crash tears does not fit its seal.
            part.write_bytes(data + _seal(data))
            part.replace(path)
        except OSError as error:
            self.trouble = f"{error.filename or path}: {error.strerror or error}"
            with suppress(OSError):
                part.unlink(missing_ok=True)
        else:
            self.kept_files[path.suffix] += 1
            self.kept_bytes += len(data)


def _seal(data: bytes) -> bytes:
    return SEAL.pack(b"leomix", zlib.crc32(data))


# What a run shares: windows, results of training, models.


class RunCache:
    """Contact windows at once, and learning results as soon as the learner is known.

    ``why_not`` says why this run's learning results are not shared, empty where they are.
    """

    def __init__(self, root: Path) -> None:
        self.shelf = Shelf(root)
        self.windows = WindowCache(self.shelf)
        self.results: Results | None = None
        self.why_not = ""
        self._foreign: set[str] = set()

    @classmethod
    def shared(cls) -> Self | None:
        """Return that of the user's cache folder, None where it is off."""
        folder = cache_folder()
        return None if folder is None else cls(folder)

    def serve(self, learner: Learner) -> None:
        """Let ``learner`` use results of other runs, and keep its own, where that is safe."""
        self._foreign = learner.values.reuse.foreign
        self.why_not = why_not_cacheable(learner.config) if learner.trains else "nothing is trained"
        if not self.why_not:
            context = json_digest(learner.environment())
            self.results = learner.values.cache = Results(self.shelf, context)

    def close(self) -> None:
        """Bring the cache within its bounds, if this run has added to it."""
        shelf = self.shelf
        if files := shelf.kept_files.total():
            added_bytes = shelf.kept_bytes + files * BLOCK_BYTES
            keep_within_bound(shelf.root, added_bytes, BOUND_BYTES)

    @property
    def warnings(self) -> list[str]:
        """What a user should know, at most one line."""
        if not self.shelf.trouble:
            return []
        return [
            f"cache: nothing more is kept ({self.shelf.trouble}); free or name another folder by "
            "LEOMIX_CACHE, or use --no-cache"
        ]

    def figures(self) -> dict[str, Any]:
        """Return, for the manifest, what was read and what was kept."""
        read, kept = self.shelf.read_files, self.shelf.kept_files
        return {
            "why_not": self.why_not or None,
            "not_shared": sorted(self._foreign),
            "contact_windows": self.windows.used,
            "tensors_read": read[TENSORS],
            "numbers_read": read[NUMBER],
            "models_read": read[MODEL],
            "tensors_kept": kept[TENSORS],
            "numbers_kept": kept[NUMBER],
            "kept_bytes": self.shelf.kept_bytes,
            "trouble": self.shelf.trouble or None,
        }


RESULTS_FOLDER = "results"
MODEL = ".model"
LARGEST_BYTES = 2**30
"""Larger values are not kept: they would displace all others."""


class Results:
    """What :class:`learning.values.lazy.Values` asks for, and final models, by kind and key."""

    def __init__(self, shelf: Shelf, context: str) -> None:
        self._shelf = shelf
        self._folder = f"{RESULTS_FOLDER}/{context}"

    def read(self, kind: str, key: str, unpack: Callable[[bytes], T]) -> T | None:
        """Return what is kept; None where nothing is."""
        return self._shelf.read(f"{self._folder}/{key}{kind}", unpack)

    def keep(self, kind: str, key: str, size_bytes: int, pack: Callable[[], bytes]) -> None:
        """Keep the bytes that ``pack`` returns, unless they are too many."""
        if not self._shelf.trouble and size_bytes <= LARGEST_BYTES:
            self._shelf.write(f"{self._folder}/{key}{kind}", pack())


WINDOWS_FOLDER, SUFFIX = "windows", ".windows"
WORTH_KEEPING_S = 0.05
"""Windows that are found sooner are not kept: to read them would take as long."""
LIBRARIES = ("leomix", "numpy", "scipy", "sgp4", "skyfield")
SOURCE = (
    *source_fingerprints(Path(orbit.__file__).parent),
    *source_fingerprints(Path(__file__).parent.parent),
)
ELEMENTS = (
    *("jdsatepoch", "jdsatepochF", "bstar", "ndot", "nddot", "ecco", "argpo", "inclo", "mo"),
    *("no_kozai", "nodeo", "radiusearthkm", "mu", "j2", "j3", "j4"),
)
"""What SGP4 computes a satellite's positions from."""


class WindowCache:
    """Windows of this process, and of all runs if there is a shelf.

    ``used`` says what came of the last query that was new here: found or read.
    """

    def __init__(self, shelf: Shelf | None) -> None:
        self._shelf = shelf
        self._known: dict[str, Windows] = {}
        self.used: str | None = None

    def find(self, query: WindowQuery) -> Windows:
        """Return what ``find_windows`` returns, or has returned for the same query."""
        name, shelf = f"{WINDOWS_FOLDER}/{key_of(query)}{SUFFIX}", self._shelf
        if name in self._known:
            return self._known[name]
        windows = None if shelf is None else shelf.read(name, _unpacked)
        self.used = "found" if windows is None else "read"
        if windows is None:
            began = time.perf_counter()
            windows = find_windows(query)
            if shelf is not None and time.perf_counter() - began > WORTH_KEEPING_S:
                shelf.write(name, _packed(*windows))
        return self._known.setdefault(name, windows)


def key_of(query: WindowQuery) -> str:
    """Digest what windows are found from, the program that finds them, and its machine."""
    elements = [[getattr(s.model, name) for name in ELEMENTS] for s in query.satellites]
    decisive = {
        "names": [[s.name, s.norad_id, s.model.operationmode] for s in query.satellites],
        "sites": [astuple(site) for site in query.sites],
        "span": [query.start.isoformat(), query.end.isoformat()],
        "mask": query.min_elevation_deg,
        "source": SOURCE,
        "versions": [version(name) for name in LIBRARIES],
        "machine": [platform.system(), platform.machine(), *processor()],
    }
    return json_digest(decisive, binary=np.array(elements, np.float64).tobytes())


def _packed(windows: orbit.ContactWindows, failures: tuple[str, ...]) -> bytes:
    columns: dict[str, Any] = {c.name: getattr(windows, c.name) for c in fields(windows)}
    file = io.BytesIO()
    np.savez(file, failures=np.array(failures, np.str_), **columns)
    return file.getvalue()


def _unpacked(data: bytes) -> Windows:
    with np.load(io.BytesIO(data), allow_pickle=False) as kept:
        columns = {c.name: kept[c.name] for c in fields(orbit.ContactWindows)}
        return orbit.ContactWindows(**columns), tuple(kept["failures"].tolist())


# What lies in the cache, and how it is kept within bounds.


BOUND_BYTES = 5 * 2**30
"""How large the cache may be when a run ends."""
LEFT_BY_TRIMMING = 0.9
"""Share of the bound that is left when it was reached, so that the next runs need not trim."""
TALLY = "size"
"""File with the size of the cache when a run last ended, in bytes."""
KINDS = {TENSORS: "trainings", NUMBER: "numbers", MODEL: "models", SUFFIX: "contact windows"}
BLOCK_BYTES = 4096
STRAY_S = 3600.0
"""Age from which a file that was never finished belongs to no process any more."""


class Entry(NamedTuple):
    """One file: what it takes of the disk, and when it was last used (Unix time, s)."""

    path: Path
    size_bytes: int
    used_s: float


def entries(root: Path) -> Iterator[Entry]:
    """Yield all files of the cache, those too that were never finished."""
    for part in (RESULTS_FOLDER, WINDOWS_FOLDER):
        for folder, _, names in os.walk(root / part):
            for name in names:
                path = Path(folder, name)
                if path.suffix not in KINDS and path.suffix != PART:
                    continue
                with suppress(OSError):  # another process may be tidying up
                    stat = path.stat()
                    size = -(-stat.st_size // BLOCK_BYTES) * BLOCK_BYTES
                    yield Entry(path, size, stat.st_mtime)


def contents(root: Path) -> dict[str, Any]:
    """Return entries, bytes and last use (Unix time) by kind; InputError for what is no cache."""
    if root.exists() and not root.is_dir():
        raise InputError(f"{root}: is no folder; let {VARIABLE} name one")
    if not may_become_cache(root):
        raise InputError(
            f"{root}: is no leomix cache (it has no {TAG} of it); let {VARIABLE} name one that is, "
            "or a new folder"
        )
    kinds: dict[str, dict[str, Any]] = {
        kind: {"entries": 0, "bytes": 0, "last_used_s": None} for kind in KINDS.values()
    }
    for entry in entries(root):
        if entry.path.suffix != PART:
            row = kinds[KINDS[entry.path.suffix]]
            row["entries"] += 1
            row["bytes"] += entry.size_bytes
            row["last_used_s"] = max(entry.used_s, row["last_used_s"] or 0.0)
    size = sum(row["bytes"] for row in kinds.values())
    return {"folder": str(root), "bytes": size, "bound_bytes": BOUND_BYTES, "kinds": kinds}


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
    kept, now = [], time.time()
    for entry in entries(root):
        if entry.path.suffix != PART:
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


def clear_cache(root: Path) -> dict[str, Any]:
    """Remove all that is the cache's and return what that was; InputError for what is no cache."""
    before = contents(root)
    for entry in list(entries(root)):
        entry.path.unlink(missing_ok=True)
    if is_cache(root):
        for part in (RESULTS_FOLDER, WINDOWS_FOLDER):
            for folder, _, _ in os.walk(root / part, topdown=False):
                with suppress(OSError):  # what is not ours stays, and so does its folder
                    Path(folder).rmdir()
        for name in (TALLY, TAG):
            (root / name).unlink(missing_ok=True)
        with suppress(OSError):
            root.rmdir()
    return before


def _remove(path: Path) -> None:
    """Remove a file, and its folder if it was the last one there."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
        path.parent.rmdir()
