"""Contact windows by what they are found from."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import time
from dataclasses import astuple, fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

import orbit
from learning.files import source_stamps
from learning.provenance import processor
from sim.finding import Found, Sought, find

if TYPE_CHECKING:
    from sim.cache.shelf import Shelf

FOLDER, SUFFIX = "windows", ".windows"
WORTH_KEEPING_S = 0.05
"""Finding that takes less is done again: keeping and reading are no quicker."""
LIBRARIES = ("leomix", "numpy", "scipy", "sgp4", "skyfield")
SOURCE = (*source_stamps(Path(orbit.__file__).parent), *source_stamps(Path(__file__).parent.parent))
ELEMENTS = (
    *("jdsatepoch", "jdsatepochF", "bstar", "ndot", "nddot", "ecco", "argpo", "inclo", "mo"),
    *("no_kozai", "nodeo", "radiusearthkm", "mu", "j2", "j3", "j4"),
)
"""What SGP4 computes a satellite's positions from."""


class WindowCache:
    """Windows of all runs; ``used`` says what came of the last question: found or read."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.used: str | None = None

    def find(self, sought: Sought) -> Found:
        """Return what :func:`sim.finding.find` returns, or has returned for the same."""
        name = f"{FOLDER}/{key_of(sought)}{SUFFIX}"
        known = self._read(name)
        self.used = "found" if known is None else "read"
        if known is not None:
            return known
        began = time.perf_counter()
        found = find(sought)
        if time.perf_counter() - began > WORTH_KEEPING_S:
            self._shelf.write(name, _packed(*found))
        return found

    def _read(self, name: str) -> Found | None:
        data = self._shelf.read(name)
        try:
            return None if data is None else _unpacked(data)
        except (ValueError, KeyError, EOFError, BadZipFile):
            self._shelf.remove(name)
            return None


def key_of(sought: Sought) -> str:
    """Digest what windows are found from, the program that finds them, and its machine."""
    elements = [[getattr(s.model, name) for name in ELEMENTS] for s in sought.satellites]
    said = {
        "names": [[s.name, s.norad_id, s.model.operationmode] for s in sought.satellites],
        "sites": [astuple(site) for site in sought.sites],
        "span": [sought.start.isoformat(), sought.end.isoformat()],
        "mask": sought.min_elevation_deg,
        "source": SOURCE,
        "versions": [version(name) for name in LIBRARIES],
        "machine": [platform.system(), platform.machine(), *processor()],
    }
    digest = hashlib.blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=16)
    digest.update(np.array(elements, np.float64).tobytes())
    return digest.hexdigest()


def _packed(windows: orbit.ContactWindows, failures: tuple[str, ...]) -> bytes:
    columns: dict[str, Any] = {c.name: getattr(windows, c.name) for c in fields(windows)}
    file = io.BytesIO()
    np.savez(file, failures=np.array(failures, np.str_), **columns)
    return file.getvalue()


def _unpacked(data: bytes) -> Found:
    with np.load(io.BytesIO(data), allow_pickle=False) as kept:
        columns = {c.name: kept[c.name] for c in fields(orbit.ContactWindows)}
        return orbit.ContactWindows(**columns), tuple(kept["failures"].tolist())
