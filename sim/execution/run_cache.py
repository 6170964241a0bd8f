"""What one run shares with others: contact windows, trainings, its final model."""

from pathlib import Path
from typing import Any, Self

from learning.learner import Learner
from learning.provenance import why_not_cacheable
from learning.values.replies import REPLY
from learning.values.reuse import NUMBER, TENSORS
from sim.execution import cache
from sim.execution.ready import Plans
from sim.execution.shelf import (
    MODEL,
    RESULTS_FOLDER,
    Namespace,
    Shelf,
    cache_folder,
)
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
        self.shelf = Shelf(root)
        self.windows = WindowCache(self.shelf)
        self.results: Namespace | None = None
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
        self.why_not = (
            why_not_cacheable(learner.config) if learner.measures else "nothing is trained"
        )
        if not self.why_not:
            context = json_digest(learner.environment())
            self.results = Namespace(self.shelf, RESULTS_FOLDER, context)
            learner.values.cache = learner.replies.cache = self.results

    def close(self) -> None:
        """Bring the cache within its bounds, if this run has added to it."""
        shelf = self.shelf
        if files := shelf.kept_files.total():
            added_bytes = shelf.kept_bytes + files * cache.BLOCK_BYTES
            cache.keep_within_bound(shelf.root, added_bytes, cache.BOUND_BYTES)

    @property
    def warnings(self) -> list[Statement]:
        """What a user should know, at most one thing."""
        if not self.shelf.trouble:
            return []
        return [
            Statement.doubt(
                Code.NOT_CACHED,
                "",
                "cache: nothing more is kept ({trouble})",
                Other(said="free or name another folder by LEOMIX_CACHE"),
                Other(said="use --no-cache"),
                trouble=self.shelf.trouble,
            )
        ]

    def figures(self) -> dict[str, Any]:
        """Return, for the manifest, what was read and what was kept."""
        read = self.shelf.read_files
        kept = self.shelf.kept_files
        return {
            "why_not": self.why_not or None,
            "not_shared": sorted(self._foreign),
            "contact_windows": "shared" if self.plans.was_kept else self.windows.used,
            "tensors_read": read[TENSORS],
            "numbers_read": read[NUMBER],
            "models_read": read[MODEL],
            "replies_read": read[REPLY],
            "tensors_kept": kept[TENSORS],
            "numbers_kept": kept[NUMBER],
            "replies_kept": kept[REPLY],
            "kept_bytes": self.shelf.kept_bytes,
            "trouble": self.shelf.trouble or None,
        }
