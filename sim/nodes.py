"""The devices of all clusters one by one: which there are, and what each is asked to compute."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass

import numpy as np
import simpy

from learning.peering import Compute, Node
from learning.requests import Cost, Floats
from sim.clock import Clock
from sim.devices import Devices
from sim.errors import SimulationError
from sim.transfers import Link


@dataclass(frozen=True, eq=False)
class _Job:
    at: Node
    begin_s: float
    end_s: float


class Nodes:
    """Answers what single devices are asked: each computes one thing after the other."""

    def __init__(
        self, clock: Clock, devices: Mapping[str, Devices], links: Mapping[str, Link]
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
        job = _Job(asked.at, begin_s, begin_s + self._seconds(asked))
        devices.serving_until_s[k] = job.end_s
        self._jobs[job] = None
        yield self._clock.at(job.end_s)
        del self._jobs[job]
        devices.served(k, job.end_s - job.begin_s)
        return job.end_s

    def computed_s(self, cluster: str, by_s: float) -> Floats:
        """Seconds (K,) that the devices have spent by a time on what is not complete."""
        spent_s: Floats = np.zeros(self._devices[cluster].cluster.devices)
        for job in self._jobs:
            if job.at.cluster == cluster:
                spent_s[job.at.device] += max(min(by_s, job.end_s) - job.begin_s, 0.0)
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
