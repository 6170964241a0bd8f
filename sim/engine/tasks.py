"""Tasks: protocols of one actor that run side by side, until all are done or a deadline is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from typing import Any

import simpy

from learning.requests.peers import All, Start
from sim.clock import Clock, Process
from sim.errors import SimulationError

Drive = Callable[[str, str, Generator[Any, Any, Any]], Process]
"""Drives a protocol of a cluster under the name of an actor, and returns what it returns."""


class Tasks:
    """Runs the protocols of :class:`All` as actors of their own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count: Counter[str] = Counter()

    def start(self, actor: str, cluster: str, request: Start, drive: Drive) -> None:
        """Start the protocols of :class:`Start`, which nobody waits for."""
        at = (cluster,) * len(request.tasks) if request.at is None else request.at
        if len(at) != len(request.tasks):
            raise SimulationError(
                f"Start: at names {len(at)} clusters for {len(request.tasks)} tasks"
            )
        for where, task in zip(at, request.tasks, strict=True):
            name = self._name(actor)
            self._clock.start(name, drive(where, name, task))

    def _name(self, actor: str) -> str:
        """Return the name of an actor's next task; no cluster is called so."""
        first = actor.partition(":")[0]  # names of tasks of tasks of tasks would grow without end
        self._count[first] += 1
        return f"{first}:{self._count[first]}"

    def run(
        self, actor: str, cluster: str, request: All, drive: Drive
    ) -> Generator[simpy.Event, Any, list[Any]]:
        """Reply when all are done, or at the deadline; who is not done by then runs on."""
        deadline_s = request.deadline_s
        left = len(request.tasks)
        if deadline_s is not None and not deadline_s >= 0.0:
            raise SimulationError(f"All: deadline_s is {deadline_s}; allowed is at least 0")
        at = (cluster,) * left if request.at is None else request.at
        if len(at) != left:
            raise SimulationError(f"All: at names {len(at)} clusters for {left} tasks")
        results: list[Any] = [None] * left
        if not left:
            return results
        over = self._clock.event()

        def child(number: int, name: str) -> Process:
            nonlocal left
            results[number] = yield from drive(at[number], name, request.tasks[number])
            left -= 1
            if not left and not over.triggered:
                over.succeed()

        for number in range(left):
            name = self._name(actor)
            self._clock.start(name, child(number, name))

        def deadline(after_s: float) -> Process:
            yield self._clock.at(self._clock.now + after_s)
            if not over.triggered:
                over.succeed()

        if deadline_s is not None:
            self._clock.start(f"{actor}'s deadline", deadline(deadline_s))
        yield over
        return list(results)
