"""Nodes: the devices of all clusters one by one; which there are, and what each is to compute."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import simpy

from learning.requests.cluster import Cluster, Cost
from learning.requests.peers import Compute, Node
from sim.clock import Clock
from sim.errors import SimulationError
from sim.network.chains import ServiceLink
from statements.arrays import Floats, Mask


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
        self._devices = {name: link.endpoint.devices for name, link in links.items()}
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
