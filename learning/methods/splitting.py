"""Who trains which expert while the experts are split anew from time to time (Algorithm 1)."""

from __future__ import annotations

import numpy as np

from learning.experts import NOBODY, ExpertRegistry
from learning.requests import Ints


class Splitting:
    """Who of the ``clusters`` holds which expert of ``registry``, and who shall own it.

    An expert changes hands in two steps, so that no two clusters ever train it: its owner lets go
    of it, and from then on the cluster that it was drawn for can take it. ``owner`` (E,) is
    ``NOBODY`` in between. A splitting that is replaced by the next one before it was carried out
    leaves nothing behind: only the last one counts.
    """

    def __init__(self, registry: ExpertRegistry, clusters: int) -> None:
        self.registry = registry
        self.clusters = clusters
        self.drawn: Ints = np.full(len(registry.bytes), NOBODY)
        self.number = 0

    @property
    def owner(self) -> Ints:
        """The cluster (E,) that holds each expert, as the registry knows it."""
        return self.registry.owner

    def begin(self, drawn: Ints) -> None:
        """Let every cluster own what was drawn for it, before time begins."""
        self.drawn = drawn
        self.registry.hand_out(drawn == np.arange(self.clusters)[:, None])

    def redraw(self, number: int, drawn: Ints) -> None:
        """Let splitting ``number`` say who shall own what; who holds what does not change yet."""
        self.number, self.drawn = number, drawn

    def owned_by(self, cluster: int) -> list[int]:
        """Return the experts that ``cluster`` holds: nobody else may train them."""
        return self.registry.held_by(cluster)

    def trained_by(self, cluster: int) -> list[int]:
        """Return the experts E_c that ``cluster`` trains: those that it holds and shall keep."""
        return self._listed((self.owner == cluster) & (self.drawn == cluster))

    def leaving(self, cluster: int) -> list[int]:
        """Return the experts that ``cluster`` holds and shall let go of."""
        return self._listed((self.owner == cluster) & (self.drawn != cluster))

    def free_for(self, cluster: int) -> list[int]:
        """Return the experts that nobody holds and ``cluster`` shall take."""
        return self._listed((self.owner == NOBODY) & (self.drawn == cluster))

    def change_hands(self, cluster: int) -> tuple[list[int], list[int]]:
        """Let ``cluster`` go of what leaves it and take what is free for it; return both."""
        gone, taken = self.leaving(cluster), self.free_for(cluster)
        self.registry.release(cluster, gone)
        self.registry.give(cluster, taken)
        return gone, taken

    def _listed(self, which: np.ndarray) -> list[int]:
        listed: list[int] = np.flatnonzero(which).tolist()
        return listed
