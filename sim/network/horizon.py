"""Horizon: the contacts of a span of time as a graph, in which hops to a node are counted.

Nearly all contacts of a constellation last many times as long as a message travels. So the fewest
hops by which a node can be reached over whatever is open in a span of time say well where a search
has to look, and never too much: a route within that span has at least as many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sim.network.contact_bands import Band, ContactBands


class Ahead(NamedTuple):
    """How many hops lead from each node (N,) to a target at least.

    All but so many ``passes`` of them take ``each_s`` at least.
    """

    hops: Sequence[int]
    each_s: float
    passes: int = 0

    def left_s(self, node: int) -> float:
        """Return how long a message takes at least from a node to the target."""
        return (self.hops[node] - self.passes) * self.each_s


class Horizon:
    """The bands of ``nodes`` nodes that are open at some time ``from_s`` to ``until_s``.

    What is booked while it is kept makes no route shorter.
    """

    def __init__(self, nodes: int, bands: ContactBands, from_s: float, until_s: float) -> None:
        self._nodes = nodes
        self._bands = bands
        self.from_s = from_s
        self.until_s = until_s
        self._leaving: dict[int, Sequence[Band]] = {}
        self._sources: dict[int, Sequence[int]] = {}
        self._hops: dict[tuple[int, int | None], list[int]] = {}

    def leaving(self, node: int) -> Sequence[Band]:
        """Return the bands from a node."""
        known = self._leaving.get(node)
        if known is None:
            bands = self._bands.leaving(node, self.from_s, self.until_s)
            known = self._leaving[node] = self._open(bands)
        return known

    def hops_to(self, target: int, closed: int | None) -> list[int]:
        """Return how many hops lead from each node (N,) to another at least; N where none do.

        Nothing passes through the node that is ``closed``.
        """
        known = self._hops.get((target, closed))
        if known is None:
            known = self._hops[target, closed] = self._counted(target, closed)
        return known

    def _counted(self, target: int, closed: int | None) -> list[int]:
        hops = [self._nodes] * self._nodes
        hops[target] = 0
        reached = [target]
        count = 0
        while reached:
            count += 1
            farther = []
            for node in reached:
                if node == closed:
                    continue
                for other in self._sources.get(node) or self._sources_of(node):
                    if hops[other] > count:
                        hops[other] = count
                        farther.append(other)
            reached = farther
        return hops

    def _sources_of(self, node: int) -> Sequence[int]:
        """Return the nodes from which bands come to one."""
        bands = self._bands.coming(node, self.from_s, self.until_s)
        sources = self._sources[node] = list({band.source for band in self._open(bands)})
        return sources

    def _open(self, bands: Sequence[Band]) -> list[Band]:
        """Return those bands that are open at some time of it, and not booked before all of it."""
        from_s = self.from_s
        until_s = self.until_s
        return [b for b in bands if b.closes_s >= from_s and b.starts_s[0] <= until_s]
