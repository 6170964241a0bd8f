"""A message: a payload under way over a mesh."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

from learning.requests.payload import Payload
from sim.facts.directions import Way
from sim.routing.hop import Route


@dataclass(eq=False)
class MeshMessage:
    """A message under way: who is the client, its route, and how many hops are written down.

    Its ``way`` is None between clients. It has ``size`` bytes of one ``version``.
    """

    number: int
    client: str
    way: Way | None
    payload: Payload
    device: int = 0
    route: Route = field(default_factory=lambda: Route.of([]))
    written: int = 0
    size: float = field(init=False)
    version: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = float(_first(self.payload.bytes))
        self.version = int(_first(self.payload.version))

    @property
    def is_through(self) -> bool:
        """Whether all hops are written down."""
        return self.written == len(self.route)

    def take_ended(self, by_s: float) -> slice:
        """Return which hops have ended by a time and were not taken before."""
        begin = self.written
        self.written = bisect_right(self.route.arrival_s, by_s, begin)
        return slice(begin, self.written)


def _first(values: Any) -> Any:
    """Return what the first device has of a figure of each, or the one of all."""
    return values if isinstance(values, float | int) else values.item(0)
