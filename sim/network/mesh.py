"""Mesh: carries what satellites send by store and forward, over links and passes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import simpy

from channel import SPEED_OF_LIGHT_M_S
from learning.requests.payload import Payload
from learning.requests.peers import SERVER, Arrival, Node, Send
from sim.clock import Clock
from sim.facts.stream import Facts
from sim.facts.transfers import MessageLost, Outcome, TransferRow
from sim.links.plain_curve import PlainCurve
from sim.links.steady_way import SteadyWay
from sim.network.books import Account, Booked, PayloadKey
from sim.network.endpoint import Endpoint
from sim.network.journeys import journey_of
from sim.network.mesh_routes import Routes, Steady
from sim.network.payload_list import PayloadList
from sim.network.routing import Hop
from sim.plan.contacts import PlannedSession
from sim.plan.isl import IslPlan
from sim.plan.plan import Plan
from sim.trace.directions import TOWARD_PEER, Topology, Way

NO_ROUTE = "no route before the end"
"""Why a message is not sent at all."""

ONE = np.ones(1, bool)
"""The only device of a satellite."""


class Carried(NamedTuple):
    """When the last bit of a message was there, and the pass that it went over."""

    time_s: float
    contact_id: int


@dataclass(eq=False)
class _Message:
    """A message under way, and the hops that are still to end; ``way`` is None between clients."""

    number: int
    way: Way | None
    payload: Payload
    ahead: list[Hop]

    @property
    def size(self) -> float:
        """Bytes in all."""
        return float(np.asarray(self.payload.bytes).reshape(-1)[0])

    @property
    def version(self) -> int:
        """The version of its payload."""
        return int(np.asarray(self.payload.version).reshape(-1)[0])


class Mesh:
    """Carries messages between satellites and their server, or each other, each hop when it is due.

    A message goes in one piece over each hop, by the way that brings it there first, and books the
    time of each: nobody else sends over that link, or in that pass, this way at that time. Between
    two satellites it goes over links alone. With ``exact_delays`` routes are searched with the
    range at each time, which counts where messages take milliseconds, else with the longest one of
    each window.
    """

    def __init__(
        self,
        clock: Clock,
        plan: Plan,
        facts: Facts,
        payloads: PayloadList,
        endpoints: Mapping[str, Endpoint],
        *,
        exact_delays: bool = False,
    ) -> None:
        assert plan.isls is not None  # the plan of a mesh has links
        self._clock = clock
        self._facts = facts
        self._payloads = payloads
        self._endpoints = endpoints
        self._topology = plan.topology
        self._timetable = _Timetable(plan, plan.isls, exact_delays=exact_delays)
        self._names = plan.isls.names
        self._accounts: defaultdict[PayloadKey, Account] = defaultdict(Account)
        self._unfinished: defaultdict[PayloadKey, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._sending_s: defaultdict[str, float] = defaultdict(float)
        self._under_way: dict[_Message, None] = {}
        self._messages = 0

    def carry(
        self, client: str, way: Way, payload: Payload
    ) -> Generator[simpy.Event, object, Carried | None]:
        """Carry a payload from a client to the server, or back; None if it never gets there.

        That is known at once.
        """
        ends = self._names.index(client), len(self._names)
        source, target = ends if way is Way.TO_SERVER else ends[::-1]
        message = self._message(way, payload)
        hops = yield from self._travel(message, source, target)
        if not hops:
            self._lost(message, client, way)
            return None
        passes = (self._timetable.pass_of(hop) for hop in hops)
        contact_id = next(contact_id for contact_id in passes if contact_id is not None)
        return Carried(hops[-1].arrival_s, contact_id)

    def send(self, send: Send) -> Generator[simpy.Event, object, Arrival]:
        """Carry a message from one satellite to another, or between one and the server.

        Reply when it is there; at once where it never gets there.
        """
        source, target = (
            len(self._names) if node == SERVER else self._names.index(node.cluster)
            for node in (send.source, send.target)
        )
        way = None
        if SERVER in (send.source, send.target):
            way = Way.TO_SERVER if send.target == SERVER else Way.TO_CLIENT
        ready_s = self._clock.now
        hops = yield from self._travel(self._message(way, send.payload), source, target)
        if not hops:
            return Arrival(delivered=False, time_s=ready_s, reason=NO_ROUTE)
        journey = journey_of(hops, ready_s, self._timetable.opens_s)
        return Arrival(delivered=True, time_s=hops[-1].arrival_s, journey=journey)

    def _message(self, way: Way | None, payload: Payload) -> _Message:
        self._messages += 1
        return _Message(self._messages, way, payload, [])

    def _travel(
        self, message: _Message, source: int, target: int
    ) -> Generator[simpy.Event, object, list[Hop]]:
        """Let a message travel; return its hops when the last one has ended, none of no route."""
        bits = 8.0 * message.size
        over_links = message.way is None
        hops = self._timetable.booked(source, target, bits, self._clock.now, over_links=over_links)
        if hops is None:
            return []
        message.ahead = list(hops)
        self._under_way[message] = None
        for hop in hops:
            yield self._clock.at(max(hop.arrival_s, self._clock.now))
            del message.ahead[0]
            self._book(message, hop, message.size, hop.arrival_s, Outcome.DELIVERED)
        del self._under_way[message]
        return hops

    def _lost(self, message: _Message, client: str, way: Way) -> None:
        self._facts.emit(
            MessageLost(
                time_s=self._clock.now,
                cluster=client,
                device=0,
                version=message.version,
                payload=message.payload.name,
                target=way,
                reason=NO_ROUTE,
            )
        )

    def _key(self, message: _Message, hop: Hop) -> PayloadKey:
        """By which direction and receiver a hop is booked: that of a link, or of a pass."""
        name = message.payload.name
        if message.way is None or self._timetable.pass_of(hop) is None:
            return PayloadKey("isl", TOWARD_PEER, name)
        return PayloadKey(self._topology.direction(message.way), message.way, name)

    def _book(
        self, message: _Message, hop: Hop, moved: float, end_s: float, outcome: Outcome
    ) -> None:
        """Count a hop that has ended, or got so far by the end of the run, with a row of it."""
        key = self._key(message, hop)
        account = self._accounts[key]
        self._payloads.add(key.direction, key.toward, message.payload, ONE)
        account.offered += message.size
        account.sent += moved
        if outcome is Outcome.DELIVERED:
            account.delivered += message.size
        else:
            self._unfinished[key][0] += message.size
            self._unfinished[key][1] += moved
        self._count_sending(hop, min(hop.sent_s, end_s) - hop.begin_s)
        if moved > 0.0:
            self._facts.emit(self._row(message, hop, key, moved, end_s, outcome))

    def _count_sending(self, hop: Hop, lasts_s: float) -> None:
        """Count the time in which a satellite has sent to another one, or to the server."""
        if hop.source == len(self._names):
            return
        sender = self._names[hop.source]
        if self._timetable.pass_of(hop) is None:
            self._sending_s[sender] += lasts_s
        else:
            endpoint = self._endpoints[sender]
            endpoint.sent_s = endpoint.sent_s + lasts_s

    def _row(
        self,
        message: _Message,
        hop: Hop,
        key: PayloadKey,
        moved: float,
        end_s: float,
        outcome: Outcome,
    ) -> TransferRow:
        ground = len(self._names)
        contact_id = self._timetable.pass_of(hop)
        flying = hop.target if hop.source == ground else hop.source
        return TransferRow(
            contact_id=contact_id,
            cluster=self._names[flying],
            device=0,
            peer=str(Node(self._names[hop.target], 0)) if contact_id is None else None,
            direction=key.direction,
            toward=key.toward,
            payload=key.payload,
            version=message.version,
            payload_bytes=message.size,
            delivered_bytes=moved,
            start_s=hop.begin_s,
            end_s=end_s,
            outcome=outcome.word,
            message=message.number,
        )

    def settle_all(self, end_s: float) -> None:
        """Write hops that are under way as far as they got by ``end_s``, the end of the run."""
        for message in self._under_way:
            hop = message.ahead[0]
            if hop.begin_s >= end_s:
                continue
            share = 1.0
            if hop.sent_s > end_s:
                share = (end_s - hop.begin_s) / (hop.sent_s - hop.begin_s)
            self._book(message, hop, message.size * share, end_s, Outcome.CARRIED)
        self._under_way.clear()

    def booked(self) -> Iterator[Booked]:
        """Yield the account of each payload in each direction: every hop offers it anew."""
        for key, account in self._accounts.items():
            open_bytes, through = self._unfinished.get(key, (0.0, 0.0))
            yield Booked(key, account, open_bytes=open_bytes, unfinished_bytes=through)

    def sending_s(self, client: str) -> float:
        """Seconds of the hops over links that a satellite has sent, and that have ended."""
        return self._sending_s.get(client, 0.0)


class _Timetable:
    """The links and passes of a plan as contacts: numbers of windows, and of passes behind them.

    Routes are searched with the longest delay of each pass over a station, and of each link unless
    with ``exact_delays``. A message arrives by the range at the time, and waits for what it has
    booked behind that.
    """

    def __init__(self, plan: Plan, isls: IslPlan, *, exact_delays: bool) -> None:
        self._isls = isls
        self._exact = exact_delays
        self._contacts = plan.contacts
        self._links = len(isls)
        self._ground = len(isls.names)
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
        contacts = self._contacts
        for k, name in enumerate(self._isls.names):
            for number in contacts.services(name).tolist():
                span_s = float(contacts.start_s[number]), float(contacts.end_s[number])
                yield self._links + number, k, self._ground, *span_s
                yield self._links + number, self._ground, k, *span_s
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
        return self._contacts.named(hop.contact - self._links)[0]

    def opens_s(self, hop: Hop) -> float:
        """Return when the link or pass of a hop opens."""
        if hop.contact < self._links:
            return float(self._isls.start_s[hop.contact])
        return float(self._contacts.start_s[hop.contact - self._links])

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
