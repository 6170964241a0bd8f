"""A rehearsal: the timing of a run without its training, which counts what will be trained.

A timing-only run has the same events as one that trains, unless a method decides by what was
learnt or the run ends at an accuracy. So its counts are those of the run, or what it takes at most.
"""

from __future__ import annotations

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


@dataclass(frozen=True)
class Rehearsal:
    """How many rounds devices train, and a server by itself, and how often a model is evaluated.

    They are counted over a ``share`` of the run's simulated time, and told for all of it, as are
    the seconds of computing that all takes but the training, ``simulated_s``. ``asked``
    has the rounds of each part that devices had to train in that share.
    """

    device_rounds: int
    server_rounds: int
    evaluations: int
    share: float = 1.0
    simulated_s: float = 0.0
    asked: Mapping[Asked, int] = field(default_factory=dict)

    @property
    def computed_rounds(self) -> int:
        """Rounds that are computed: not those behind a last contact, of which nobody hears."""
        asked = round(sum(self.asked.values()) / self.share)
        return (asked or self.device_rounds) + self.server_rounds


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
        share = min(1.0, max(timing.clock.now / end_of(built), 1e-6))
    every = timing.clients.by_name.values()
    device_rounds = sum(int(client.devices.rounds.sum()) for client in every)
    return Rehearsal(
        device_rounds=round(device_rounds / share),
        server_rounds=round(timing.method.server_rounds / share),
        evaluations=round(watch.evaluations / share),
        share=share,
        simulated_s=(time.process_time() - began_s) / share,
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
