"""Horizon: the contacts of a span of time as a graph, in which hops to a node are counted.

Nearly all contacts of a constellation last many times as long as a message travels. So the fewest
hops by which a node can be reached over whatever is open in a span of time say well where a search
has to look, and never too much: a route within that span has at least as many.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from sim.network.contact_bands import Band, ContactBands


class Ahead(NamedTuple):
    """How many hops lead from each node (N,) to a target at least; inf where none do.

    All but so many ``passes`` of them take ``each_s`` at least.
    """

    hops: Sequence[float]
    each_s: float
    passes: int = 0

    def left_s(self, node: int) -> float:
        """Return how long a message takes at least from a node to the target; inf for ever."""
        hops = self.hops[node]
        return inf if hops == inf else (hops - self.passes) * self.each_s


class Horizon:
    """The bands of ``nodes`` nodes that are open at some time ``from_s`` to ``until_s``.

    What is booked of them makes no route shorter.
    """

    def __init__(self, nodes: int, bands: ContactBands, from_s: float, until_s: float) -> None:
        self._nodes = nodes
        self.until_s = until_s
        self._leaving: list[list[Band]] = [[] for _ in range(nodes)]
        self._sources: list[list[int]] = [[] for _ in range(nodes)]
        self._hops: dict[tuple[int, int | None], list[float]] = {}
        for band in bands.within(from_s, until_s):
            self._leaving[band.source].append(band)
            self._sources[band.target].append(band.source)

    def leaving(self, node: int) -> Sequence[Band]:
        """Return the bands from a node, by their begins."""
        return self._leaving[node]

    def hops_to(self, target: int, closed: int | None) -> list[float]:
        """Return how many hops lead from each node (N,) to another at least; inf where none do.

        Nothing passes through the node that is ``closed``.
        """
        known = self._hops.get((target, closed))
        if known is None:
            known = self._hops[target, closed] = self._counted(target, closed)
        return known

    def _counted(self, target: int, closed: int | None) -> list[float]:
        hops = [inf] * self._nodes
        hops[target] = 0
        reached = [target]
        count = 0
        while reached:
            count += 1
            farther = []
            for node in reached:
                if node == closed:
                    continue
                for other in self._sources[node]:
                    if hops[other] > count:
                        hops[other] = count
                        farther.append(other)
            reached = farther
        return hops
