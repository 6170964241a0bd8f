"""The cache as one run uses it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.cache import upkeep
from sim.cache.results import MODEL, NUMBER, TENSORS, Results
from sim.cache.shelf import Shelf
from sim.cache.windows import WindowCache

if TYPE_CHECKING:
    from learning.learner import Learner


class RunCache:
    """Contact windows at once, and learning results once it is known what is learnt.

    ``why_not`` says why this run's learning results are not shared, empty where they are.
    """

    def __init__(self, root: Path) -> None:
        self.shelf = Shelf(root)
        self.windows = WindowCache(self.shelf)
        self.results: Results | None = None
        self.why_not = ""
        self._foreign: set[str] = set()

    def serve(self, learner: Learner) -> None:
        """Let ``learner`` use results of other runs, and keep its own, where that is safe."""
        self._foreign = learner.values.reuse.foreign
        self.why_not = learner.why_not_shared() if learner.trains else "nothing is trained"
        if not self.why_not:
            said = json.dumps(learner.circumstances(), sort_keys=True)
            context = hashlib.blake2b(said.encode(), digest_size=16).hexdigest()
            self.results = learner.values.cache = Results(self.shelf, context)

    def close(self) -> None:
        """Bring the cache within its bounds, if this run has added to it."""
        shelf = self.shelf
        if files := shelf.kept_files.total():
            added_bytes = shelf.kept_bytes + files * upkeep.BLOCK_BYTES
            upkeep.keep_within_bound(shelf.root, added_bytes, upkeep.BOUND_BYTES)

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
