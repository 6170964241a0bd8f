"""Mesh: carries what satellites send by store and forward, over links and passes."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from typing import NamedTuple

import numpy as np
import simpy

from learning.requests.payload import Payload
from learning.requests.peers import SERVER, Arrival, Journey, Reach, Send
from learning.requests.reasons import Reason
from sim.devices.devices import Devices
from sim.facts.directions import Way
from sim.facts.transfers import MessageLost
from sim.mesh.contacts import Route
from sim.mesh.hops import HopKinds, Hops, HopsUnderWay, MeshMessage
from sim.mesh.sessions import arrivals, windows_of_each
from sim.mesh.timetable import MeshTimetable
from sim.network.endpoint import Shared
from sim.network.legs import HopRows
from sim.plan.isl import IslPlan
from sim.plan.plan import Plan
from statements.arrays import Floats, Mask


class MeshReach:
    """Answers which of N satellites a message of one can get to, whatever others send."""

    def __init__(self, isls: IslPlan) -> None:
        self._isls = isls
        self._windows = windows_of_each(isls)

    def at_all(self, source: str, now_s: float) -> Mask:
        """Return those (N,) to whom links lead from now on, one after the other; itself too."""
        ways = arrivals(self._windows, self._isls.names.index(source), now_s)
        reached: Mask = np.zeros(len(self._isls.names), bool)
        reached[[node for node, *_ in ways]] = True
        return reached

    def within(
        self, source: str, now_s: float, hops: int | None = None, within_s: float | None = None
    ) -> Mask:
        """Return those (N,) to whom a path of links leads that are open now, itself too.

        It has at most so many ``hops``, and light takes so long over it at most.
        """
        isls = self._isls
        delay_s = np.full(len(isls.names), np.inf)
        delay_s[isls.names.index(source)] = 0.0
        links = np.flatnonzero((isls.start_s <= now_s) & (now_s < isls.end_s))
        one, other = isls.a[links], isls.b[links]
        lasts_s = np.zeros(len(links))
        if within_s is not None:
            lasts_s = np.array([isls.delay_s(link, now_s) for link in links.tolist()])
        for _ in range(len(delay_s) - 1 if hops is None else hops):
            before = delay_s.copy()
            np.minimum.at(delay_s, other, before[one] + lasts_s)
            np.minimum.at(delay_s, one, before[other] + lasts_s)
            if np.array_equal(delay_s, before):
                break
        reached: Mask = delay_s <= (np.finfo(float).max if within_s is None else within_s)
        return reached


class Carried(NamedTuple):
    """When the last bit of a message was there, and the pass that it went over."""

    time_s: float
    contact_id: int


class Mesh:
    """Carries messages between satellites and their server, or each other, each hop when it is due.

    A message goes in one piece over each hop, by the way that brings it there first, and books the
    time of each: nobody else sends over that link, or in that pass, this way at that time.
    Between clients it goes over links alone. With ``exact_delays`` routes are searched with the
    range at each time, which counts where messages take milliseconds, else with the longest one of
    each window.

    A message has one event, its arrival. The hops until then are booked ahead, and ``HopsUnderWay``
    write them down. Only where a battery has to know at the time has each an event of its own, and
    is written down in no other: what somebody looks at does not drain a battery before its turn.
    """

    def __init__(
        self,
        plan: Plan,
        shared: Shared,
        devices: Mapping[str, Devices],
        *,
        exact_delays: bool = False,
    ) -> None:
        assert plan.isls is not None  # the plan of a mesh has links
        self._clock = shared.clock
        self._facts = shared.facts
        self._timetable = MeshTimetable(plan, plan.isls, exact_delays=exact_delays)
        self._reach = MeshReach(plan.isls)
        self._nodes = {name: node for node, name in enumerate(plan.isls.names)}
        self._ground = len(self._nodes)
        self._kinds = HopKinds(plan, plan.isls)
        contacts = self._timetable.contacts
        self._log = HopsUnderWay(
            shared, contacts, self._kinds, self._count_sending, self._timetable.law
        )
        shared.log.follow(self._rows)
        self._flush = shared.log.flush
        self._sending_s = np.zeros(self._ground)
        # None for a satellite that serves devices on the ground.
        self._senders = [devices.get(name) for name in plan.isls.names]
        self._has_batteries = any(own.battery is not None for own in devices.values())
        self._messages = 0

    def carry(
        self, client: str, way: Way, payload: Payload
    ) -> Generator[simpy.Event, object, Carried | None]:
        """Carry a payload from a client to the server, or back; None if it never gets there.

        That is known at once.
        """
        ends = self._nodes[client], self._ground
        source, target = ends if way is Way.TO_SERVER else ends[::-1]
        message = MeshMessage(self.next_number(), client, way, payload)
        route = self._set_off(message, source, target)
        if route is None:
            return None
        yield self._there(route)
        return Carried(route.arrival_s[-1], self._timetable.contact_of(route))

    def exchange(self, send: Send) -> Generator[simpy.Event, object, Arrival]:
        """Carry a message from one client to another, or between one and the server.

        Reply when it is there; at once where it never gets there.
        """
        source, target = (
            self._ground if node == SERVER else self._nodes[node.cluster]
            for node in (send.source, send.target)
        )
        client = send.target if send.source == SERVER else send.source
        way = None
        if SERVER in (send.source, send.target):
            way = Way.TO_SERVER if send.target == SERVER else Way.TO_CLIENT
        message = MeshMessage(self.next_number(), client.cluster, way, send.payload)
        ready_s = self._clock.now
        route = self._routed(message, source, target)
        if route is None:
            return Arrival(delivered=False, time_s=ready_s, reason=Reason.NO_ROUTE)
        if route:
            yield self._there(route)
        journey = journey_of(route, ready_s, self._timetable.contacts.start_s)
        return Arrival(delivered=True, time_s=route.arrival_s[-1], journey=journey)

    def reach(self, cluster: str, asked: Reach) -> Mask:
        """Whom a message of a satellite can get to (N,): over links by the end, itself too.

        Within limits, over those that are open now.
        """
        now_s = self._clock.now
        if asked.hops is None and asked.within_s is None:
            return self._reach.at_all(cluster, now_s)
        return self._reach.within(cluster, now_s, asked.hops, asked.within_s)

    def _there(self, route: Route) -> simpy.Event:
        """Return the event at which a message is there."""
        return self._clock.at(max(route.arrival_s[-1], self._clock.now))

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
        return self._nodes[name] if name else self._ground

    def send(self, message: MeshMessage, source: str, target: str) -> float:
        """Let a message set off from a satellite to another now; return when it is there.

        That is inf if it never is. For stations as the server stands "".
        """
        route = self._set_off(message, self._node(source), self._node(target))
        if route is None:
            return math.inf
        return route.arrival_s[-1] if route else self._clock.now

    def _set_off(self, message: MeshMessage, source: int, target: int) -> Route | None:
        """Let a message set off now; return its hops, or tell that it never arrives."""
        route = self._routed(message, source, target)
        if route is None:
            self.lose(message)
        return route

    def _routed(self, message: MeshMessage, source: int, target: int) -> Route | None:
        """Book the hops of a message that sets off now; None if it never arrives."""
        route = self._timetable.booked(
            source, target, 8.0 * message.size, self._clock.now, over_links=message.way is None
        )
        if route is None:
            return None
        if route:
            self._log.add(message, route)
            if self._log.is_long:
                self._flush()
            if self._has_batteries:
                for arrival_s in route.arrival_s:
                    self._clock.call_at(f"message {message.number}", arrival_s, self._write)
        return route

    def _write(self) -> None:
        """Write all hops down that have ended by now."""
        self._log.look(self._clock.now)

    def _rows(self) -> HopRows | None:
        """Return rows of the hops that have ended by now."""
        self._look()
        return self._log.rows()

    def _look(self) -> None:
        """Write all hops down that have ended by now, unless their events do."""
        if not self._has_batteries:
            self._write()

    def lose(self, message: MeshMessage) -> None:
        """Tell of a message to the server, or from there, that never arrives."""
        assert message.way is not None
        self._facts.emit(
            MessageLost(
                time_s=self._clock.now,
                cluster=message.client,
                device=message.device,
                version=message.version,
                payload=message.payload.name,
                target=message.way,
                reason=Reason.NO_ROUTE,
            )
        )

    def _count_sending(self, hops: Hops) -> None:
        """Count time and energy of satellites that send to another one, or to the server."""
        contacts = self._timetable.contacts
        source = contacts.source[hops.row]
        flies = source < self._ground
        to_server = self._kinds.is_with_server(contacts.number[hops.row])
        lasts_s = hops.sending_s
        over_links = flies & ~to_server
        np.add.at(self._sending_s, source[over_links], lasts_s[over_links])
        down = np.flatnonzero(flies & to_server)
        for node, down_s in zip(source[down].tolist(), lasts_s[down].tolist(), strict=True):
            sender = self._senders[node]
            if sender is not None:
                sender.sent_s = sender.sent_s + down_s
        for row in np.flatnonzero(flies).tolist() if self._has_batteries else ():
            sender = self._senders[source[row]]
            battery = None if sender is None else sender.battery
            if battery is not None:
                battery.send(
                    float(hops.end_s[row]), float(lasts_s[row]), to_peer=not to_server[row]
                )

    def settle_all(self, end_s: float) -> None:
        """Write hops that are under way as far as they got by ``end_s``, the end of the run."""
        self._log.cut_off(end_s)

    def sending_s(self, client: str) -> float:
        """Seconds of the hops over links that a satellite has sent, and that have ended by now."""
        self._look()
        node = self._nodes.get(client)
        return 0.0 if node is None else float(self._sending_s[node])


def journey_of(route: Route, ready_s: float, opens_s: Floats) -> Journey:
    """Return the parts of the time from ``ready_s`` until the last hop has arrived.

    The link or pass of a row opens at ``opens_s`` (M,): before that a message waits for it, and
    afterwards for those that are sent before.
    """
    propagation_s = transmission_s = window_s = queue_s = 0.0
    for row, begin_s, sent_s, arrival_s in route.hops():
        waits_s = begin_s - ready_s
        closed_s = min(max(float(opens_s[row]) - ready_s, 0.0), waits_s)
        window_s += closed_s
        queue_s += waits_s - closed_s
        transmission_s += sent_s - begin_s
        propagation_s += arrival_s - sent_s
        ready_s = arrival_s
    return Journey(len(route), propagation_s, transmission_s, window_s, queue_s)
