"""What a search of ways knows and where it writes: rows of plain fields, in sequences.

They are lists of the classes below, or arrays with their fields where the search is compiled.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sim.routing.free_times import Book

FAR = 30_000
"""More hops than any way has."""
SLOTS_OF_LEVEL = 4
"""Spans of each level of which the links are kept."""

# Counters of a search: marks that were given, ways that are kept; the next pass each way to let in,
# and how many are let in; the first way of a round.
MARK, WAYS, NEXT, OPEN, ROUND = 0, 1, 2, 4, 6
COUNTERS = 7
UP, DOWN = range(2)
"""Passes to the hub, and from there."""
NOW, LAST, FORWARDED = range(3)
"""Times: no message will be ready before the first one, no contact ends behind the second one, and
passes that were over by the last one are left out."""


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
class Key:
    """A message is not through over a pass before ``at_least_s``, as known at a ``stage``."""

    row: int
    stage: int
    at_least_s: float


@dataclass(slots=True)
class Best:
    """The way that is there first so far, at ``arrival_s``.

    Others may be there from ``doubt_s`` on, and by what opens beyond the slot, from ``beyond_s``.
    """

    way: int
    arrival_s: float
    doubt_s: float
    beyond_s: float


class Message(NamedTuple):
    """Bits that are ready at a node. A hop over a link takes ``least_s`` or longer.

    ``level`` is that of the first span that is looked at. No hop leads to the node ``avoid``.
    """

    source: int
    target: int
    bits: float
    ready_s: float
    least_s: float
    level: int
    avoid: int


class Search(NamedTuple):
    """What a search knows, and where it writes. Rows are those of the book.

    ``leaving`` holds the rows from each node, by their begins; ``passes`` those to the hub and from
    there, of which ``let_in`` are looked at; ``opens_s`` are the begins of links. Links lead
    ``both_ways`` where each has one back. Spans of a level last ``spans_s``; ``epochs`` has a
    number for each, the same for those with the same links, and begins anew at ``levels``.

    Slots hold the links of an epoch, from ``slot_places`` on: rows, with their ``targets``, from
    each node by ``link_edges``; and ``sources``, to each node by ``source_edges``. Rows of ``hops``
    are counted for a node and an epoch, by ``hop_tags``.
    """

    book: Book
    hub: int
    both_ways: bool
    nodes: Sequence[Node]
    leaving: MutableSequence[int]
    passes: tuple[Sequence[int], Sequence[int]]
    let_in: tuple[MutableSequence[int], MutableSequence[int]]
    counters: MutableSequence[int]
    times_s: MutableSequence[float]
    opens_s: Sequence[float]
    spans_s: Sequence[float]
    levels: Sequence[int]
    epochs: Sequence[int]
    slot_epochs: MutableSequence[int]
    slot_places: Sequence[int]
    link_edges: Sequence[MutableSequence[int]]
    links: MutableSequence[int]
    targets: MutableSequence[int]
    source_edges: Sequence[MutableSequence[int]]
    sources: MutableSequence[int]
    hops: MutableSequence[int]
    hop_tags: MutableSequence[int]
    front: MutableSequence[int]
    front_ways: MutableSequence[int]
    ahead: MutableSequence[int]
    ways: Sequence[Way]
    keys: Sequence[Key]
    best: Sequence[Best]
    hop_rows: MutableSequence[float]
