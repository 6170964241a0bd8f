"""What a search of ways knows and where it writes: rows of plain fields, in sequences.

They are lists of the classes below, or arrays with their fields where the search is compiled.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sim.routing.free_times import Book

# Counters of a search: marks that were given, ways that are kept, the first way of a round.
MARK, WAYS, ROUND = range(3)
COUNTERS = 3
NOW, LAST = range(2)
"""Times: no message will be ready before the first one, no contact ends behind the second one."""


@dataclass(slots=True)
class Node:
    """Contacts of a node: ``first`` to ``last`` are not all over; those before ``later`` may be.

    A message is there at ``there_s`` in the search of that ``mark``, by a ``way``.
    """

    first: int
    later: int
    last: int
    mark: int
    way: int
    there_s: float


@dataclass(slots=True)
class Way:
    """A hop over a row of the book, behind the way ``before``."""

    row: int
    before: int
    begin_s: float
    sent_s: float
    arrival_s: float


@dataclass(slots=True)
class Best:
    """The way that is there first so far, at ``arrival_s``."""

    way: int
    arrival_s: float


class Message(NamedTuple):
    """Bits that are ready at a node. No hop leads to the node ``avoid``."""

    source: int
    target: int
    bits: float
    ready_s: float
    avoid: int


class Search(NamedTuple):
    """What a search knows, and where it writes: ``leaving`` has rows from each node, by begin."""

    book: Book
    nodes: Sequence[Node]
    leaving: MutableSequence[int]
    counters: MutableSequence[int]
    times_s: MutableSequence[float]
    front: MutableSequence[int]
    front_ways: MutableSequence[int]
    ahead: MutableSequence[int]
    ways: Sequence[Way]
    best: Sequence[Best]
    hop_rows: MutableSequence[float]
