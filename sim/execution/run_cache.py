"""What one run shares with others: contact windows, trainings, its final model."""

from pathlib import Path
from typing import Any, Self

from learning.learner import Learner
from learning.provenance import why_not_cacheable
from sim.execution.cache import RESULTS, Cache, Namespace, cache_folder
from sim.execution.ready import Plans
from sim.execution.window_cache import WindowCache
from sim.trace.digest import json_digest
from statements import Code, Other, Statement


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
                Other(said="free or name another folder by LEOMIX_CACHE"),
                Other(said="use --no-cache"),
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
