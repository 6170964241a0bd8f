"""MeshTimetable: the links and passes of a plan, and the messages that have booked them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache

from channel import SPEED_OF_LIGHT_M_S
from sim.links.plain_curve import PlainCurve
from sim.links.steady_way import SteadyWay
from sim.network.mesh_routes import Routes, Steady
from sim.network.routing import Hop
from sim.plan.contacts import PlannedSession
from sim.plan.isl import IslPlan
from sim.plan.plan import Plan
from sim.trace.directions import Topology, Way


class MeshTimetable:
    """The links and passes of a plan as contacts: numbers of windows, and of passes behind them.

    Routes are searched with the longest delay of each pass over a station, and of each link unless
    with ``exact_delays``. A message arrives by the range at the time, and waits for what it has
    booked behind that.
    """

    def __init__(self, plan: Plan, isls: IslPlan, *, exact_delays: bool) -> None:
        self._isls = isls
        self._exact = exact_delays
        self._contacts = plan.contacts
        self._feeder = plan.feeder
        self._links = len(isls)
        self._ground = len(isls.names)
        self._clients_fly = plan.topology.clients_fly
        self._convex = plan.topology is Topology.SATELLITE_CLIENTS
        self._link_delays_s = (isls.max_range_km * 1e3 / SPEED_OF_LIGHT_M_S).tolist()
        self._steady = cache(self._steady_of)
        self._curve = cache(self._curve_of)
        self._longest_delay_s = cache(self._longest_delay_of)
        steady = None
        if isls.fixed_bps is not None and not exact_delays:
            steady = Steady(isls.fixed_bps, self._link_delays_s)
        self._routes = Routes(self._ground + 1, self._directed(), self._sent, steady)

    def _directed(self) -> Iterator[tuple[int, int, int, float, float]]:
        """Yield the contacts both ways: passes first, so that a search knows soon when it ends."""
        for number, satellite, start_s, end_s in self._passes():
            yield self._links + number, satellite, self._ground, start_s, end_s
            yield self._links + number, self._ground, satellite, start_s, end_s
        isls = self._isls
        columns = (isls.a, isls.b, isls.start_s, isls.end_s)
        each = zip(*(column.tolist() for column in columns), strict=True)
        for window, (a, b, start_s, end_s) in enumerate(each):
            yield window, a, b, start_s, end_s
            yield window, b, a, start_s, end_s

    def _passes(self) -> Iterator[tuple[int, int, float, float]]:
        """Yield the number, satellite, begin and end of each pass: of clients, or over gateways."""
        if self._feeder is not None:
            yield from self._feeder.spans()
            return
        contacts = self._contacts
        for k, name in enumerate(self._isls.names if self._clients_fly else ()):
            for number in contacts.services(name).tolist():
                yield number, k, float(contacts.start_s[number]), float(contacts.end_s[number])

    def gateway_of(self, hop: Hop) -> str | None:
        """Return the station that sends or gets a hop over a feeder link; None of any other hop."""
        if hop.contact < self._links or self._feeder is None:
            return None
        return self._feeder.ends(hop.contact - self._links)[1]

    def pass_of(self, hop: Hop) -> int | None:
        """Return the number of the contact with the server that a hop goes over; None of a link.

        A feeder link is one too.
        """
        if hop.contact < self._links or self._feeder is not None:
            return None
        return self._contacts.named(hop.contact - self._links)[0]

    def opens_s(self, hop: Hop) -> float:
        """Return when the link or pass of a hop opens."""
        if hop.contact < self._links:
            return float(self._isls.start_s[hop.contact])
        passes = self._contacts if self._feeder is None else self._feeder
        return float(passes.start_s[hop.contact - self._links])

    def arrival_s(self, source: int, target: int, bits: float, ready_s: float) -> float:
        """Return when a message is there by its earliest route, which it does not book.

        That is with the longest delays; inf if it never arrives.
        """
        hops = self._routes.route(source, target, bits, ready_s)
        if hops is None:
            return math.inf
        return hops[-1].arrival_s if hops else ready_s

    def booked(
        self, source: int, target: int, bits: float, ready_s: float, *, over_links: bool = False
    ) -> list[Hop] | None:
        """Book the earliest route of a message; return its hops with the times of arrival.

        None if it never arrives. It goes ``over_links`` alone, or over passes too.
        """
        avoid = self._ground if over_links else None
        while True:
            hops = self._routes.route(source, target, bits, ready_s, avoid)
            if hops is None:
                return None
            there = [hop._replace(arrival_s=self._arrival_s(hop)) for hop in hops]
            late = [
                exact
                for hop, exact in zip(hops, there, strict=True)
                if exact.arrival_s > hop.arrival_s and exact.contact < self._links
            ]
            if not late:
                self._routes.book(hops)
                return there
            for hop in late:  # a table of windows tells the longest range only about
                self._link_delays_s[hop.contact] = 1.001 * (hop.arrival_s - hop.sent_s)

    def _arrival_s(self, hop: Hop) -> float:
        """Return when the last bit of a hop is there, by the range as it is sent."""
        if hop.contact < self._links:
            delay_s = self._isls.delay_s(hop.contact, hop.sent_s)
        elif self._feeder is not None:
            delay_s = self._feeder.delay_s(hop.contact - self._links, hop.sent_s)
        else:
            links = self._contacts[hop.contact - self._links].links
            delay_s = links.delay_of_one_s(hop.sent_s)
        return _later(hop.begin_s, hop.sent_s + delay_s)

    def _sent(self, contact: int, source: int, begin_s: float, bits: float) -> tuple[float, float]:
        """When bits have left over a contact, and are there."""
        if contact < self._links:
            sent_s, _ = self._isls.sent(contact, begin_s, bits)
            if self._exact and sent_s < math.inf:
                return sent_s, _later(begin_s, sent_s + self._isls.delay_s(contact, sent_s))
            return sent_s, sent_s + self._link_delays_s[contact]
        if self._feeder is not None:
            return self._feeder.sent(contact - self._links, begin_s, bits)
        number = contact - self._links
        way = Way.TO_CLIENT if source == self._ground else Way.TO_SERVER
        sent_s = self._sent_in_pass_s(number, way, begin_s, bits)
        if sent_s == math.inf:
            return sent_s, sent_s
        if self._convex:
            return sent_s, sent_s + self._longest_delay_s(number)
        return sent_s, sent_s + self._contacts[number].links.delay_of_one_s(sent_s)

    def _sent_in_pass_s(self, number: int, way: Way, begin_s: float, bits: float) -> float:
        if not bits:
            return begin_s
        steady = self._steady(number, way)
        if steady is not None:
            contact = self._contacts[number]
            sent_s = steady.sent_s((contact.start_s, contact.end_s), begin_s, bits)
            return math.inf if sent_s is None else sent_s
        curve = self._curve(number, way)
        # A neglected link takes no time.
        return begin_s if curve is None else curve.completion_time_s(bits, begin_s)

    def _curve_of(self, number: int, way: Way) -> PlainCurve | None:
        """One way of a pass, as long as it is served; None where that link is neglected."""
        contact = self._contacts[number]
        beam = PlannedSession(number, (contact,)).beam(way)
        contact.links.close()
        return None if beam is None else PlainCurve(beam.curve)

    def _steady_of(self, number: int, way: Way) -> SteadyWay | None:
        """One way of a pass, where its rate does not change; else None."""
        contact = self._contacts[number]
        steady = contact.links.steady(way)
        holds = steady is not None and steady.holds(contact.start_s, contact.end_s)
        return steady if holds else None

    def _longest_delay_of(self, number: int) -> float:
        """The range in a pass over a station is largest at one of its ends."""
        contact = self._contacts[number]
        return max(contact.links.delay_of_one_s(t) for t in (contact.start_s, contact.end_s))


def _later(begin_s: float, arrival_s: float) -> float:
    """Return when a hop has arrived, which takes some time even if a float cannot tell it."""
    return max(arrival_s, math.nextafter(begin_s, math.inf))
