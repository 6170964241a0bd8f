"""Bands of contacts: what nothing has booked of each, and which of them a node has at a time.

Contacts are many, and few of them are open at a time. Those of each node are cut into slots by
their begins, and a slot is made when a search first looks that far: contacts that nobody waits for
cost nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import inf
from typing import NamedTuple

import numpy as np

from learning.requests.cluster import Floats, Ints
from sim.plan.joined import joined_parts

LEAST_IN_A_SLOT = 4
"""So many contacts of a node begin in a slot, or as many as are open at a time if these are more.
"""


class Hop(NamedTuple):
    """A message over one ``contact`` of a plan, from ``source`` to ``target``.

    Its bits leave from ``begin_s`` to ``sent_s``; the last one is there at ``arrival_s``.
    """

    contact: int
    source: int
    target: int
    begin_s: float
    sent_s: float
    arrival_s: float


class Contacts(NamedTuple):
    """Arrays (M,) over contacts, each from one node to another: a number, and begin and end.

    What is sent back has a contact of its own, with the same number.
    """

    number: Ints
    source: Ints
    target: Ints
    start_s: Floats
    end_s: Floats


class Found(NamedTuple):
    """The first hop of bits over a contact from a time on, or that there is none.

    As many bits or more that leave later do not arrive earlier.
    """

    bits: float
    from_s: float
    hop: Hop | None

    def answers(self, bits: float, from_s: float) -> bool:
        """Whether that is so from another time on too."""
        if bits != self.bits or from_s < self.from_s:
            return False
        return self.hop is None or from_s <= self.hop.begin_s


class Band:
    """One contact: the times in which nothing is booked, in order.

    Of a question that was asked of it ``found`` keeps the answer, until something is booked, and
    ``least`` keeps it on.
    """

    __slots__ = ("closes_s", "contact", "ends_s", "found", "least", "source", "starts_s", "target")

    def __init__(self, contact: int, source: int, target: int, span_s: tuple[float, float]) -> None:
        self.contact = contact
        self.source = source
        self.target = target
        self.closes_s = span_s[1]
        self.starts_s = [span_s[0]]
        self.ends_s = [span_s[1]]
        self.found: Found | None = None
        self.least: Found | None = None

    def book(self, hop: Hop) -> None:
        """Take the time of a hop out; raise ValueError where it is not free."""
        place = bisect_left(self.ends_s, hop.sent_s)
        if not (place < len(self.ends_s) and self.starts_s[place] <= hop.begin_s):
            raise ValueError(f"contact {hop.contact} is not free at {hop.begin_s:g} s")
        start_s = self.starts_s[place]
        self.found = None
        self.starts_s[place] = hop.sent_s
        if start_s < hop.begin_s:
            self.starts_s.insert(place, start_s)
            self.ends_s.insert(place, hop.begin_s)


class _NodeBands:
    """Bands from one node, or to it, in slots of time: a few begin in each, but none in the first.

    They have ``places`` among all contacts and begin at ``starts_s``, in order of time; so many are
    ``usually_open`` at a time.
    """

    def __init__(
        self, band: Callable[[int], Band], places: Ints, starts_s: Floats, usually_open: float
    ) -> None:
        self._band = band
        self._places: list[int] = places.tolist()
        self._size = max(LEAST_IN_A_SLOT, round(usually_open))
        self.slots_s: list[float] = [-inf, *starts_s[:: self._size].tolist()]
        self._beginning: list[list[Band]] = [[]]
        self._open: list[list[Band]] = [[]]

    def __len__(self) -> int:
        """How many they are."""
        return len(self._places)

    def beginning(self, slot: int) -> list[Band]:
        """Return the bands that begin in a slot."""
        self._make(slot)
        return self._beginning[slot]

    def open(self, slot: int) -> list[Band]:
        """Return the bands that are open at some time of a slot."""
        self._make(slot)
        return self._open[slot]

    def within(self, from_s: float, until_s: float) -> Sequence[Band]:
        """Return the bands that are open at some time from one to another, and maybe a few more."""
        first = self.slot_at(from_s)
        last = self.slot_at(until_s)
        if first == last:
            return self.open(first)
        bands = list(self.open(first))
        for slot in range(first + 1, last + 1):
            bands += self.beginning(slot)
        return bands

    def slot_at(self, time_s: float) -> int:
        """Return the slot of a time."""
        return bisect_right(self.slots_s, time_s) - 1

    def _make(self, slot: int) -> None:
        """Make the slots up to one."""
        for number in range(len(self._open), slot + 1):
            places = self._places[(number - 1) * self._size : number * self._size]
            new = [self._band(place) for place in places]
            begins_s = self.slots_s[number]
            left = [band for band in self._open[-1] if band.closes_s >= begins_s]
            self._beginning.append(new)
            self._open.append(left + new)


class _Asked(NamedTuple):
    """The bands that are open at a time or later, of the ``last`` first ones by their begins."""

    from_s: float
    last: int
    bands: list[Band]


class ContactBands:
    """The bands of contacts between so many ``nodes``, by node and time."""

    def __init__(self, nodes: int, contacts: Contacts) -> None:
        self._contacts = contacts
        self._bands: dict[int, Band] = {}
        self._known: dict[tuple[int, int], Band] = {}
        self.last_end_s = float(contacts.end_s.max(initial=0.0))
        self._by_start = np.argsort(contacts.start_s, kind="stable")
        self._starts_s = contacts.start_s[self._by_start]
        self._ends_s = contacts.end_s[self._by_start]
        self._last_asked = _Asked(-inf, 0, [])
        self._leaving = self._of_each(nodes, contacts.source)
        self._coming = self._of_each(nodes, contacts.target)

    def leaving(self, node: int, from_s: float, until_s: float) -> Sequence[Band]:
        """Return the bands from a node that are open at some time from one to another.

        There may be a few that are over by then, or not yet open.
        """
        return self._leaving[node].within(from_s, until_s)

    def within(self, from_s: float, until_s: float) -> list[Band]:
        """Return all bands that are open at some time from one to another, by their begins.

        It is quick where both times are not earlier than those of the last question.
        """
        asked = self._last_asked
        last = int(np.searchsorted(self._starts_s, until_s, side="right"))
        if from_s < asked.from_s or last < asked.last:
            asked = _Asked(-inf, 0, [])
        new = np.arange(asked.last, last)[self._ends_s[asked.last : last] >= from_s]
        bands = [band for band in asked.bands if band.closes_s >= from_s]
        bands += [self._band(place) for place in self._by_start[new].tolist()]
        self._last_asked = _Asked(from_s, last, bands)
        return bands

    def parts(self, closed: int, from_s: float, until_s: float) -> list[int]:
        """Return a number for each node (N,), the same for those that such contacts may join.

        Nothing passes through the node that is ``closed``.
        """
        places = self._places_within(from_s, until_s)
        source = self._contacts.source[places]
        target = self._contacts.target[places]
        passes = (source != closed) & (target != closed)
        numbers: list[int] = joined_parts(
            len(self._leaving), source[passes], target[passes]
        ).tolist()
        return numbers

    def _places_within(self, from_s: float, until_s: float) -> Ints:
        """Return the places of contacts that are open at some time from one to another."""
        last = int(np.searchsorted(self._starts_s, until_s, side="right"))
        places: Ints = self._by_start[:last][self._ends_s[:last] >= from_s]
        return places

    def ahead(
        self, node: int, from_s: float, *, coming: bool
    ) -> Iterator[tuple[float, Sequence[Band]]]:
        """Yield bands from a node, or ``coming`` to it, that are open at a time or begin later.

        They come slot by slot, with a time before which no further ones begin.
        """
        own = (self._coming if coming else self._leaving)[node]
        first = own.slot_at(from_s)
        yield from_s, own.open(first)
        for slot in range(first + 1, len(own.slots_s)):
            yield own.slots_s[slot], own.beginning(slot)

    def forget(self, hop: Hop) -> None:
        """Ask anew for the first hop over a band, as its contact takes longer than was known."""
        self._known[hop.contact, hop.source].found = None

    def any_of(self, node: int) -> bool:
        """Whether a node has any contact."""
        return len(self._leaving[node]) + len(self._coming[node]) > 0

    def book(self, hop: Hop) -> None:
        """Take the time of a hop out; raise ValueError where it is not free."""
        band = self._known.get((hop.contact, hop.source))
        if band is None:
            raise ValueError(f"contact {hop.contact} is not free at {hop.begin_s:g} s")
        band.book(hop)

    def _of_each(self, nodes: int, ends: Ints) -> list[_NodeBands]:
        """Return the bands of each node, by one of their ends."""
        starts_s = self._contacts.start_s
        lasts_s = self._contacts.end_s - starts_s
        span_s = self.last_end_s - starts_s.min(initial=self.last_end_s)
        places = np.lexsort((starts_s, ends))
        edges = np.searchsorted(ends[places], np.arange(nodes + 1))
        each = (places[first:last] for first, last in pairwise(edges.tolist()))
        return [
            _NodeBands(self._band, own, starts_s[own], lasts_s[own].sum() / max(span_s, 1e-9))
            for own in each
        ]

    def _band(self, place: int) -> Band:
        """Return the band of a contact by its place, the same one each time."""
        band = self._bands.get(place)
        if band is None:
            number, source, target, start_s, end_s = (
                column[place].item() for column in self._contacts
            )
            band = Band(number, source, target, (start_s, end_s))
            self._bands[place] = self._known[number, source] = band
        return band
