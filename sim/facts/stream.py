"""Facts: the one stream of what happens in a run, and who takes what from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from sim.facts.row import Fact

Take = Callable[[Any], None]


class Subscriber(Protocol):
    """Takes facts of some classes from the stream."""

    def takes(self) -> Mapping[type[Fact], Take]:
        """Return what it does with which class of facts.

        A class stands for those derived from it too; of several the nearest counts.
        """


class Facts:
    """The stream. Each fact goes to all ``subscribers`` that take its class, in their order."""

    def __init__(self, *subscribers: Subscriber) -> None:
        self._taken = [subscriber.takes() for subscriber in subscribers]
        self._takers: dict[type[Fact], tuple[Take, ...]] = {}

    def emit(self, fact: Fact) -> None:
        """Pass on a fact, which may be many rows at once."""
        kind = type(fact)
        takers = self._takers.get(kind)
        if takers is None:
            takers = self._takers[kind] = tuple(self._takers_of(kind))
        for take in takers:
            take(fact)

    def _takers_of(self, kind: type[Fact]) -> Iterator[Take]:
        for taken in self._taken:
            nearest = next((base for base in kind.__mro__ if base in taken), None)
            if nearest is not None:
                yield taken[nearest]
