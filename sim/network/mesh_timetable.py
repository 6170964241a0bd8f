"""MeshTimetable: the links and passes of a plan, and the messages that have booked them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from channel import SPEED_OF_LIGHT_M_S
from sim.network.mesh_passes import passes_of
from sim.network.mesh_routes import Routes, Steady
from sim.network.routing import Hop
from sim.plan.isl import IslPlan
from sim.plan.plan import Plan
from sim.trace.directions import Way


class MeshTimetable:
    """The links and passes of a plan as contacts: numbers of windows, and of passes behind them.

    Routes are searched with the longest delay of each pass over a station, and of each link unless
    with ``exact_delays``. A message arrives by the range at the time, and waits for what it has
    booked behind that.
    """

    def __init__(self, plan: Plan, isls: IslPlan, *, exact_delays: bool) -> None:
        self._isls = isls
        self._exact = exact_delays
        self._passes = passes_of(plan, isls.names)
        self._links = len(isls)
        self._ground = len(isls.names)
        self._link_delays_s = (isls.max_range_km * 1e3 / SPEED_OF_LIGHT_M_S).tolist()
        steady = None
        if isls.fixed_bps is not None and not exact_delays:
            steady = Steady(isls.fixed_bps, self._link_delays_s)
        self._routes = Routes(self._ground + 1, self._directed(), self._sent, steady)

    def _directed(self) -> Iterator[tuple[int, int, int, float, float]]:
        """Yield the contacts both ways: passes first, so that a search knows soon when it ends."""
        for number, satellite, start_s, end_s in self._passes.spans():
            yield self._links + number, satellite, self._ground, start_s, end_s
            yield self._links + number, self._ground, satellite, start_s, end_s
        isls = self._isls
        columns = (isls.a, isls.b, isls.start_s, isls.end_s)
        each = zip(*(column.tolist() for column in columns), strict=True)
        for window, (a, b, start_s, end_s) in enumerate(each):
            yield window, a, b, start_s, end_s
            yield window, b, a, start_s, end_s

    def pass_of(self, hop: Hop) -> int | None:
        """Return the number of the contact with the server that a hop goes over; None of a link."""
        if hop.contact < self._links:
            return None
        return self._passes.contact_id(hop.contact - self._links)

    def gateway_of(self, hop: Hop) -> str | None:
        """Return the station that sends or gets a hop over a feeder link; None of any other hop."""
        if hop.contact < self._links:
            return None
        return self._passes.gateway(hop.contact - self._links)

    def opens_s(self, hop: Hop) -> float:
        """Return when the link or pass of a hop opens."""
        if hop.contact < self._links:
            return float(self._isls.start_s[hop.contact])
        return self._passes.opens_s(hop.contact - self._links)

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
        else:
            delay_s = self._passes.delay_s(hop.contact - self._links, hop.sent_s)
        return _later(hop.begin_s, hop.sent_s + delay_s)

    def _sent(self, contact: int, source: int, begin_s: float, bits: float) -> tuple[float, float]:
        """When bits have left over a contact, and are there."""
        if contact < self._links:
            sent_s, _ = self._isls.sent(contact, begin_s, bits)
            if self._exact and sent_s < math.inf:
                return sent_s, _later(begin_s, sent_s + self._isls.delay_s(contact, sent_s))
            return sent_s, sent_s + self._link_delays_s[contact]
        way = Way.TO_CLIENT if source == self._ground else Way.TO_SERVER
        return self._passes.sent(contact - self._links, way, begin_s, bits)


def _later(begin_s: float, arrival_s: float) -> float:
    """Return when a hop has arrived, which takes some time even if a float cannot tell it."""
    return max(arrival_s, math.nextafter(begin_s, math.inf))
