"""The folder of what runs share: where it is, how it is known to be of leomix, and its files.

These are sealed: each ends in a checksum of what stands before it, so that a torn one is known.
Each is of one of the ``KEPT``, and stands in a namespace: a folder of keys.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from uuid import uuid4
from zipfile import BadZipFile

from learning.files import at_once, check_regular, read_regular, read_sealed, write_sealed
from learning.values.replies import REPLY
from learning.values.reuse import NUMBER, TENSORS

VARIABLE = "LEOMIX_CACHE"
TAG = "CACHEDIR.TAG"
PART = ".part"
"""How files end that are not finished."""
SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"
"""First line of the tag by which backups know a cache (bford.info/cachedir)."""
TEXT = f"{SIGNATURE}\n# Results that leomix keeps between runs: the folder may be deleted.\n"

MODEL, WINDOWS = ".model", ".windows"
KEPT = (TENSORS, NUMBER, REPLY, MODEL, WINDOWS)
"""How files end of what is kept: nothing else is counted or trimmed."""
RESULTS_FOLDER, WINDOWS_FOLDER = "results", "windows"
FOLDERS = (RESULTS_FOLDER, WINDOWS_FOLDER)
"""The folders of all namespaces."""
LARGEST_BYTES = 2**30
"""Larger values are not kept: they would displace all others."""


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
            write_sealed(part, data)  # not synced
            part.replace(path)
        except OSError as error:
            self.trouble = f"{error.filename or path}: {error.strerror or error}"
            with suppress(OSError):
                part.unlink(missing_ok=True)
        else:
            self.kept_files[path.suffix] += 1
            self.kept_bytes += len(data)


class Namespace:
    """Values on a shelf by kind and key, in one folder: what is named alike elsewhere is another.

    :class:`learning.values.lazy.Values` and :class:`~learning.values.replies.Replies` ask for it.
    """

    def __init__(self, shelf: Shelf, *folders: str) -> None:
        if folders[0] not in FOLDERS:
            raise ValueError(f"{folders[0]!r} is no folder of a shelf")
        self._shelf = shelf
        self._folder = "/".join(folders)

    def read(self, kind: str, key: str, unpack: Callable[[bytes], T]) -> T | None:
        """Return what is kept; None where nothing is."""
        return self._shelf.read(self._name(kind, key), unpack)

    def keep(self, kind: str, key: str, size_bytes: int, pack: Callable[[], bytes]) -> None:
        """Keep the bytes that ``pack`` returns, unless they are too many."""
        if not self._shelf.trouble and size_bytes <= LARGEST_BYTES:
            self._shelf.write(self._name(kind, key), pack())

    def _name(self, kind: str, key: str) -> str:
        if kind not in KEPT:
            raise ValueError(f"{kind!r} is no kind of what a shelf keeps")
        return f"{self._folder}/{key}{kind}"
