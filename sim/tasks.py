"""Protocols side by side, and a deadline for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from typing import Any

import simpy

from learning.requests.peers import All, Wait
from sim.clock import Clock, Process
from sim.errors import SimulationError

Drive = Callable[[str, Generator[Any, Any, Any]], Process]
"""Drives a protocol under the name of an actor, and returns what it returns."""


def wait(clock: Clock, request: Wait) -> Generator[simpy.Event, Any, None]:
    """Let time pass, unless the time is past; what is no time is an error of the clock."""
    if not request.time_s <= clock.now:
        yield clock.at(request.time_s)


class Tasks:
    """Runs the protocols of :class:`All` as actors of their own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count: Counter[str] = Counter()

    def run(self, actor: str, request: All, drive: Drive) -> Generator[simpy.Event, Any, list[Any]]:
        """Reply when all are done, or at the deadline; who is not done by then runs on."""
        deadline_s, left = request.deadline_s, len(request.tasks)
        if deadline_s is not None and not deadline_s >= 0.0:
            raise SimulationError(f"All: deadline_s is {deadline_s}; allowed is at least 0")
        results: list[Any] = [None] * left
        if not left:
            return results
        over = self._clock.event()

        def child(number: int, name: str) -> Process:
            nonlocal left
            results[number] = yield from drive(name, request.tasks[number])
            left -= 1
            if not left and not over.triggered:
                over.succeed()

        for number in range(left):
            self._count[actor] += 1
            name = f"{actor}:{self._count[actor]}"  # no cluster is called so
            self._clock.start(name, child(number, name))
        if deadline_s is not None:
            self._clock.start(f"{actor}'s deadline", self._deadline(over, deadline_s))
        yield over
        return list(results)

    def _deadline(self, over: simpy.Event, after_s: float) -> Process:
        yield self._clock.at(self._clock.now + after_s)
        if not over.triggered:
            over.succeed()
