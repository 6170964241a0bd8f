"""Peers: which device can send to which, and what single devices compute."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import simpy

from learning.requests.cluster import Cluster, Cost, Floats, Mask
from learning.requests.peers import (
    SERVER,
    Arrival,
    Compute,
    LinkWindow,
    NextLink,
    Node,
    Send,
)
from sim.clock import Clock
from sim.devices.devices import Devices
from sim.devices.energy import PeerUse
from sim.errors import SimulationError
from sim.links.sidelinks import Sidelinks
from sim.network.message_facts import MessageFacts
from sim.network.payload_list import PayloadList
from sim.network.relay import Relay, Relaying
from sim.network.routing import ContactGraph, next_link, timetable
from sim.network.service_link import ServiceLink
from sim.network.sidelinks import SidelinkQueues
from sim.plan.isl import IslPlan
from sim.trace.directions import TOWARD_PEER

AWAY = "away"
"""Why a message is lost whose source or target is not there when it is sent."""


class Peers:
    """Answers to whom devices can send, and carries what they send.

    ``queues`` are those of the links between devices, and between satellites; ``relay`` says whom
    others reach over the satellites.
    """

    def __init__(
        self,
        clock: Clock,
        clusters: Sequence[Cluster],
        nodes: Nodes,
        facts: MessageFacts,
        payloads: PayloadList,
        queues: SidelinkQueues,
        relay: Relay,
    ) -> None:
        self._clock = clock
        self._clusters = clusters
        self.nodes = nodes
        self._facts = facts
        self._payloads = payloads
        self.relay = relay
        self.queues = queues
        self._graph: tuple[IslPlan, ContactGraph] | None = None

    def send(self, send: Send) -> Generator[simpy.Event, Any, Arrival]:
        """Carry a message; what is for its source itself is there at once.

        Raises SimulationError for an unknown device and for a size that is not a number of bytes.
        """
        self._check(send)
        if send.source == send.target:
            return Arrival(True, self._clock.now)
        if any(node != SERVER and self.nodes.away(node) for node in (send.source, send.target)):
            self._facts.lost(send, self._clock.now, AWAY)
            return Arrival(False, self._clock.now, AWAY)
        arrival = yield from self._carry(send)
        if not arrival.delivered:
            self._facts.lost(send, self._clock.now, arrival.reason)
        return arrival

    def _carry(self, send: Send) -> Generator[simpy.Event, Any, Arrival]:
        """Carry a message for another device over the links that reach it, or for the server."""
        links, isls = self.queues.links, self.queues.isls
        source, target = send.source.cluster, send.target.cluster
        names = () if isls is None else isls.names
        if send.route == "earliest" and source in names and target in (*names, SERVER.cluster):
            return (yield from self._forward(send))
        if SERVER in (send.source, send.target):
            return (yield from self.relay.send(send))
        if links is not None and links.exists(send.source, send.target):
            self._payloads.add("sidelink", TOWARD_PEER, send.payload, np.ones(1, bool))
            over = links.openings(send.source, send.target)
            return (yield from self.queues.send(send, over, "sidelink"))
        if isls is not None and isls.windows(source, target).size:
            self._payloads.add("isl", TOWARD_PEER, send.payload, np.ones(1, bool))
            over = isls.openings(source, target, self._clock.now)
            return (yield from self.queues.send(send, over, "isl"))
        why = self.relay.unreachable(source, target)
        if why:  # of devices without a relay the sidelinks that there are do not reach
            far = "out of range" if why == "no relay" and links is not None else why
            return Arrival(False, self._clock.now, far)
        return (yield from self.relay.send(send))

    def _forward(self, send: Send) -> Generator[simpy.Event, Any, Arrival]:
        """Carry a message hop by hop, each when it is due, over time that no other has booked."""
        isls = self.queues.isls
        assert isls is not None  # else nobody sends over one
        if self._graph is None or self._graph[0] is not isls:
            self._graph = isls, timetable(isls, self.relay.sessions, self.relay.policy == "store")
        nodes = [*(Node(name, 0) for name in isls.names), SERVER]
        ends = nodes.index(send.source), nodes.index(send.target)
        hops = self._graph[1].route(*ends, 8.0 * float(send.payload.bytes), self._clock.now)
        self._graph[1].book(hops or ())
        arrival = Arrival(False, self._clock.now, "no route before the end")
        for hop in hops or ():
            yield self._clock.at(max(hop.begin_s, self._clock.now))
            step = replace(send, source=nodes[hop.source], target=nodes[hop.target], wait=True)
            arrival = yield from self._carry(replace(step, route="direct"))
            if not arrival.delivered:
                break
        return arrival

    def under(self, sidelinks: Sidelinks | None, isls: IslPlan | None, relaying: Relaying) -> None:
        """Carry by other links and another relay what is sent from now on."""
        self.queues.links, self.queues.isls = sidelinks, isls
        self.relay.policy = relaying

    def next_link(self, asked: NextLink) -> LinkWindow | None:
        """Return the window between two satellites that is open, or opens next; None for none."""
        isls = self.queues.isls
        return None if isls is None else next_link(isls, asked, self._clock.now)

    def spent(self, cluster: str, by_s: float) -> PeerUse:
        """What the devices of a cluster have done by a time for other devices."""
        computing = self.nodes.computing
        serving_s = self.nodes.computed_s(cluster, by_s) if computing else None
        return PeerUse(serving_s, self.queues.sending_s(cluster, by_s))

    def reach(self, cluster: Cluster) -> Mask:
        """Whom each device of a cluster can send to now (K, N), itself too; nobody who is away.

        One who is away itself reaches nobody else.
        """
        relayed = [not self.relay.unreachable(cluster.name, o.name) for o in self._clusters]
        reach = np.repeat([relayed], [o.devices for o in self._clusters], axis=1)
        reach = np.repeat(reach, cluster.devices, axis=0)
        if self.queues.links is not None:
            reach |= self.queues.links.reach(cluster.name)
        isls = self.queues.isls
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


# The devices of all clusters one by one: which there are, and what each is asked to compute.


@dataclass(frozen=True, eq=False)
class _Job:
    at: Node
    begin_s: float
    end_s: float


class Nodes:
    """Answers what single devices are asked: each computes one thing after the other."""

    def __init__(
        self, clock: Clock, devices: Mapping[str, Devices], links: Mapping[str, ServiceLink]
    ) -> None:
        self._clock = clock
        self._devices = devices
        self._links = links
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
        devices, k = self._devices[asked.at.cluster], asked.at.device
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

    @property
    def computing(self) -> bool:
        """Whether any of them computes what it was asked for."""
        return bool(self._jobs)

    def here(self, clusters: Sequence[Cluster]) -> Mask:
        """Which devices of some clusters are there now (N,), one cluster after the other."""
        return np.concatenate([self._here(cluster.name) for cluster in clusters])

    def away(self, node: Node) -> bool:
        """Whether a device is away now."""
        return not self._here(node.cluster)[node.device]

    def _here(self, cluster: str) -> Mask:
        presence, k = self._devices[cluster].presence, self._devices[cluster].cluster.devices
        if presence is None:
            return np.ones(k, bool)
        return presence.present(np.full(k, self._clock.now))

    def _planned(self, asked: Compute, from_s: float) -> _Job:
        """When a device computes from a time on, while it is there."""
        devices, k, lasts_s = self._devices[asked.at.cluster], asked.at.device, self._seconds(asked)
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
        spent_s: Floats = np.zeros(self._devices[cluster].cluster.devices)
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
