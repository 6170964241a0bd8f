"""MeshLink: a satellite's link to its server over the mesh, step by step."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Generator, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

import numpy as np
import simpy

from learning.requests.cluster import Download, Receipt, Step, Train, Upload, Work
from learning.requests.payload import Payload
from learning.requests.reasons import Reason
from sim.devices.devices import Devices
from sim.facts.directions import Way
from sim.mesh.hops import MeshMessage
from sim.mesh.messages import Mesh
from sim.network.chains import Chain, Reply, ServiceLink, check_names, way_of
from sim.network.endpoint import Shared, everybody
from sim.network.sessions import ClusterSessions
from sim.network.transfer import Transfer
from sim.plan.contacts import PlannedSession, PlannedSessions
from statements.arrays import Floats

NOTHING_LEFT = np.zeros(1)
"""Bytes that are left of what has arrived; all receipts share it."""
NOTHING_LEFT.setflags(write=False)


class MeshLink(ServiceLink):
    """Chains of one satellite, whose transfers the ``mesh`` carries: one step behind the other.

    No contact cuts a transfer off: a message waits on its way for what is to open.
    """

    def __init__(
        self, sessions: ClusterSessions, devices: Devices, shared: Shared, mesh: Mesh
    ) -> None:
        super().__init__(sessions, devices, shared)
        self._mesh = mesh

    def chain(self, steps: Sequence[Step]) -> Generator[simpy.Event, Any, list[Reply]]:
        """Let the satellite go through ``steps``; reply when it has ended.

        It takes no part in what is behind a transfer that has no route, or a training for which it
        lacks the memory.
        """
        check_names(steps)
        replies: list[Reply] = []
        able = True
        for step in steps:
            if not (able and (step.who is None or bool(step.who[0]))):
                replies.append(_not_taken(step, 1))
            elif isinstance(step, Train):
                # Nothing cuts the rounds short: there is no contact in which they have to end.
                [work] = yield from super().chain([replace(step, partial=False)])
                assert isinstance(work, Work)  # which a training is replied
                never = work.end_s[0] == math.inf  # for want of charge
                able = not (work.excluded[0] or never)
                replies.append(work)
            else:
                receipt = yield from self._carry(step)
                able = bool(receipt.done[0])
                replies.append(receipt)
        return replies

    def _carry(self, step: Upload | Download) -> Generator[simpy.Event, Any, Receipt]:
        clock = self.clock
        free_s = float(self.devices.free_s[0])
        if free_s > clock.now:
            yield clock.at(free_s)
        carried = yield from self._mesh.carry(self.cluster.name, way_of(step), step.payload)
        if carried is None:
            return _not_sent(step, 1, Reason.NO_ROUTE)
        self.sessions.mark_used()
        return Receipt(
            np.ones(1, bool),
            np.array([carried.time_s]),
            np.array(step.payload.bytes, float, ndmin=1),
            NOTHING_LEFT,
            given_up=np.zeros(1, bool),
            contact_id=np.array([carried.contact_id]),
        )


def _not_taken(step: Step, k: int, reason: Reason = Reason.NONE) -> Reply:
    """Return the reply of a step in which none of so many devices takes part."""
    if isinstance(step, Train):
        return Work(np.zeros(k, np.int64), np.full(k, math.inf), np.zeros(k, bool))
    return _not_sent(step, k, reason)


def _not_sent(step: Upload | Download, k: int, reason: Reason) -> Receipt:
    """Return the reply of a transfer of which nothing has moved, for so many devices."""
    size = np.full(k, step.payload.bytes, float)
    return Receipt(
        np.zeros(k, bool), np.full(k, math.inf), np.zeros(k), size, reason, np.zeros(k, bool)
    )


class AccessLink(ServiceLink):
    """Chains of devices on the ground, of which each goes over one pass of one satellite.

    What the devices download is first brought from the ``server``, another satellite, to that of
    the pass by the ``mesh``, in one message for all of them. What each of them uploads is a message
    of its own that sets off when its last bit is there; what a pass cuts off and is to be gone on
    with, when the chain has ended. Asked for in a contact, a chain that begins with a transfer goes
    over the pass by which that is there first, this one or a later one: one of the ``sessions``, by
    which uploads come to the server, or of all ``passes`` where nothing is uploaded. The ``server``
    is "" where stations are it.
    """

    def __init__(
        self,
        sessions: ClusterSessions,
        devices: Devices,
        shared: Shared,
        *,
        passes: PlannedSessions,
        mesh: Mesh,
        server: str,
    ) -> None:
        super().__init__(sessions, devices, shared)
        self._passes = passes
        self._mesh = mesh
        self._server = server
        self._parts_s: dict[str, Floats] = {}

    def chain(self, steps: Sequence[Step]) -> Generator[simpy.Event, Any, list[Reply]]:
        """Let every device run through ``steps``; reply when all messages have arrived.

        Nobody takes part in a chain of which the first transfer never arrives. Out of contact
        nothing is sent.
        """
        check_names(steps)
        clock = self.clock
        session = open_now = self.sessions.use()
        first = steps[0]
        if session is not None and isinstance(first, Upload | Download) and self._asks(first):
            uploads = any(isinstance(step, Upload) for step in steps)
            session = self._best(first, self.sessions.planned if uploads else self._passes)
            if session is None:
                size = float(np.max(self._left(first)))
                self._mesh.lose(self._message(way_of(first), first.payload, size))
                return self._nothing(steps)
        held_s, numbers = self._bring(steps, session)
        if math.inf in held_s:
            return self._nothing(steps)
        if session is not None and session.start_s > clock.now:
            yield clock.at(session.start_s)
        chain = Chain(steps, session, clock.now, self.closing, held_s)
        chain.plan(self, self._going_on)
        self._number(chain, numbers)
        replies = yield from self._carry(chain, session)
        if open_now is not None and session is not None and _number(open_now) != _number(session):
            self.sessions.mark_used()
        return replies

    # Which pass a chain goes over.

    def _asks(self, step: Upload | Download) -> bool:
        """Whether any device has something to send or to get."""
        who = everybody(step.who, self.cluster.devices)
        return bool((who & (np.asarray(step.payload.bytes) > 0)).any())

    def _best(self, step: Upload | Download, planned: PlannedSessions) -> PlannedSession | None:
        """Return the session by which a transfer is there first; None if none ever brings it.

        One that it begins in and that cuts it off counts where none before it brings it whole.
        """
        now_s = self.clock.now
        best_s = math.inf
        best: PlannedSession | None = None
        for place in range(max(bisect_right(planned.starts_s, now_s) - 1, 0), len(planned)):
            if planned.starts_s[place] >= best_s:
                break
            if planned.ends_s[place] <= now_s:
                continue
            there_s, is_cut_off = self._there(step, planned[place])
            if there_s < best_s:
                best_s = there_s
                best = planned[place]
            elif is_cut_off and best is None:
                return planned[place]
        return best

    def _there(self, step: Upload | Download, session: PlannedSession) -> tuple[float, bool]:
        """When a transfer over a session is there if it is alone, and whether it is cut off.

        The time is inf for one that never is, or is cut off.
        """
        now_s = self.clock.now
        satellite = _satellite(session)
        from_s = now_s
        if isinstance(step, Download):
            size = self._size(step)
            from_s = self._mesh.arrival_s(self._server, satellite, size, now_s)
            if from_s >= session.end_s:
                return math.inf, False
        begins, end_s = self._alone(step, session, from_s)
        if isinstance(step, Download) or end_s == math.inf:
            return end_s, begins and end_s == math.inf
        size = float(self._left(step).max())
        return self._mesh.arrival_s(satellite, self._server, size, end_s), False

    def _alone(
        self, step: Upload | Download, session: PlannedSession, from_s: float
    ) -> tuple[bool, float]:
        """Whether devices begin in a session from a time on, and when the last one has ended."""
        who = everybody(step.who, self.cluster.devices)
        ready_s = np.maximum(self.devices.free_s, from_s)
        who = who & (ready_s <= session.end_s)
        if not who.any():
            return False, math.inf
        arrival_s = np.where(who, session.in_service_s(ready_s), np.inf)
        beam = session.beam(way_of(step))
        if beam is None:
            return True, float(arrival_s[who].max())
        personal = isinstance(step, Download) and step.personal
        given = beam.send(arrival_s, 8.0 * self._left(step), who, personal=personal)
        end_s = float(given.end_s[who].max())
        if end_s < math.inf:
            end_s += float(session.delay_s(np.full(len(who), end_s))[who].max())
        return bool((given.begin_s[who] < math.inf).any()), end_s

    def _left(self, step: Upload | Download) -> Floats:
        """Bytes (K,) that devices still have to send or to get of a payload; 0 for others."""
        k = self.cluster.devices
        size = np.full(k, step.payload.bytes, float)
        version = np.full(k, step.payload.version, np.int64)
        left = self.ledger.left(way_of(step), step.payload.name, version, size)
        return np.where(everybody(step.who, k), left, 0.0)

    def _size(self, step: Download) -> float:
        """Bytes that the satellite of a pass needs: what is personal it needs of every device."""
        left = self._left(step)
        return float(left.sum() if step.personal else left.max())

    # Messages over the mesh.

    def _bring(
        self, steps: Sequence[Step], session: PlannedSession | None
    ) -> tuple[list[float], list[int]]:
        """Send what is downloaded to the satellite of a session.

        Returns for each step when that is there, inf for never, and the number of its message.
        """
        held_s = [-math.inf] * len(steps)
        numbers = [0] * len(steps)
        for place, step in enumerate(steps):
            if not isinstance(step, Download) or session is None:
                continue
            message = self._message(Way.TO_CLIENT, step.payload, self._size(step))
            numbers[place] = message.number
            if message.size:
                held_s[place] = self._mesh.send(message, self._server, _satellite(session))
        return held_s, numbers

    def _message(self, way: Way, payload: Payload, size: float) -> MeshMessage:
        """Return a message of a payload, as large as there is of it to be sent."""
        version = int(np.max(payload.version))
        sent = Payload(payload.name, size, version, payload.tensors)
        return MeshMessage(self._mesh.next_number(), self.cluster.name, way, sent)

    def _number(self, chain: Chain, numbers: Sequence[int]) -> None:
        """Give each transfer of a chain the numbers of its messages: downloads share one."""
        for leg, number in zip(chain.legs, numbers, strict=True):
            if not isinstance(leg, Transfer):
                continue
            if leg.way is Way.TO_CLIENT:
                leg.message = np.full(len(leg.who), number)
            else:
                leg.message = np.array([self._mesh.next_number() for _ in leg.who], np.int64)

    def _carry(
        self, chain: Chain, session: PlannedSession | None
    ) -> Generator[simpy.Event, Any, list[Reply]]:
        """Let a chain end, and send on what has been uploaded; reply when that has arrived."""
        clock = self.clock
        ending = chain.ending()
        self._going_on.append(chain)
        uploads = [] if session is None else chain.transfers(Way.TO_SERVER)
        arrival_s = {leg.name: np.full(len(leg.who), np.inf) for leg in uploads}
        for end_s, sent, device in _in_order(uploads, ending.time_s):
            yield clock.at(end_s)
            size = float(sent.left[device])
            arrival_s[sent.name][device] = self._send_on(sent, device, size, session)
        yield clock.at(ending.time_s)
        self._going_on.remove(chain)
        replies = [
            self._at_server(leg, reply, arrival_s[leg.name], session)
            if isinstance(leg, Transfer) and isinstance(reply, Receipt) and leg in uploads
            else reply
            for leg, reply in zip(chain.legs, chain.settle(self, ending), strict=True)
        ]
        there_s = [
            reply.end_s[reply.done].max()
            for reply in replies
            if isinstance(reply, Receipt) and reply.done.any()
        ]
        yield clock.at(max([ending.time_s, *map(float, there_s)]))
        return replies

    def _send_on(
        self, leg: Transfer, device: int, size: float, session: PlannedSession | None
    ) -> float:
        """Send on what a satellite has got of a device; return when it is there, inf for never."""
        assert session is not None  # else nothing is uploaded
        assert leg.message is not None  # uploads are numbered as they are planned
        message = MeshMessage(
            int(leg.message[device]),
            self.cluster.name,
            Way.TO_SERVER,
            Payload(leg.name, size, int(leg.version[device])),
            device,
        )
        return self._mesh.send(message, _satellite(session), self._server)

    def _send_parts_on(
        self, leg: Transfer, reply: Receipt, session: PlannedSession | None
    ) -> Floats:
        """Send parts on that the end of a pass has cut off.

        Returns when the last of the parts by now is at the server, for each device (K,): inf for
        never, -inf for a payload that has come in one.
        """
        parts_s = self._parts_s.get(leg.name, np.full(len(leg.who), -np.inf))
        parts_s = np.where(leg.who & (leg.before == 0), -np.inf, parts_s)
        more = np.where(leg.who & ~reply.done, reply.delivered_bytes - leg.before, 0.0)
        for device in np.flatnonzero(more > 0).tolist():
            there_s = self._send_on(leg, device, float(more[device]), session)
            parts_s[device] = max(parts_s[device], there_s)
        self._parts_s[leg.name] = parts_s
        return parts_s

    def _at_server(
        self, leg: Transfer, reply: Receipt, arrival_s: Floats, session: PlannedSession | None
    ) -> Receipt:
        """Turn the receipt of a satellite into that of the server.

        A payload is there when its last part is; one whose parts do not all arrive is lost.
        """
        parts_s = self._send_parts_on(leg, reply, session)
        end_s = np.where(reply.done, np.maximum(arrival_s, parts_s), np.inf)
        lost = reply.done & (end_s == np.inf)
        if not lost.any():
            return replace(reply, end_s=end_s)
        given_up = lost if reply.given_up is None else reply.given_up | lost
        return replace(
            reply,
            done=reply.done & ~lost,
            end_s=end_s,
            delivered_bytes=np.where(lost, 0.0, reply.delivered_bytes),
            left_bytes=np.where(lost, leg.size, reply.left_bytes),
            reason=reply.reason or Reason.NO_ROUTE,
            given_up=given_up,
        )

    def _nothing(self, steps: Sequence[Step]) -> list[Reply]:
        """Return the replies of a chain in which nobody takes part."""
        return [_not_taken(s, self.cluster.devices, Reason.NO_ROUTE) for s in steps]


def _in_order(uploads: Sequence[Transfer], by_s: float) -> list[tuple[float, Transfer, int]]:
    """Return the uploads that are through by a time, in the order in which they are.

    Each comes with when its last bit is at the satellite, and with its device.
    """
    found = [
        (float(leg.end_s[device]), leg, device)
        for leg in uploads
        for device in np.flatnonzero(leg.who & (leg.end_s <= by_s)).tolist()
    ]
    return sorted(found, key=itemgetter(0))


def _number(session: PlannedSession) -> int:
    """The number of the one contact of a session."""
    return session.contacts[0].contact_id


def _satellite(session: PlannedSession) -> str:
    """The name of the one satellite of a session."""
    return session.contacts[0].satellite
