"""Peers: which device can send to which, and what single devices compute.

Relay: messages through the satellites, up in the source's contacts and down in the target's.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import simpy

from learning.requests.cluster import Cluster, Cost, Download, Receipt, Upload
from learning.requests.payload import Payload
from learning.requests.peers import (
    SERVER,
    Arrival,
    Compute,
    LinkWindow,
    NextLink,
    Node,
    Reach,
    Send,
)
from learning.requests.reasons import Reason
from sim.clock import Clock, Process
from sim.devices.energy import Use
from sim.errors import SimulationError
from sim.facts.directions import Way
from sim.facts.transfers import MessageLost
from sim.links.sidelinks import Sidelinks
from sim.network.chains import ServiceLink
from sim.network.endpoint import Shared
from sim.network.link_queue import LinkQueue
from sim.plan.plan import Plan
from statements.arrays import Floats, Mask

Relaying = Literal["none", "contact", "store"]

RELAY = "relay"
"""Name of what relayed messages of one device are sent as, together."""


class Access(NamedTuple):
    """One way over the link of a device: from it to the server, or from that to it."""

    way: Way
    node: Node

    def __str__(self) -> str:
        return f"{RELAY} to the {self.way}, {self.node}"


@dataclass(frozen=True, eq=False)
class _Message:
    """A message, the accesses that it has still to go over, and who waits for it."""

    send: Send
    accesses: list[Access]
    reply: simpy.Event


class Relay:
    """Stores messages at the satellites and forwards them, over the links of the clusters.

    What waits at a device when a session is open goes up together, and what waits for one comes
    down together: as a chain of one step, so that it shares the beam with all other chains. A
    payload that a session cuts off is finished in the next one, as the ledger of
    its link says.
    """

    def __init__(
        self,
        clock: Clock,
        links: Mapping[str, ServiceLink],
        policy: Relaying,
    ) -> None:
        self._clock = clock
        self._links = links
        self._policy = policy
        self._waiting: dict[Access, list[_Message]] = {}
        self._payloads: dict[Access, int] = {}

    def unreachable(self, source: str, target: str) -> Reason:
        """Say why devices of one cluster cannot reach those of another now, if they cannot."""
        ends = self._links[source].sessions, self._links[target].sessions
        if self._policy == "none":
            return Reason.NO_RELAY
        if any(sessions.over for sessions in ends):
            return Reason.NO_CONTACT_LEFT
        if self._policy == "contact" and any(sessions.open is None for sessions in ends):
            return Reason.NOT_IN_CONTACT
        return Reason.NONE

    def send(self, send: Send) -> Generator[simpy.Event, Any, Arrival]:
        """Carry a message up and down, or one way alone where it is from the server, or for it.

        Reply when it is there, or when no contact is left for it.
        """
        both = [Access(Way.TO_SERVER, send.source), Access(Way.TO_CLIENT, send.target)]
        accesses = [access for access in both if access.node != SERVER]
        message = _Message(send, accesses, self._clock.event())
        self._post(message)
        return (yield message.reply)

    def _post(self, message: _Message) -> None:
        """Let a message wait for its next access, and start a courier for it if there is none."""
        access = message.accesses.pop(0)
        if access in self._waiting:
            self._waiting[access].append(message)
            return
        self._waiting[access] = [message]
        self._clock.start(str(access), self._courier(access))

    def _courier(self, access: Access) -> Process:
        """Carry all that waits at one end, until nothing does."""
        while self._waiting[access]:
            there = yield from self._next_session(access, fresh=False)
            messages = self._waiting[access]
            self._waiting[access] = []
            why = Reason.NO_CONTACT_LEFT
            if there:
                why = yield from self._carry(access, messages)
            for message in messages:
                if message.accesses and not why:
                    self._post(message)
                else:
                    message.reply.succeed(
                        Arrival(delivered=not why, time_s=self._clock.now, reason=why)
                    )
        del self._waiting[access]

    def _carry(
        self, access: Access, messages: list[_Message]
    ) -> Generator[simpy.Event, Any, Reason]:
        """Send messages as one payload, over as many sessions as it takes; say why it failed."""
        node = access.node
        self._payloads[access] = number = self._payloads.get(access, 0) + 1
        size = float(sum(float(message.send.payload.bytes) for message in messages))
        payload = Payload(RELAY, size, number)
        link = self._links[node.cluster]
        who = np.arange(link.cluster.devices) == node.device
        step: Upload | Download = Upload(payload, who)
        if access.way is Way.TO_CLIENT:
            step = Download(payload, who, personal=True)
        while True:
            receipt: Receipt = (yield from link.chain([step]))[0]  # type: ignore[assignment]
            if receipt.done[node.device]:
                return Reason.NONE
            if receipt.given_up is not None and receipt.given_up[node.device]:
                corrupted = receipt.reason is Reason.CORRUPTED
                return Reason.CORRUPTED if corrupted else Reason.CUT_BY_CONTACT
            if not (yield from self._next_session(access, fresh=True)):
                return Reason.NO_CONTACT_LEFT

    def _next_session(self, access: Access, *, fresh: bool) -> Generator[simpy.Event, Any, bool]:
        """Wait for a session, ``fresh`` for another one than was used last; False for none left."""
        sessions = self._links[access.node.cluster].sessions
        if sessions.over or (fresh and sessions.last):
            return False
        contact = yield from sessions.next_contact(str(access), lambda: 0, fresh=fresh)
        return contact is not None


@dataclass(frozen=True, eq=False)
class _Job:
    at: Node
    begin_s: float
    end_s: float


class Nodes:
    """Answers what single devices are asked: each computes one thing after the other."""

    def __init__(self, clock: Clock, links: Mapping[str, ServiceLink]) -> None:
        self._clock = clock
        self._links = links
        self._devices = {name: link.devices for name, link in links.items()}
        self._jobs: dict[_Job, None] = {}

    def check(self, node: Node) -> None:
        """Raise SimulationError if there is no such device."""
        devices = self._devices.get(node.cluster)
        if devices is None:
            known = ", ".join(self._devices)
            raise SimulationError(f"node {str(node)!r}: no cluster is called so; there are {known}")
        count = devices.cluster.devices
        if not 0 <= node.device < count:
            raise SimulationError(
                f"node {str(node)!r}: the devices of {node.cluster} are 0 to {count - 1}"
            )

    def compute(self, asked: Compute) -> Generator[simpy.Event, object, float]:
        """Queue a computation behind all that the device computes already; reply when it ends."""
        self.check(asked.at)
        devices = self._devices[asked.at.cluster]
        k = asked.at.device
        training_s = self._links[asked.at.cluster].training_until_s()[k]
        # Training that is settled has ended by now; a disconnected phase holds nobody up.
        behind_s = max(devices.serving_until_s[k], training_s)
        begin_s = max(self._clock.now, float(behind_s))
        job = self._planned(asked, begin_s)
        devices.serving_until_s[k] = job.end_s
        self._jobs[job] = None
        yield self._clock.at(job.end_s)
        del self._jobs[job]
        here = np.arange(devices.cluster.devices) == k
        devices.ended_s = devices.ended_s + here * self._spent_s(job, job.end_s)
        return job.end_s

    def here(self, clusters: Sequence[Cluster]) -> Mask:
        """Which devices of some clusters are there now (N,), one cluster after the other."""
        return np.concatenate([self._here(cluster.name) for cluster in clusters])

    def away(self, node: Node) -> bool:
        """Whether a device is away now."""
        return not self._here(node.cluster)[node.device]

    def _here(self, cluster: str) -> Mask:
        presence = self._devices[cluster].presence
        k = self._devices[cluster].cluster.devices
        if presence is None:
            return np.ones(k, bool)
        return presence.present(np.full(k, self._clock.now))

    def _planned(self, asked: Compute, from_s: float) -> _Job:
        """When a device computes from a time on, while it is there."""
        devices = self._devices[asked.at.cluster]
        k = asked.at.device
        lasts_s = self._seconds(asked)
        if devices.presence is None or lasts_s == 0.0:
            return _Job(asked.at, from_s, from_s + lasts_s)
        begin_s = np.full(devices.cluster.devices, from_s)
        end_s = devices.presence.after_s(begin_s, np.full_like(begin_s, lasts_s))
        return _Job(asked.at, float(devices.presence.returns_s(begin_s)[k]), float(end_s[k]))

    def _spent_s(self, job: _Job, by_s: float) -> float:
        """Seconds that a device has computed for a job by a time."""
        until_s = min(by_s, job.end_s)
        devices = self._devices[job.at.cluster]
        if devices.presence is None:
            return max(until_s - job.begin_s, 0.0)
        both = np.full((2, devices.cluster.devices), [[job.begin_s], [until_s]])
        return float(devices.presence.present_s(*both)[job.at.device])

    def computed_s(self, cluster: str, by_s: float) -> Floats:
        """Seconds (K,) that the devices have spent by a time on what is not complete."""
        spent_s = np.zeros(self._devices[cluster].cluster.devices)
        for job in self._jobs:
            if job.at.cluster == cluster:
                spent_s[job.at.device] += self._spent_s(job, by_s)
        return spent_s

    def _seconds(self, asked: Compute) -> float:
        """How long it takes at the rate of a local round."""
        for name, flops in (("flops", asked.flops), ("round_flops", asked.round_flops)):
            if not (math.isfinite(flops) and flops >= 0.0):
                raise SimulationError(f"Compute: {name} is {flops}; allowed is at least 0")
        if asked.flops == 0.0:
            return 0.0
        if asked.round_flops == 0.0:
            raise SimulationError("Compute: round_flops is 0; give the FLOPs of a local round")
        devices = self._devices[asked.at.cluster]
        round_s = devices.compute.round_s(Cost(asked.round_flops))
        each_s = np.broadcast_to(round_s, devices.free_s.shape)
        return float(each_s[asked.at.device]) * (asked.flops / asked.round_flops)


class Carrier(Protocol):
    """Carries the messages of satellites from link to link, by store and forward."""

    def exchange(self, send: Send) -> Generator[simpy.Event, Any, Arrival]:
        """Carry a message from one client to another, or between one and the server."""

    def reach(self, cluster: str, asked: Reach) -> Mask:
        """Whom a message of a cluster can get to (N,) within limits, itself too."""

    def sending_s(self, client: str) -> float:
        """Seconds in which a satellite has sent over links by now."""


class Peers:
    """Answers to whom devices can send, and carries what they send.

    The ``links`` are those of the clients with their server, ``sidelinks`` those between devices
    (None for none); the ``plan`` has those between satellites. Each kind has its queue, and
    ``relaying`` says whom others reach over the satellites. Where there is a ``mesh``, it carries
    all messages of satellites.
    """

    def __init__(
        self,
        plan: Plan,
        shared: Shared,
        links: Mapping[str, ServiceLink],
        *,
        relaying: Relaying,
        sidelinks: Sidelinks | None = None,
        mesh: Carrier | None = None,
    ) -> None:
        self._clock = shared.clock
        self._facts = shared.facts
        self._clusters = plan.clusters
        self._isls = plan.isls
        self._sidelinks = sidelinks
        self._mesh = mesh
        self.nodes = Nodes(shared.clock, links)
        self._over_sidelinks = LinkQueue("sidelink", shared, links)
        self._over_isls = LinkQueue("isl", shared, links)
        self._relay = Relay(shared.clock, links, relaying)

    def send(self, send: Send) -> Generator[simpy.Event, Any, Arrival]:
        """Carry a message; what is for its source itself is there at once.

        Raises SimulationError for an unknown device and for a size that is not a number of bytes.
        """
        self._check(send)
        if send.source == send.target:
            return Arrival(delivered=True, time_s=self._clock.now)
        if any(node != SERVER and self.nodes.away(node) for node in (send.source, send.target)):
            arrival = Arrival(delivered=False, time_s=self._clock.now, reason=Reason.AWAY)
        else:
            arrival = yield from self._carry(send)
        if not arrival.delivered:
            self._facts.emit(
                MessageLost(
                    time_s=self._clock.now,
                    cluster=send.source.cluster,
                    device=send.source.device,
                    version=int(send.payload.version),
                    payload=send.payload.name,
                    target=str(send.target),
                    reason=arrival.reason,
                )
            )
        return arrival

    def _carry(self, send: Send) -> Generator[simpy.Event, Any, Arrival]:
        """Carry a message for another device over the links that reach it, or for the server."""
        links = self._sidelinks
        isls = self._isls
        source = send.source.cluster
        target = send.target.cluster
        if self._mesh is not None:
            return (yield from self._mesh.exchange(send))
        if SERVER in (send.source, send.target):
            return (yield from self._relay.send(send))
        if links is not None and links.exists(send.source, send.target):
            always = links.openings(send.source, send.target)
            return (yield from self._over_sidelinks.send(send, always))
        if isls is not None and isls.windows(source, target).size:
            windows = isls.openings(source, target, self._clock.now)
            return (yield from self._over_isls.send(send, windows))
        why = self._relay.unreachable(source, target)
        if why:  # of devices without a relay the sidelinks that there are do not reach
            far = Reason.OUT_OF_RANGE if why is Reason.NO_RELAY and links is not None else why
            return Arrival(delivered=False, time_s=self._clock.now, reason=far)
        return (yield from self._relay.send(send))

    def next_link(self, asked: NextLink) -> LinkWindow | None:
        """Return the window between two satellites that is open, or opens next; None for none."""
        isls = self._isls
        return None if isls is None else isls.next_window(asked, self._clock.now)

    def use(self, cluster: str, by_s: float) -> Use:
        """What the devices of a cluster have done by a time for others, and over the mesh."""
        over_sidelinks_s = self._over_sidelinks.sending_s(cluster, by_s)
        over_isls_s = self._over_isls.sending_s(cluster, by_s)
        if self._mesh is not None:
            over_isls_s += self._mesh.sending_s(cluster)
        return Use(
            computed_s=self.nodes.computed_s(cluster, by_s),
            peer_s=np.array([over_sidelinks_s, over_isls_s]),
        )

    def settle_all(self, end_s: float) -> None:
        """Write which messages are still under way, as far as they got, when the run has ended."""
        self._over_sidelinks.settle_all(end_s)
        self._over_isls.settle_all(end_s)

    def reach(self, cluster: Cluster, asked: Reach) -> Mask:
        """Whom each device of a cluster can send to now (K, N), itself too; nobody who is away.

        One who is away itself reaches nobody else. Raises SimulationError for limits of what does
        not travel from link to link.
        """
        if self._mesh is not None:
            return self._mesh.reach(cluster.name, asked)[None]
        if asked.hops is not None or asked.within_s is not None:
            raise SimulationError(
                "Reach: hops and within_s are of links that messages travel over one after the "
                "other; leave them out, or set link.isl.route: earliest"
            )
        relayed = [not self._relay.unreachable(cluster.name, o.name) for o in self._clusters]
        reach = np.repeat([relayed], [o.devices for o in self._clusters], axis=1)
        reach = np.repeat(reach, cluster.devices, axis=0)
        if self._sidelinks is not None:
            reach |= self._sidelinks.reach(cluster.name)
        isls = self._isls
        if isls is not None and cluster.name in isls.names:
            reach |= isls.reach(cluster.name, self._clock.now)
        first = sum(other.devices for other in self._clusters[: cluster.index])
        reach &= self.nodes.here(self._clusters) & self.nodes.here([cluster])[:, None]
        own = np.arange(cluster.devices)
        reach[own, first + own] = True
        return reach

    def _check(self, send: Send) -> None:
        for node in (send.source, send.target):
            if node != SERVER or node == send.source:
                self.nodes.check(node)
        size = np.asarray(send.payload.bytes, float)
        if size.ndim or not (math.isfinite(size) and size >= 0.0):
            raise SimulationError(
                f"Send: payload {send.payload.name!r} has {send.payload.bytes} bytes; allowed is "
                "one number, at least 0"
            )
