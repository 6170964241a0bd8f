"""Mesh: carries what satellites send by store and forward, over links and passes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
import simpy

from learning.requests.payload import Payload
from learning.requests.peers import SERVER, Arrival, Send
from sim.clock import Clock
from sim.facts.stream import Facts
from sim.facts.transfers import MessageLost, Outcome
from sim.network.books import Account, Booked, PayloadKey
from sim.network.contact_bands import Hop
from sim.network.endpoint import Endpoint
from sim.network.hop_log import OVER_LINK, SERVER_NAME, HopLog, MovedOverHop
from sim.network.journeys import journey_of
from sim.network.mesh_timetable import MeshTimetable
from sim.network.payload_list import PayloadList
from sim.plan.plan import Plan
from sim.trace.directions import TOWARD_PEER, Way

NO_ROUTE = "no route before the end"
"""Why a message is not sent at all."""

ONE = np.ones(1, bool)
"""The only device of a satellite."""


class Carried(NamedTuple):
    """When the last bit of a message was there, and the pass that it went over."""

    time_s: float
    contact_id: int


@dataclass
class Shortfall:
    """Messages of one way that have not arrived: without a route, or under way at the end."""

    no_route: int = 0
    under_way: int = 0
    largest_bytes: float = 0.0

    @property
    def messages(self) -> int:
        """How many they are."""
        return self.no_route + self.under_way


@dataclass(eq=False)
class Message:
    """A message under way: who is the client, its hops, and how many of these have ended.

    Its ``way`` is None between clients.
    """

    number: int
    client: str
    way: Way | None
    payload: Payload
    device: int = 0
    hops: Sequence[Hop] = ()
    ended: int = 0
    listed: PayloadKey | None = None

    @cached_property
    def size(self) -> float:
        """Bytes in all."""
        return float(np.asarray(self.payload.bytes).reshape(-1)[0])

    @cached_property
    def version(self) -> int:
        """The version of its payload."""
        return int(np.asarray(self.payload.version).reshape(-1)[0])


class Mesh:
    """Carries messages between satellites and their server, or each other, each hop when it is due.

    A message goes in one piece over each hop, by the way that brings it there first, and books the
    time of each: nobody else sends over that link, or in that pass, this way at that time.
    Between clients it goes over links alone. With ``exact_delays`` routes are searched with the
    range at each time, which counts where messages take milliseconds, else with the longest one of
    each window. What did not arrive at the server or from there is ``missing``.

    A message has one event, its arrival. The hops until then are booked ahead, so that nothing
    changes them: they are written down when somebody looks, in the order in which they have ended.
    Only where a battery has to know at the time each hop has an event of its own.
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
        self._timetable = MeshTimetable(plan, plan.isls, exact_delays=exact_delays)
        self._names = plan.isls.names
        self._accounts: defaultdict[PayloadKey, Account] = defaultdict(Account)
        self._unfinished: defaultdict[PayloadKey, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._sending_s: defaultdict[str, float] = defaultdict(float)
        self._under_way: dict[Message, None] = {}
        self._ending: list[tuple[float, int, Message]] = []
        self._log = HopLog(facts)
        self._has_batteries = any(
            endpoint.devices.battery is not None for endpoint in endpoints.values()
        )
        self._messages = 0
        self.missing = {way: Shortfall() for way in Way}

    def carry(
        self, client: str, way: Way, payload: Payload
    ) -> Generator[simpy.Event, object, Carried | None]:
        """Carry a payload from a client to the server, or back; None if it never gets there.

        That is known at once.
        """
        ends = self._names.index(client), len(self._names)
        source, target = ends if way is Way.TO_SERVER else ends[::-1]
        message = Message(self.next_number(), client, way, payload)
        hops = self._set_off(message, source, target)
        if hops is None:
            return None
        yield from self._travel(hops)
        passes = (self._timetable.pass_of(hop) for hop in hops)
        contact_id = next(contact_id for contact_id in passes if contact_id is not None)
        return Carried(hops[-1].arrival_s, contact_id)

    def exchange(self, send: Send) -> Generator[simpy.Event, object, Arrival]:
        """Carry a message from one client to another, or between one and the server.

        Reply when it is there; at once where it never gets there.
        """
        source, target = (
            len(self._names) if node == SERVER else self._names.index(node.cluster)
            for node in (send.source, send.target)
        )
        client = send.target if send.source == SERVER else send.source
        way = None
        if SERVER in (send.source, send.target):
            way = Way.TO_SERVER if send.target == SERVER else Way.TO_CLIENT
        message = Message(self.next_number(), client.cluster, way, send.payload)
        ready_s = self._clock.now
        hops = self._routed(message, source, target)
        if hops is None:
            return Arrival(delivered=False, time_s=ready_s, reason=NO_ROUTE)
        yield from self._travel(hops)
        journey = journey_of(hops, ready_s, self._timetable.opens_s)
        return Arrival(delivered=True, time_s=hops[-1].arrival_s, journey=journey)

    def _travel(self, hops: Sequence[Hop]) -> Generator[simpy.Event, object, None]:
        """Wait until a message is there."""
        if hops:
            yield self._clock.at(max(hops[-1].arrival_s, self._clock.now))
        self._catch_up()

    def next_number(self) -> int:
        """Return the number of another message."""
        self._messages += 1
        return self._messages

    def arrival_s(self, source: str, target: str, size: float, ready_s: float) -> float:
        """Return when so many bytes would be at a satellite that are at another from a time on.

        That is inf if they never are. For stations as the server stands "".
        """
        ends = self._node(source), self._node(target)
        return self._timetable.arrival_s(*ends, 8.0 * size, ready_s)

    def _node(self, name: str) -> int:
        """Return the node of a satellite, or of the stations, which are one."""
        return self._names.index(name) if name else len(self._names)

    def send(self, message: Message, source: str, target: str) -> float:
        """Let a message set off from a satellite to another now; return when it is there.

        That is inf if it never is. For stations as the server stands "".
        """
        hops = self._set_off(message, self._node(source), self._node(target))
        if hops is None:
            return math.inf
        if hops:  # before whoever waits for it goes on at that time
            self._clock.call_at(f"message {message.number}", hops[-1].arrival_s, self._catch_up)
        return hops[-1].arrival_s if hops else self._clock.now

    def _set_off(self, message: Message, source: int, target: int) -> list[Hop] | None:
        """Let a message set off now; return its hops, or tell that it never arrives."""
        hops = self._routed(message, source, target)
        if hops is None:
            self.lose(message)
        return hops

    def _routed(self, message: Message, source: int, target: int) -> list[Hop] | None:
        """Book the hops of a message that sets off now; None if it never arrives."""
        hops = self._timetable.booked(
            source, target, 8.0 * message.size, self._clock.now, over_links=message.way is None
        )
        if hops is None:
            return None
        if hops:
            message.hops = hops
            self._under_way[message] = None
            self._expect_end(message)
            if self._has_batteries:
                for hop in hops:
                    name = f"message {message.number}"
                    self._clock.call_at(name, hop.arrival_s, self._catch_up)
        return hops

    def _expect_end(self, message: Message) -> None:
        """Let the next hop of a message end; of hops that end together that of the older message.

        So their order does not depend on when somebody looks.
        """
        end_s = message.hops[message.ended].arrival_s
        heappush(self._ending, (end_s, message.number, message))

    def _catch_up(self) -> None:
        """Write all hops down that have ended by now, in order."""
        now_s = self._clock.now
        ending = self._ending
        while ending and ending[0][0] <= now_s:
            end_s, _, message = heappop(ending)
            hop = message.hops[message.ended]
            message.ended += 1
            self._book(message, hop, message.size, end_s, Outcome.DELIVERED)
            if message.ended < len(message.hops):
                self._expect_end(message)
            else:
                del self._under_way[message]
        if self._log.is_long:
            self._log.flush()

    def flush(self) -> None:
        """Emit the rows of all hops that have ended by now."""
        self._catch_up()
        self._log.flush()

    def lose(self, message: Message) -> None:
        """Tell of a message to the server, or from there, that never arrives."""
        assert message.way is not None
        missing = self.missing[message.way]
        missing.no_route += 1
        missing.largest_bytes = max(missing.largest_bytes, message.size)
        self._facts.emit(
            MessageLost(
                time_s=self._clock.now,
                cluster=message.client,
                device=message.device,
                version=message.version,
                payload=message.payload.name,
                target=message.way,
                reason=NO_ROUTE,
            )
        )

    def _key(self, message: Message, hop: Hop, contact_id: int | None) -> PayloadKey:
        """By which direction and receiver a hop is booked: that of a link, or of a pass."""
        name = message.payload.name
        if contact_id is not None and message.way is not None:
            return PayloadKey(self._topology.direction(message.way), message.way, name)
        if self._timetable.gateway_of(hop) is not None:
            up = hop.source == len(self._names)
            return PayloadKey("uplink" if up else "downlink", TOWARD_PEER, name)
        return PayloadKey("isl", TOWARD_PEER, name)

    def _book(
        self, message: Message, hop: Hop, moved: float, end_s: float, outcome: Outcome
    ) -> None:
        """Count a hop that has ended, or got so far by the end of the run, and write it down."""
        contact_id = self._timetable.pass_of(hop)
        key = self._key(message, hop, contact_id)
        size = message.size
        account = self._accounts[key]
        if message.listed != key:
            message.listed = key
            self._payloads.add(key.direction, key.toward, message.payload, ONE)
        account.offered += size
        account.sent += moved
        if outcome is Outcome.DELIVERED:
            account.delivered += size
        else:
            self._unfinished[key][0] += size
            self._unfinished[key][1] += moved
        if hop.source < len(self._names):
            self._count_sending(hop, end_s, over_link=contact_id is None)
        if moved > 0.0:
            self._log.add(
                MovedOverHop(
                    message.number,
                    self._name(hop, hop.source),
                    self._name(hop, hop.target),
                    OVER_LINK if contact_id is None else contact_id,
                    key,
                    message.version,
                    size,
                    moved,
                    hop.begin_s,
                    end_s,
                    outcome,
                )
            )

    def _count_sending(self, hop: Hop, by_s: float, *, over_link: bool) -> None:
        """Count the time and energy of a satellite that sends to another one, or to the server."""
        lasts_s = min(hop.sent_s, by_s) - hop.begin_s
        sender = self._names[hop.source]
        if over_link:
            self._sending_s[sender] += lasts_s
        client = self._endpoints.get(sender)
        if client is None:  # one that serves devices on the ground
            return
        if not over_link:
            client.sent_s = client.sent_s + lasts_s
        if self._has_batteries and client.devices.battery is not None:
            client.devices.battery.send(by_s, lasts_s, to_peer=over_link)

    def _name(self, hop: Hop, node: int) -> str:
        """Return the name of an end of a hop: a satellite, a gateway, or that of the server."""
        if node < len(self._names):
            return self._names[node]
        return self._timetable.gateway_of(hop) or SERVER_NAME

    def settle_all(self, end_s: float) -> None:
        """Write hops that are under way as far as they got by ``end_s``, the end of the run."""
        self._catch_up()
        for message in self._under_way:
            if message.way is not None:
                missing = self.missing[message.way]
                missing.under_way += 1
                missing.largest_bytes = max(missing.largest_bytes, message.size)
            hop = message.hops[message.ended]
            if hop.begin_s >= end_s:
                continue
            share = 1.0
            if hop.sent_s > end_s:
                share = (end_s - hop.begin_s) / (hop.sent_s - hop.begin_s)
            self._book(message, hop, message.size * share, end_s, Outcome.CARRIED)
        self._under_way.clear()
        self._ending.clear()

    def booked(self) -> Iterator[Booked]:
        """Yield the account of each payload in each direction: every hop offers it anew."""
        for key, account in self._accounts.items():
            open_bytes, through = self._unfinished.get(key, (0.0, 0.0))
            yield Booked(key, account, open_bytes=open_bytes, unfinished_bytes=through)

    def sending_s(self, client: str) -> float:
        """Seconds of the hops over links that a satellite has sent, and that have ended by now."""
        self._catch_up()
        return self._sending_s.get(client, 0.0)
