"""Horizon: the contacts of a span of time as a graph, in which hops to a node are counted.

Nearly all contacts of a constellation last many times as long as a message travels. So the fewest
hops by which a node can be reached over whatever is open in a span of time say well where a search
has to look, and never too much: a route within that span has at least as many.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from sim.network.contact_bands import Band


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


LinkHops = dict[int, list[float]]
"""How many links lead to a node at least from each node (N,), for some of them; inf where none do.
"""


class Horizon:
    """The ``bands`` of ``nodes`` nodes that are open at some time until ``until_s``.

    What is booked of them makes no route shorter. Passes are those from and to the ``hub``, through
    which nothing goes; all other bands are links. ``link_hops`` are kept by who makes horizons, for
    others over the same links.
    """

    def __init__(
        self, nodes: int, hub: int, bands: Sequence[Band], until_s: float, link_hops: LinkHops
    ) -> None:
        self._nodes = nodes
        self._hub = hub
        self.until_s = until_s
        self._leaving: list[list[Band]] = [[] for _ in range(nodes)]
        self._sources: list[list[int]] = [[] for _ in range(nodes)]
        self._link_hops = link_hops
        self._hops: dict[int, list[float]] = {}
        for band in bands:
            self._leaving[band.source].append(band)
            if band.source != hub:
                self._sources[band.target].append(band.source)

    def leaving(self, node: int) -> Sequence[Band]:
        """Return the bands from a node, by their begins."""
        return self._leaving[node]

    def hops_to(self, target: int) -> list[float]:
        """Return how many hops lead from each node (N,) to another at least; inf where none do."""
        known = self._hops.get(target)
        if known is None:
            known = self._counted(target) if target == self._hub else self._counted_from_hub(target)
            self._hops[target] = known
        return known

    def _counted_from_hub(self, target: int) -> list[float]:
        """Count hops over links, and those from the hub, which are one more than from a pass."""
        over_links = self._link_hops.get(target)
        if over_links is None:
            over_links = self._link_hops[target] = self._counted(target)
        hops = over_links.copy()
        passes = self._leaving[self._hub]
        hops[self._hub] = 1 + min([hops[band.target] for band in passes], default=inf)
        return hops

    def _counted(self, target: int) -> list[float]:
        hops = [inf] * self._nodes
        hops[target] = 0
        reached = [target]
        count = 0
        while reached:
            count += 1
            farther = []
            for node in reached:
                for other in self._sources[node]:
                    if hops[other] > count:
                        hops[other] = count
                        farther.append(other)
            reached = farther
        return hops
