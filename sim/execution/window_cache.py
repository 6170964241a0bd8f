"""Contact windows, found once for all runs that ask for the same ones."""

import io
import platform
import time
from dataclasses import astuple, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import orbit
from learning.files import source_fingerprints
from learning.provenance import processor
from sim.execution.cache import WINDOWS, Cache, Namespace
from sim.plan.passes import WindowQuery, Windows, find_windows
from sim.trace.digest import json_digest

WORTH_KEEPING_S = 0.05
"""Windows that are found sooner are not kept: to read them would take as long."""
LIBRARIES = ("leomix", "numpy", "scipy", "sgp4", "skyfield")
SOURCE = (
    *source_fingerprints(Path(orbit.__file__).parent),
    *source_fingerprints(Path(__file__).parent.parent),
)
ELEMENTS = (
    "jdsatepoch",
    "jdsatepochF",
    "bstar",
    "ndot",
    "nddot",
    "ecco",
    "argpo",
    "inclo",
    "mo",
    "no_kozai",
    "nodeo",
    "radiusearthkm",
    "mu",
    "j2",
    "j3",
    "j4",
)
"""What SGP4 computes a satellite's positions from."""


class WindowCache:
    """Windows of this process, and of all runs if there is a cache.

    ``used`` says what came of the last query that was new here: found or read.
    """

    def __init__(self, cache: Cache | None) -> None:
        self._kept = None if cache is None else Namespace(cache, WINDOWS)
        self._known: dict[str, Windows] = {}
        self.used: str | None = None

    def find(self, query: WindowQuery) -> Windows:
        """Return what ``find_windows`` returns, or has returned for the same query."""
        key, kept = key_of(query), self._kept
        if key in self._known:
            return self._known[key]
        windows = None if kept is None else kept.read(f"{key}.windows", _unpacked)
        self.used = "found" if windows is None else "read"
        if windows is None:
            began = time.perf_counter()
            windows = find_windows(query)
            if kept is not None and time.perf_counter() - began > WORTH_KEEPING_S:
                packed = _packed(windows)
                kept.keep(f"{key}.windows", len(packed), lambda: packed)
        return self._known.setdefault(key, windows)


def key_of(query: WindowQuery) -> str:
    """Digest what windows are found from, the program that finds them, and its machine."""
    elements = [[getattr(one.model, name) for name in ELEMENTS] for one in query.satellites]
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


def _packed(found: Windows) -> bytes:
    windows, failures = found
    columns: dict[str, Any] = {c.name: getattr(windows, c.name) for c in fields(windows)}
    file = io.BytesIO()
    np.savez(file, failures=np.array(failures, np.str_), **columns)
    return file.getvalue()


def _unpacked(data: bytes) -> Windows:
    with np.load(io.BytesIO(data), allow_pickle=False) as kept:
        columns = {c.name: kept[c.name] for c in fields(orbit.ContactWindows)}
        return orbit.ContactWindows(**columns), tuple(kept["failures"].tolist())
