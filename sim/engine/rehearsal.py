"""A rehearsal: the timing of a run without its training, which counts what will be trained.

A timing-only run has the same events as one that trains, unless a method decides by what was
learnt or the run ends at an accuracy. So its counts are those of the run, or what it takes at most.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from learning.training.recipe import Asked
from sim.engine.journal import Journal
from sim.engine.memory import end_of
from sim.engine.setup import method_of
from sim.engine.simulation import Simulation
from sim.errors import Interrupted
from sim.facts.observer import Observer
from sim.trace.recorder import Trace
from sim.world.world import World

if TYPE_CHECKING:
    from scenarios import Scenario
    from sim.engine.setup import Build

LIMIT_S = 3.0
"""Computing of a rehearsal; what a longer run takes is told by the part that was rehearsed."""
LEAST_SHARE = 0.02
"""The share of a run that tells what all of it takes; less of it does not."""


@dataclass(frozen=True)
class Rehearsal:
    """How many rounds devices train, and a server by itself, and how often a model is evaluated.

    They were counted over a ``share`` of the run, which took ``simulated_s`` seconds of computing.
    ``asked`` has the rounds of each part that devices had to train in that share.
    """

    device_rounds: int
    server_rounds: int
    evaluations: int
    share: float = 1.0
    simulated_s: float = 0.0
    asked: Mapping[Asked, float] = field(default_factory=dict)

    @property
    def whole(self) -> Rehearsal | None:
        """What all of the run takes, by this share; None where that is too little to tell."""
        if self.share == 1.0:
            return self
        if self.share < LEAST_SHARE:
            return None
        return Rehearsal(
            device_rounds=round(self.device_rounds / self.share),
            server_rounds=round(self.server_rounds / self.share),
            evaluations=round(self.evaluations / self.share),
            simulated_s=self.simulated_s / self.share,
            asked={part: rounds / self.share for part, rounds in self.asked.items()},
        )

    @property
    def computed_rounds(self) -> int:
        """Rounds that are computed: not those behind a last contact, of which nobody hears."""
        return (round(sum(self.asked.values())) or self.device_rounds) + self.server_rounds


def rehearsed(built: Build, limit_s: float = LIMIT_S) -> Rehearsal:
    """Simulate what ``built`` does, but train nothing, for ``limit_s`` of computing at most.

    Raises SimulationError, or InputError, where its method fails without training.
    """
    began_s = time.process_time()
    watch = _Watch(limit_s)
    untrained = without_training(built)
    asked = untrained.learner.asked = Counter()
    timing = Simulation(untrained, Journal(), Trace(replayed=False), [watch])
    share = 1.0
    try:
        with suppress(Interrupted):
            timing.run()
    finally:
        untrained.learner.asked = None
    if watch.broken_off:
        rounds = built.scenario.stop.rounds or math.inf
        share = min(1.0, max(timing.clock.now / end_of(built), timing.rounds / rounds))
    every = timing.clients.by_name.values()
    return Rehearsal(
        device_rounds=sum(int(client.devices.rounds.sum()) for client in every),
        server_rounds=timing.method.server_rounds,
        evaluations=watch.evaluations,
        share=share,
        simulated_s=time.process_time() - began_s,
        asked=asked,
    )


def without_training(built: Build) -> Build:
    """Return the build of the same scenario that trains nothing, over the same plan."""
    if not built.learner.trains:
        return built
    scenario: Scenario = built.scenario.model_copy(
        update={
            "learning": replace(built.scenario.learning, train=False),
            "stop": built.scenario.stop.model_copy(update={"accuracy": None}),
        }
    )
    world = World(scenario)
    method, options, learner = method_of(world)
    return replace(built, world=world, learner=learner, method=method, options=options)


class _Watch(Observer):
    """Counts evaluations, and ends a rehearsal when its time is up."""

    def __init__(self, limit_s: float) -> None:
        self._until_s = time.process_time() + limit_s
        self.evaluations = 0
        self.broken_off = False

    def evaluated(self, time_s: float, cycle: int, accuracy: float) -> None:
        """Count an evaluation."""
        self.evaluations += 1

    def event(self, number: int, time_s: float) -> None:
        """Raise Interrupted when the time is up."""
        if time.process_time() > self._until_s:
            self.broken_off = True
            raise Interrupted("that is enough")
