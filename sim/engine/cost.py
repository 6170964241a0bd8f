"""What a run will cost the machine that it runs on: rounds of training, their time, memory.

Rounds are counted in a rehearsal. The time of one is measured: the devices of some clusters train
a few of the part of the model that they were asked to train, together as in a run. Methods that add
terms to its loss take another time, so that the estimate is right within a factor of three
(``tests/sim/test_costs.py``).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from learning.architecture.costs import architecture
from learning.architecture.footprint import embeds
from learning.architecture.kinds import kind_of
from learning.learner import Learner
from learning.own.raised import ANYTHING
from learning.requests.cluster import Cluster, Ints
from learning.training.recipe import Asked, LocalRounds, TrainedPart
from learning.values.handle import Handle
from sim.engine.memory import bytes_of, counts_of, needs_of, peak_of
from sim.engine.rehearsal import Rehearsal, rehearsed
from sim.errors import SimulationError
from sim.formatting import counted, data_size, duration, percent, seconds

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
PARTS_S = 1.0
"""Computing of a rehearsal that tells which parts of the model are trained."""
MOST_AT_ONCE = 4
"""How many rounds of one training are timed at most: what a training takes besides is spread."""
TIMES = 3
"""How often a round is timed at most behind the first time."""
TIMING_S = 2.0
"""Computing after which no further round is timed."""


@dataclass(frozen=True)
class Pace:
    """Seconds that a local round of one device, and an evaluation, take on this machine.

    ``once_s`` is what the blocks below the experts take, which run once.
    """

    round_s: float
    evaluation_s: float
    once_s: float = 0.0


@dataclass(frozen=True)
class Cost:
    """What a run takes: rounds, memory of this machine, and the ``pace`` of training if known.

    ``trains`` says whether it trains anything, ``most_rounds`` after how many rounds it ends if the
    scenario says so. Of data that are not there memory is not known.
    """

    rehearsal: Rehearsal
    memory_bytes: float | None
    trains: bool
    pace: Pace | None = None
    most_rounds: int | None = None

    @property
    def rounds(self) -> int | None:
        """Rounds that devices and the server train; None if unknown."""
        whole = self.rehearsal.whole
        return None if whole is None else whole.device_rounds + whole.server_rounds

    @property
    def training_s(self) -> float | None:
        """Seconds of training and evaluations; None where they are not known."""
        if not self.trains:
            return 0.0
        whole = self.rehearsal.whole
        if self.pace is None or whole is None:
            return None
        evaluations_s = whole.evaluations * self.pace.evaluation_s
        rounds_s = whole.computed_rounds * self.pace.round_s
        return self.pace.once_s + rounds_s + evaluations_s

    @property
    def wall_s(self) -> float | None:
        """Seconds of a run behind its plan: of what is simulated and trained; None if unknown."""
        whole = self.rehearsal.whole
        if self.training_s is None or whole is None:
            return None
        return whole.simulated_s + self.training_s

    @property
    def counts_text(self) -> str:
        """Say how many rounds are trained, and what memory that takes."""
        memory = self.memory_bytes
        needs = "" if memory is None else f"; about {data_size(memory)} of memory"
        return f"{self.rounds_text}{needs}"

    @property
    def rounds_text(self) -> str:
        """Say how many rounds are trained, and of how much of the run that was counted.

        Where that was too little, it says so, and what bounds the rounds.
        """
        share = self.rehearsal.share
        whole = self.rehearsal.whole
        if whole is None:
            most = self.most_rounds
            bound = "stop.rounds bounds its rounds" if most is None else f"stop.rounds is {most}"
            return (
                f"not estimated. Rehearsing {duration(self.rehearsal.simulated_s)} reached "
                f"{percent(share) if share else '< 0.01%'} of the run; {bound}"
            )
        about = "" if share == 1.0 else "about "
        parts = []
        if whole.device_rounds or not whole.server_rounds:
            parts.append(f"{about}{_many(whole.device_rounds, 'device round')}")
        if whole.server_rounds:
            parts.append(f"{about}{_many(whole.server_rounds, 'round')} at the server")
        text = " and ".join(parts)
        return text if share == 1.0 else f"{text} (counted in {share:.0%} of the run)"

    @property
    def pace_text(self) -> str:
        """Say how long a round and an evaluation take, and how sure that is; "" if not known."""
        if self.pace is None:
            return ""
        whole = self.rehearsal.whole
        many = "" if whole is None else f"{whole.evaluations} evaluations of "
        evaluation = f"{many}{seconds(self.pace.evaluation_s)}{'' if many else ' an evaluation'}"
        once = f", {seconds(self.pace.once_s)} once" if self.pace.once_s else ""
        return (
            f"{seconds(self.pace.round_s)} a round, {evaluation}{once}; within a factor of {FACTOR}"
        )

    @property
    def text(self) -> str:
        """Say all of it in a line."""
        if not self.trains:
            took = "none of which is trained here"
        elif self.training_s is not None:
            took = f"about {duration(self.training_s)} of training here ({self.pace_text})"
        else:
            took = self.pace_text or "not timed"
        memory = self.memory_bytes
        needs = "" if memory is None else f"; about {data_size(memory)} of memory"
        if self.rounds is None:
            return f"training: {self.rounds_text}; {took}{needs}"
        return f"in all {self.rounds_text}, {took}{needs}"


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
    rounds = built.scenario.stop.rounds
    return Cost(rehearsal, memory_bytes, built.learner.trains, pace, rounds)


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
    kinds = kinds_of(built)
    flops = [max(_flops(own, kind), 1.0) for kind in kinds]
    if max(flops) > MOST_FLOPS:
        return None
    kinds = [
        kind._replace(at_once=int(min(kind.at_once, MOST_FLOPS / each)))
        for kind, each in zip(kinds, flops, strict=True)
    ]
    learner = Learner(config, metrics=own.metrics)
    learner.build()
    server = learner.start()
    learner.force(server)
    # Of one thread that computes, other programs do not lengthen the time of the process.
    clock = time.process_time if learner.device == "cpu" else time.perf_counter
    timed = partial(_timed, clock, once=embeds(config))
    try:  # a method may test more than one model
        method = built.method(replace(built.known, learner=learner), built.options)
        evaluation = timed(method.scores)
    except ANYTHING:  # of a method of one's own, which is not prepared here
        evaluation = timed(lambda: learner.evaluate(server))
    rounds = [timed(Trained(learner, server, kind).once_more) for kind in kinds]
    share = len(kinds[0].parts) / len(built.plan.clusters)
    each_s = (
        kind.rounds * took.least_s / (kind.at_once * sum(one.devices for one in kind.parts))
        for kind, took in zip(kinds, rounds, strict=True)
    )
    return Pace(
        round_s=sum(each_s) / sum(kind.rounds for kind in kinds),
        evaluation_s=evaluation.least_s,
        once_s=evaluation.once_s + rounds[0].once_s / share,
    )


class Kind(NamedTuple):
    """``rounds`` that are alike but for their experts: the ``parts`` that some clusters train.

    These are the largest of those that do. A device trains so many rounds ``at_once``.
    """

    rounds: int
    at_once: int
    parts: Mapping[Cluster, TrainedPart]


def kinds_of(built: Build) -> list[Kind]:
    """Return the kinds of rounds that devices are asked for in a rehearsal, the most common first.

    All of the model where nothing is known: of rounds at the server, for example.
    """
    asked = Counter[Asked]()
    if len(built.plan.contacts) <= MOST_CONTACTS:
        with suppress(SimulationError, ValueError, RuntimeError):
            asked.update(rehearsed(built, PARTS_S).asked)
    asked = +asked  # without what nobody had the time for
    largest = sorted(built.plan.clusters, key=lambda one: one.devices, reverse=True)
    found = []
    for gate, mask in dict.fromkeys((part.gate, part.mask) for part in asked):
        alike = {one: n for one, n in asked.items() if (one.gate, one.mask) == (gate, mask)}
        # What a cluster trains most of the time comes last, and stays.
        experts = {one.cluster: one.experts for one in sorted(alike, key=alike.__getitem__)}
        rounds = sum(alike.values())
        trainings = sum(n / one.rounds for one, n in alike.items())
        at_once = max(1, min(round(rounds / trainings), MOST_AT_ONCE))
        clusters = [one for one in largest if one.name in experts][:CLUSTERS]
        parts = {one: TrainedPart(experts[one.name], gate, mask) for one in clusters}
        found.append(Kind(rounds, at_once, parts))
    if not found:
        whole = TrainedPart(range(built.learner.config.model.experts), gate=True)
        found.append(Kind(1, 1, dict.fromkeys(largest[:CLUSTERS], whole)))
    return sorted(found, key=lambda kind: kind.rounds, reverse=True)


def _flops(learner: Learner, kind: Kind) -> float:
    """Return what a round of the clusters' devices takes, of the model that is trained here."""
    config = learner.config
    cost = partial(
        architecture(config).round_cost, samples=config.steps_per_round * config.batch_size
    )
    return sum(
        cluster.devices * float(cost(part.experts, _held(learner, part), gate=part.gate).flops)
        for cluster, part in kind.parts.items()
    )


def _held(learner: Learner, part: TrainedPart) -> Sequence[int]:
    """Return the experts that are in memory: under a mask no others than are trained."""
    return range(learner.config.model.experts) if part.mask is None else part.experts


class Trained:
    """Devices of some clusters, trained a few rounds at a time from a server's model on."""

    def __init__(self, learner: Learner, server: Handle, kind: Kind) -> None:
        self._learner = learner
        self._kind = kind
        self._rounds = 0
        self._states = [
            learner.load(
                server, None, one.name, _ones(one) > 0, _held(learner, part), 0 * _ones(one)
            )
            for one, part in kind.parts.items()
        ]

    def once_more(self) -> None:
        """Train all of them, together where a run would."""
        learner = self._learner
        at_once, first = self._kind.at_once, self._rounds
        self._states = [
            learner.train(
                state, LocalRounds(one.name, at_once * _ones(one), first * _ones(one)), part
            )
            for (one, part), state in zip(self._kind.parts.items(), self._states, strict=True)
        ]
        for state in self._states:
            learner.not_finite(state.own)  # which waits for a GPU, too
        self._rounds += at_once


def _ones(cluster: Cluster) -> Ints:
    return np.ones(cluster.devices, np.int64)


class Took(NamedTuple):
    """Seconds that some work takes at least, and those that only the first time takes besides."""

    least_s: float
    once_s: float


def _timed(clock: Callable[[], float], work: Callable[[], object], *, once: bool) -> Took:
    """Time some work by a ``clock``: the first time takes longer.

    Where something is computed ``once`` and kept, the first time does not count; else it does where
    it takes so long that there is no other.
    """
    took_s = list[float]()
    while len(took_s) <= TIMES and (sum(took_s) < TIMING_S or (once and len(took_s) < 2)):
        began_s = clock()
        work()
        took_s.append(clock() - began_s)
    least_s = min(took_s)
    return Took(least_s, took_s[0] - least_s if once else 0.0)
