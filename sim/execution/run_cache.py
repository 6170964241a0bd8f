"""What one run shares with others: contact windows, trainings, its final model."""

import io
import platform
import time
from dataclasses import astuple, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np

import orbit
from learning.files import source_fingerprints
from learning.learner import Learner
from learning.provenance import processor, why_not_cacheable
from sim.execution.cache import RESULTS, WINDOWS, Cache, Namespace, cache_folder
from sim.execution.ready import Plans
from sim.plan.passes import WindowQuery, Windows, find_windows
from sim.trace.digest import json_digest
from statements import Code, Statement


class RunCache:
    """Contact windows at once, and learning results as soon as the learner is known.

    ``why_not`` says why this run's learning results are not shared, empty where they are.
    ``plans`` are those of all runs of this process.
    """

    plans = Plans()

    def __init__(self, root: Path) -> None:
        self._cache = Cache(root)
        self.windows = WindowCache(self._cache)
        self.results: Namespace | None = None
        self.why_not = ""
        self._foreign: set[str] = set()
        self.close = self._cache.close

    @classmethod
    def shared(cls) -> Self | None:
        """Return that of the user's cache folder, None where it is off."""
        folder = cache_folder()
        return None if folder is None else cls(folder)

    def serve(self, learner: Learner) -> None:
        """Let ``learner`` use results of other runs, and keep its own, where that is safe."""
        self._foreign = learner.values.reuse.foreign
        self.why_not = (
            why_not_cacheable(learner.config) if learner.measures else "nothing is trained"
        )
        if not self.why_not:
            self.results = Namespace(self._cache, RESULTS, json_digest(learner.environment()))
            learner.values.cache = learner.replies.cache = self.results

    @property
    def warnings(self) -> list[Statement]:
        """What a user should know, at most one thing."""
        if not self._cache.trouble:
            return []
        return [
            Statement.doubt(
                Code.NOT_CACHED,
                "",
                "cache: nothing more is kept ({trouble})",
                "free or name another folder by LEOMIX_CACHE",
                "use --no-cache",
                trouble=self._cache.trouble,
            )
        ]

    def figures(self) -> dict[str, Any]:
        """Return, for the manifest, what was read and what was kept."""
        read, kept = self._cache.read_files, self._cache.kept_files
        return {
            "why_not": self.why_not or None,
            "not_shared": sorted(self._foreign),
            "contact_windows": "shared" if self.plans.was_kept else self.windows.used,
            "tensors_read": read[".tensors"],
            "numbers_read": read[".number"],
            "models_read": read[".model"],
            "replies_read": read[".reply"],
            "tensors_kept": kept[".tensors"],
            "numbers_kept": kept[".number"],
            "replies_kept": kept[".reply"],
            "kept_bytes": self._cache.kept_bytes,
            "trouble": self._cache.trouble or None,
        }


WORTH_KEEPING_S = 0.05
"""Windows that are found sooner are not kept: to read them would take as long."""
FINDING_LIBRARIES = ("leomix", "numpy", "scipy", "sgp4", "skyfield")
FINDING_SOURCE = (
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
        "source": FINDING_SOURCE,
        "versions": [version(name) for name in FINDING_LIBRARIES],
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
