"""MeshTimetable: the links and passes of a plan, and the messages that have booked them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property, lru_cache
from math import inf

import numpy as np

from channel import SPEED_OF_LIGHT_M_S, LinkCurve
from sim.facts.directions import Way
from sim.links.beam import OneRange, RangeGrid
from sim.mesh.book import Book
from sim.mesh.compiled import can_compile
from sim.mesh.contacts import Contacts, Rates, Route
from sim.plan.contacts import PlannedContact, PlannedSession
from sim.plan.isl import IslPlan
from sim.plan.plan import Plan
from statements.arrays import Floats, Ints

PASSES_KEPT = 4096
"""Passes whose rates are remembered: more than one search looks at."""
ASKED = math.nan
LOOKED_UP = 0.0
"""Rates of contacts of which a function says when bits are there, or which are looked up."""


class MeshTimetable:
    """The links and passes of a plan as contacts: numbers of windows, and of passes behind them.

    Routes are searched with the longest delay of each pass over a station, and of each link unless
    with ``exact_delays``. A message arrives by the range at the time, and waits for what it has
    booked behind that. The search is ``compiled`` if it can be, or as it is said; a function that
    says when bits are there is never compiled.
    """

    def __init__(
        self, plan: Plan, isls: IslPlan, *, exact_delays: bool, compiled: bool | None = None
    ) -> None:
        self._isls = isls
        self._exact = exact_delays
        self._contacts = plan.contacts
        self._feeder = plan.feeder
        self._links = len(isls)
        self._ground = len(isls.names)
        self._topology = plan.topology
        self._link_delays_s = isls.max_range_km * 1e3 / SPEED_OF_LIGHT_M_S
        self._pass = lru_cache(PASSES_KEPT)(lambda number: MeshPass(plan.contacts[number]))
        self.contacts = contacts = self._directed()
        self._numbers: list[int] = contacts.number.tolist()
        if compiled is None:
            compiled = can_compile()
        compiled &= not np.isnan(contacts.rate_bps).any()
        nodes = self._ground + 1
        self.book = Book(nodes, contacts, self._sent, self._rates, compiled=bool(compiled))

    def _directed(self) -> Contacts:
        """Return the contacts both ways: passes first, so that a search knows soon when it ends."""
        isls = self._isls
        passes, satellite, rise_s, set_s = self._passes()
        count = len(passes)
        number = np.append(self._links + passes, np.arange(self._links))
        one = np.append(satellite, isls.a)
        other = np.append(np.full(count, self._ground), isls.b)
        start_s = np.append(rise_s, isls.start_s)
        end_s = np.append(set_s, isls.end_s)
        links_bps = ASKED if isls.fixed_bps is None or self._exact else isls.fixed_bps
        by_stations = self._topology.grounded == "station"
        passes_bps = LOOKED_UP if by_stations or self._feeder is not None else ASKED
        return Contacts(
            np.tile(number, 2),
            np.append(one, other),
            np.append(other, one),
            np.tile(start_s, 2),
            np.tile(end_s, 2),
            np.tile(np.repeat([passes_bps, links_bps], [count, self._links]), 2),
            np.tile(np.append(np.zeros(count), self._link_delays_s), 2),
        )

    def _passes(self) -> tuple[Ints, Ints, Floats, Floats]:
        """Return the passes (P,) by which satellites reach the ground: of clients, or gateways.

        They are their numbers, whose they are, and when they begin and end.
        """
        feeder = self._feeder
        if feeder is not None:
            return np.arange(len(feeder)), feeder.satellite, feeder.start_s, feeder.end_s
        contacts = self._contacts
        names = self._isls.names
        own = [contacts.services(name) for name in names]  # none of one that is no client
        number = np.concatenate([*own, np.zeros(0, np.int64)])
        satellite = np.repeat(np.arange(len(names)), [len(numbers) for numbers in own])
        return number, satellite, contacts.start_s[number], contacts.end_s[number]

    def contact_of(self, route: Route) -> int:
        """Return the number of the contact with the server that a message goes over."""
        contact = self._numbers[route.row[-1]]
        if contact < self._links:
            contact = self._numbers[route.row[0]]
        return int(contact - self._links)

    def arrival_s(self, source: int, target: int, bits: float, ready_s: float) -> float:
        """Return when a message is there by its earliest route, which it does not book.

        That is with the longest delays; inf if it never arrives.
        """
        route = self._route(source, target, bits, ready_s)
        if route is None:
            return math.inf
        return route.arrival_s[-1] if route else ready_s

    def booked(
        self, source: int, target: int, bits: float, ready_s: float, *, over_links: bool = False
    ) -> Route | None:
        """Book the earliest route of a message; return it with the times of arrival.

        None if it never arrives. It goes ``over_links`` alone, or over passes too.
        """
        self.book.forward(ready_s)
        while True:
            route = self._route(source, target, bits, ready_s, over_links=over_links)
            if route is None:
                return None
            there_s = []
            is_late = False
            for row, begin_s, sent_s, latest_s in route.hops():
                contact = self._numbers[row]
                arrival_s = _later(begin_s, sent_s + self._delay_s(contact, sent_s))
                if arrival_s > latest_s and contact < self._links:
                    # A table of windows tells the longest range only about.
                    self._set_delay(contact, 1.001 * (arrival_s - sent_s))
                    is_late = True
                there_s.append(arrival_s)
            if not is_late:
                self.book.take(route)
                route.arrival_s = there_s
                return route

    def _route(
        self, source: int, target: int, bits: float, ready_s: float, *, over_links: bool = False
    ) -> Route | None:
        # No way leads back to the ground from where it sets off. To say so lets the search bound
        # it closely: the ground is one node, one hop from every satellite in a pass.
        avoid = self._ground if over_links or source == self._ground else None
        return self.book.route(source, target, bits, ready_s, avoid)

    def _delay_s(self, contact: int, time_s: float) -> float:
        """Return how long a signal takes over a contact, by the range as it is sent."""
        if contact < self._links:
            return self._isls.delay_s(contact, time_s)
        if self._feeder is not None:
            return self._feeder.delay_s(contact - self._links, time_s)
        return self._pass(contact - self._links).delay_s(time_s)

    def _set_delay(self, link: int, delay_s: float) -> None:
        """Take another longest delay of a link from now on, both ways."""
        self._link_delays_s[link] = delay_s
        for row in np.flatnonzero(self.contacts.number == link).tolist():
            self.book.delay(row, delay_s)

    def law(self, contact: int, source: int, begin_s: float, bits: float) -> tuple[float, float]:
        """Return when bits that leave from a time on have left over a contact, and how many do.

        The contact is used from one of its ends; inf if the last bit does not leave in it.
        """
        if contact < self._links:
            return self._isls.sent(contact, begin_s, bits)
        if self._feeder is not None:
            return self._feeder.sent(contact - self._links, begin_s, bits)
        way = self._way_from(source)
        return self._pass(contact - self._links).sent_s(way, begin_s, bits), bits

    def _sent(self, contact: int, source: int, begin_s: float, bits: float) -> tuple[float, float]:
        """When bits have left over a contact of which a book knows no rates, and are there."""
        if contact < self._links:
            sent_s, _ = self._isls.sent(contact, begin_s, bits)
            if self._exact and sent_s < math.inf:
                return sent_s, _later(begin_s, sent_s + self._isls.delay_s(contact, sent_s))
            return sent_s, sent_s + float(self._link_delays_s[contact])
        one = self._pass(contact - self._links)
        sent_s = one.sent_s(self._way_from(source), begin_s, bits)
        return sent_s, sent_s if sent_s == math.inf else sent_s + one.delay_s(sent_s)

    def _rates(self, contact: int, source: int) -> Rates:
        """The rates of a pass, from one of its ends."""
        number = contact - self._links
        if self._feeder is not None:
            return Rates(self._feeder.longest_delay_s(number), self._feeder.rate_bps)
        return self._pass(number).rates(self._way_from(source))

    def _way_from(self, source: int) -> Way:
        return Way.TO_CLIENT if source == self._ground else Way.TO_SERVER


def _later(begin_s: float, arrival_s: float) -> float:
    """Return when a hop has arrived, which takes some time even if a float cannot tell it."""
    return arrival_s if arrival_s > begin_s else math.nextafter(begin_s, math.inf)


class MeshPass:
    """Says how a served pass carries bits, and how long signals take.

    It copies what it needs of the contact's links, and lets these go: they are views of a table of
    many passes.
    """

    def __init__(self, contact: PlannedContact) -> None:
        self._span_s = contact.start_s, contact.end_s
        self._curves = {way: _curve(contact, way) for way in Way}
        self._range_m = _range_m(contact.links.range_m)
        contact.close()

    def delay_s(self, time_s: float) -> float:
        """How long a signal takes that leaves at a time."""
        if self._range_m is None:
            return 0.0
        return self._range_m(time_s) / SPEED_OF_LIGHT_M_S

    @cached_property
    def longest_delay_s(self) -> float:
        """How long a signal takes at most: the range over a station is largest at an end."""
        return max(self.delay_s(time_s) for time_s in self._span_s)

    def rates(self, way: Way) -> Rates:
        """Return the rates one way, with the longest delay."""
        return Rates(self.longest_delay_s, inf, self._curves[way])

    def sent_s(self, way: Way, begin_s: float, bits: float) -> float:
        """Return when bits that leave from a time on have left; inf if they never have."""
        curve = self._curves[way]
        if not bits or curve is None:
            return begin_s
        return float(curve.completion_time_s(bits, begin_s)[0])


def _range_m(
    ranges: Callable[[Floats], Floats] | None,
) -> Callable[[float], float] | None:
    """Return the range of a satellite that is alone in its pass; None for no distance."""
    if ranges is None:
        return None
    if isinstance(ranges, RangeGrid):
        return OneRange(ranges)
    return lambda time_s: float(ranges(np.array([time_s]))[0])


def _curve(contact: PlannedContact, way: Way) -> LinkCurve | None:
    """Return the rates one way as long as the pass is served; None where that link is neglected."""
    beam = PlannedSession(contact.contact_id, (contact,)).beam(way)
    return None if beam is None else beam.curve.copy()
