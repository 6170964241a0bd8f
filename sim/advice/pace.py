"""The pace of training on this machine: a local round, and an evaluation, are timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from learning.architecture.kinds import kind_of
from learning.learner import Learner
from learning.own.raised import ANYTHING
from learning.training.recipe import LocalRounds, TrainedPart
from sim.formatting import seconds

if TYPE_CHECKING:
    from sim.engine.setup import Build

MOST_FLOPS = 2e11
"""Some seconds of one core: rounds that need more are not timed."""
TIMES = 4
"""How often a round is timed at most; twice at least, as the first time takes longer."""
TIMING_S = 2.0
"""Computing after which no further round is timed."""


@dataclass(frozen=True)
class Pace:
    """Seconds that a local round of one device, and an evaluation, take on this machine."""

    round_s: float
    evaluation_s: float

    @property
    def text(self) -> str:
        """Say both, at the machine's present load."""
        evaluation = seconds(self.evaluation_s)
        return f"a device's local round takes {seconds(self.round_s)} here, a test {evaluation}"


def pace_of(built: Build) -> Pace | None:
    """Time local rounds of the largest cluster, and an evaluation; data and model are made.

    A round trains all of the model, which is the longest that a method asks for. None where
    nothing is trained, where that would take long, and for experts of one device each, which are
    trained in stages by rules of their own. Imports torch; raises ValueError, as a run would, for
    data or a model that cannot be trained.
    """
    own = built.learner
    config = own.config
    if not own.trains or kind_of(config.model.kind).expert_per_device:
        return None
    experts = range(config.model.experts)
    cluster = max(built.plan.clusters, key=lambda cluster: cluster.devices)
    flops = float(np.max(own.round_cost(experts, experts, gate=True).flops))
    if flops * cluster.devices > MOST_FLOPS:
        return None
    learner = Learner(config, metrics=own.metrics)
    learner.build()
    server = learner.start()
    learner.force(server)
    try:  # a method may test more than one model
        method = built.method(replace(built.known, learner=learner), built.options)
        evaluation_s = _least_s(method.scores, learner)
    except ANYTHING:  # of a method of one's own, which is not prepared here
        evaluation_s = _least_s(lambda: learner.evaluate(server), learner)
    ones = np.ones(cluster.devices, np.int64)
    part = TrainedPart(experts, gate=True)
    state = learner.load(server, None, cluster.name, ones > 0, experts, 0 * ones)
    first = 0

    def train() -> None:
        nonlocal state, first
        state = learner.train(state, LocalRounds(cluster.name, ones, first * ones), part)
        learner.not_finite(state.own)  # which waits for a GPU, too
        first += 1

    return Pace(_least_s(train, learner) / cluster.devices, evaluation_s)


def _least_s(work: Callable[[], object], learner: Learner) -> float:
    """Return how long some work takes at least: computing of this process, where a CPU does it."""
    clock = time.process_time if learner.device == "cpu" else time.perf_counter
    took_s: list[float] = []
    while len(took_s) < 2 or (len(took_s) < TIMES and sum(took_s) < TIMING_S):
        began_s = clock()
        work()
        took_s.append(clock() - began_s)
    return min(took_s)
