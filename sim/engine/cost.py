"""What a run will cost the machine that it runs on: rounds of training, their time, memory.

Rounds are counted in a rehearsal. The time of one is measured: the devices of some clusters train
a few, together as in a run. Methods that train a part of the model, or add terms to its loss, take
another time, so that the estimate is right within a factor of three (``tests/sim/test_costs.py``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from learning.architecture.costs import architecture
from learning.architecture.kinds import kind_of
from learning.learner import Learner
from learning.requests.cluster import Cluster, Ints
from learning.training.recipe import LocalRounds, TrainedPart
from learning.values.handle import Handle
from sim.engine.memory import bytes_of, counts_of, needs_of, peak_of
from sim.engine.rehearsal import Rehearsal, rehearsed
from sim.errors import SimulationError
from sim.formatting import counted, data_size, duration, seconds

if TYPE_CHECKING:
    from sim.engine.setup import Build

MOST_CONTACTS = 200_000
"""Contacts up to which rounds are counted."""
FACTOR = 3
"""Within which the time of training is right."""
MOST_FLOPS = 2e11
"""Some seconds of one core: rounds that need more are not timed."""
CLUSTERS = 4
"""How many clusters train in a round that is timed: small models of several are trained at once."""
LEAST_SHARE = 0.02
"""The share of a run that tells what all of it takes; less of it does not."""
TIMES = 3
"""How often a round is timed at most behind the first time."""
TIMING_S = 2.0
"""Computing after which no further round is timed."""


@dataclass(frozen=True)
class Pace:
    """Seconds that a local round of one device, and an evaluation, take on this machine."""

    round_s: float
    evaluation_s: float


@dataclass(frozen=True)
class Cost:
    """What a run takes: rounds, memory of this machine, and the ``pace`` of training if known.

    ``trains`` says whether it trains anything. Of data that are not there memory is not known.
    """

    rehearsal: Rehearsal
    memory_bytes: float | None
    trains: bool
    pace: Pace | None = None

    @property
    def rounds(self) -> int:
        """Rounds that devices and the server train."""
        return self.rehearsal.device_rounds + self.rehearsal.server_rounds

    @property
    def training_s(self) -> float | None:
        """Seconds of training and evaluations; None where they are not known."""
        if not self.trains:
            return 0.0
        if self.pace is None:
            return None
        return self.rounds * self.pace.round_s + self.rehearsal.evaluations * self.pace.evaluation_s

    @property
    def wall_s(self) -> float | None:
        """Seconds of a run behind its plan: of what is simulated and trained; None if unknown."""
        if self.training_s is None or self.rehearsal.share < LEAST_SHARE:
            return None
        return self.rehearsal.simulated_s + self.training_s

    @property
    def counts_text(self) -> str:
        """Say how many rounds are trained, and what memory that takes."""
        memory = self.memory_bytes
        needs = "" if memory is None else f"; about {data_size(memory)} of memory"
        return f"{self.rounds_text}{needs}"

    @property
    def rounds_text(self) -> str:
        """Say how many rounds are trained, and of how much of the run that was counted."""
        found = self.rehearsal
        about = "" if found.share == 1.0 else "about "
        parts = []
        if found.device_rounds or not found.server_rounds:
            parts.append(f"{about}{_many(found.device_rounds, 'device round')}")
        if found.server_rounds:
            parts.append(f"{about}{_many(found.server_rounds, 'round')} at the server")
        text = " and ".join(parts)
        return text if found.share == 1.0 else f"{text} (counted in {found.share:.0%} of the run)"

    @property
    def pace_text(self) -> str:
        """Say how long a round and an evaluation take, and how sure that is; "" if not known."""
        if self.pace is None:
            return ""
        return (
            f"{seconds(self.pace.round_s)} a round, {self.rehearsal.evaluations} evaluations of "
            f"{seconds(self.pace.evaluation_s)}; within a factor of {FACTOR}"
        )

    @property
    def text(self) -> str:
        """Say all of it in a line."""
        if not self.trains:
            took = "none of which is trained here"
        elif self.training_s is None:
            took = "not timed"
        else:
            took = f"about {duration(self.training_s)} of training here ({self.pace_text})"
        memory = self.memory_bytes
        needs = "" if memory is None else f"; about {data_size(memory)} of memory"
        return f"{self.rounds_text}, {took}{needs}"


def _many(number: int, name: str) -> str:
    return counted(number, name) if number < 1000 else f"{number:,} {name}s"


def cost_of(built: Build, *, pace: Pace | None = None) -> Cost | None:
    """Return what a run takes; None where a method of one's own fails without training, or learns
    by itself.

    So it does of very many contacts, which take long to make ready.
    """
    if len(built.plan.contacts) > MOST_CONTACTS or built.method.traits.own_learning:
        return None
    try:
        rehearsal = rehearsed(built)
    except (SimulationError, ValueError, RuntimeError):
        return None
    memory_bytes = None
    with suppress(ValueError):
        memory_bytes = bytes_of(peak_of(needs_of(built, counts_of(built))))
    return Cost(rehearsal, memory_bytes, built.learner.trains, pace)


def pace_of(built: Build) -> Pace | None:
    """Time local rounds of the largest clusters, and an evaluation; data and model are made.

    None where nothing is trained, where that would take long, and for experts of one device each,
    which are trained in stages by rules of their own. Imports torch; raises ValueError, as a run
    would, for data or a model that cannot be trained.
    """
    own = built.learner
    config = own.config
    if not own.trains or kind_of(config.model.kind).expert_per_device:
        return None
    experts = list(range(config.model.experts))
    samples = config.steps_per_round * config.batch_size
    cost = architecture(config).round_cost(experts, experts, gate=True, samples=samples)
    clusters = sorted(built.plan.clusters, key=lambda one: one.devices, reverse=True)[:CLUSTERS]
    devices = sum(cluster.devices for cluster in clusters)
    if cost.flops * devices > MOST_FLOPS:
        return None
    learner = Learner(config, metrics=own.metrics)
    learner.build()
    server = learner.start()
    learner.force(server)
    trained = Trained(learner, server, clusters, TrainedPart(experts, gate=True))
    # Of one thread that computes, other programs do not lengthen the time of the process.
    clock = time.process_time if learner.device == "cpu" else time.perf_counter
    evaluation_s = _least_s(clock, lambda: learner.evaluate(server))
    return Pace(_least_s(clock, trained.once_more) / devices, evaluation_s)


class Trained:
    """Devices of some clusters, trained round by round from a server's model on."""

    def __init__(
        self, learner: Learner, server: Handle, clusters: Sequence[Cluster], part: TrainedPart
    ) -> None:
        self._learner = learner
        self._part = part
        self._clusters = clusters
        self._rounds = 0
        experts = part.experts
        self._states = [
            learner.load(server, None, one.name, _ones(one) > 0, experts, 0 * _ones(one))
            for one in clusters
        ]

    def once_more(self) -> None:
        """Train all of them for a round, together where a run would."""
        learner = self._learner
        self._states = [
            learner.train(
                state, LocalRounds(one.name, _ones(one), self._rounds * _ones(one)), self._part
            )
            for one, state in zip(self._clusters, self._states, strict=True)
        ]
        for state in self._states:
            learner.not_finite(state)  # which waits for a GPU, too
        self._rounds += 1


def _ones(cluster: Cluster) -> Ints:
    return np.ones(cluster.devices, np.int64)


def _least_s(clock: Callable[[], float], work: Callable[[], object]) -> float:
    """Return the least time that some work takes by a ``clock``: the first time takes longer."""
    took_s = list[float]()
    while len(took_s) <= TIMES and sum(took_s) < TIMING_S:
        began_s = clock()
        work()
        took_s.append(clock() - began_s)
    return min(took_s)
