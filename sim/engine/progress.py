"""Progress: which cycles and rounds are complete, when the model is evaluated, when a run ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from learning.methods.base import Method
from sim.clock import Clock, Process
from sim.devices.energy import Spending
from sim.engine.evaluation import Evaluator
from sim.plan.contacts import PlannedSessions
from sim.world.world import World


class Progress:
    """Counts the complete cycles and rounds of a run, and evaluates the server's model when due.

    A cycle is complete when each cluster has been served once more. The model is
    evaluated at the start, at every complete cycle, every ``learning.evaluate_every_hours`` if that
    is given, and at the end. ``ended_because`` says why the method has ended the run, empty if it
    has not. The run ends early when ``stop`` of the ``world`` says so; ``ended_by`` are the keys of
    ``stop`` that the last evaluation reached, () if it ended for another reason.
    ``energy`` returns what each cluster has spent so far.
    """

    def __init__(
        self,
        clock: Clock,
        world: World,
        *,
        method: Method,
        evaluator: Evaluator,
        energy: Callable[[], Sequence[dict[str, Any]]],
    ) -> None:
        self._world = world
        self.cycle = self.rounds = 0
        self.spending = Spending()
        self.ended_because = ""
        self.ended_by: tuple[str, ...] = ()
        self._clock = clock
        self._method = method
        self._evaluator = evaluator
        self._energy = energy
        self._cycle_ends_s: Sequence[float] = ()

    def follow(self, plan: Sequence[PlannedSessions]) -> None:
        """Count cycles by the sessions of each cluster."""
        ends_s = np.full(min(map(len, plan)), -math.inf)
        for sessions in plan:
            np.maximum(ends_s, sessions.ends_s[: len(ends_s)], out=ends_s)
        self._cycle_ends_s = ends_s.tolist()
        self._expect_cycle()

    def _expect_cycle(self) -> None:
        """Evaluate where the next cycle is complete, after everything else that happens then.

        The plan knows when: what ends then ends before anything else.
        """
        if self.cycle < len(self._cycle_ends_s):
            self._clock.call_at(
                "cycle", self._cycle_ends_s[self.cycle], self._complete_cycle, first=True
            )

    def _complete_cycle(self) -> None:
        self.cycle += 1
        self._clock.after_this_instant("evaluation", self.evaluate)
        self._expect_cycle()

    def aggregated(self) -> None:
        """Count an aggregation; a run that stops after so many rounds is evaluated then."""
        self.rounds += 1
        if self.rounds == self._world.stop.rounds:
            self.evaluate_soon()

    def evaluate_soon(self) -> None:
        """Evaluate when all that happens now has happened."""
        self._clock.after_this_instant("evaluation", self.evaluate)

    def evaluate(self) -> None:
        """Evaluate the server's model now, and end the run if that is enough."""
        accuracy = self._evaluator.evaluate(self._clock.now, self.cycle)
        if self._method.learner.measures:  # else there is no accuracy to set it against
            self._note_spending(self._clock.now)
        stop, evaluator = self._world.stop, self._evaluator
        reached = {
            "accuracy": stop.accuracy is not None and accuracy >= stop.accuracy,
            "loss": stop.loss is not None and evaluator.loss <= stop.loss,
            "patience": stop.patience is not None and evaluator.since_best >= stop.patience,
        }
        self.ended_by = tuple(f"stop.{key}" for key, is_reached in reached.items() if is_reached)
        if self.ended_by or self.is_over:
            self._clock.stop()

    @property
    def next_evaluation_s(self) -> float:
        """When a cycle is complete next, or an evaluation comes between cycles; inf for never."""
        every_s = 3600 * (self._world.learning.evaluate_every_hours or math.inf)
        ends_s = self._cycle_ends_s[self.cycle : self.cycle + 1]
        return min(*ends_s, every_s * (self._clock.now // every_s + 1), math.inf)

    def end(self, why: str) -> None:
        """End the run when all that happens now has happened, as the method wishes."""
        self.ended_because = self.ended_because or why
        self._clock.after_this_instant("end", self._clock.stop)

    def conclude(self, end_s: float, evaluator: Evaluator | None = None) -> None:
        """Evaluate the model that a run ends with, by its own evaluator or another one."""
        (evaluator or self._evaluator).evaluate(end_s, self.cycle)
        self._note_spending(end_s)

    def periodic(self, stop_s: float) -> Process:
        """Evaluate every so many seconds beside the cycles, if the scenario asks for it."""
        every_s = 3600 * (self._world.learning.evaluate_every_hours or math.inf)
        for number in range(1, int(stop_s / every_s) + 1):
            yield self._clock.at(number * every_s)
            self._clock.after_this_instant("evaluation", self.evaluate)

    @property
    def is_over(self) -> bool:
        """Whether as many cycles or rounds are complete as the run is to have."""
        stop = self._world.stop
        if stop.cycles is not None and self.cycle >= stop.cycles:
            return True
        return stop.rounds is not None and self.rounds >= stop.rounds

    def _note_spending(self, time_s: float) -> None:
        self.spending.add(time_s, self._energy(), self._method.server_rounds)


def span_s(world: World) -> float | None:
    """Return the longest simulated time that a run may take, in seconds, where it is known."""
    stop = world.stop
    spans_s = [] if stop.days is None else [stop.days * 86400.0]
    if world.slots is not None and stop.cycles is not None:
        spans_s.append(world.slots.cycles_s(stop.cycles))
    return min(spans_s, default=None)


def share_done(so_far: Mapping[str, Any]) -> float | None:
    """Return which share a run has done of its time, cycles or rounds; None if nothing says it."""
    spans = (("time_s", "span_s"), ("cycle", "cycles"), ("rounds", "most_rounds"))
    pairs = [(so_far.get(done) or 0, all_) for done, of in spans if (all_ := so_far.get(of))]
    return max((min(done / all_, 1.0) for done, all_ in pairs), default=None)
