"""A message: a payload under way over a mesh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from learning.requests.payload import Payload
from sim.facts.directions import Way
from sim.routing.hop import Hop


@dataclass(eq=False)
class MeshMessage:
    """A message under way: who is the client, its hops, and how many of these are written down.

    Its ``way`` is None between clients. It has ``size`` bytes of one ``version``.
    """

    number: int
    client: str
    way: Way | None
    payload: Payload
    device: int = 0
    hops: Sequence[Hop] = ()
    written: int = 0
    size: float = field(init=False)
    version: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = float(_first(self.payload.bytes))
        self.version = int(_first(self.payload.version))

    @property
    def next_hop(self) -> Hop | None:
        """The first hop that is not written down; None behind the last one."""
        return self.hops[self.written] if self.written < len(self.hops) else None

    def take_ended(self, by_s: float) -> Sequence[Hop]:
        """Return the hops that have ended by a time and were not taken before."""
        begin = self.written
        end = len(self.hops)
        if self.hops[-1].arrival_s > by_s:
            end = begin
            while self.hops[end].arrival_s <= by_s:
                end += 1
        self.written = end
        return self.hops[begin:end]


def _first(values: Any) -> Any:
    """Return what the first device has of a figure of each, or the one of all."""
    return values if isinstance(values, float | int) else values.item(0)
