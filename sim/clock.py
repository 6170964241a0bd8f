"""One simulated clock: SimPy with absolute times, a guard and an end."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from heapq import heappush
from typing import Any

import simpy
from simpy.events import NORMAL, EventPriority

from learning.invariants import Violation
from sim.errors import MONOTONE, InvariantError, SimulationError, custom_line, violated

Process = Generator[simpy.Event, Any, Any]

LAST = EventPriority(2)
"""Priority of what must see everything else that happens at the same instant."""


class Clock:
    """Seconds since the scenario's start.

    Events are scheduled at absolute times, so that steps never add up to a drift. Every process
    runs under one guard: SimPy accepts NaN delays and rebuilds an exception from its ``args``,
    so bad times and errors are turned into one :class:`SimulationError` here.
    """

    def __init__(self) -> None:
        self._env = simpy.Environment()
        self._broken: BaseException | None = None
        self.stopped = False
        self.events = 0

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return self._env.now

    def event(self) -> simpy.Event:
        """Return an event that another process triggers."""
        return self._env.event()

    def at(self, time_s: float) -> simpy.Event:
        """Return an event at ``time_s``; raise SimulationError if that is past or not a time."""
        if not math.isfinite(time_s) or time_s < self.now:
            raise SimulationError(f"an event cannot be at {time_s} s: the clock shows {self.now} s")
        return self._schedule(time_s, NORMAL)

    def call_at(self, name: str, time_s: float, act: Callable[[], None]) -> None:
        """Call ``act`` at ``time_s``, as if a process had waited for that; errors are as of ``at``.

        ``name`` stands in the errors of what is called.
        """
        self.at(time_s).callbacks = [lambda _: self._act(name, act)]

    def after_this_instant(self, name: str, act: Callable[[], None]) -> None:
        """Call ``act`` at this time, after everything else that happens now."""
        self._schedule(self.now, LAST).callbacks = [lambda _: self._act(name, act)]

    def _schedule(self, time_s: float, priority: EventPriority) -> simpy.Event:
        """Return an event at ``time_s``: of SimPy's own, now + (t - now) is not always at t."""
        event = self._env.event()
        event._ok, event._value = True, None
        heappush(self._env._queue, (time_s, priority, next(self._env._eid), event))
        return event

    def start(self, name: str, process: Process) -> None:
        """Run ``process`` under the guard; ``name`` stands in its errors."""
        self._env.process(self._guard(name, process))

    def pass_to(self, time_s: float) -> None:
        """Let the clock show ``time_s``; whatever happens before that has happened."""
        if not self._env.peek() >= time_s >= self.now:
            raise violated(MONOTONE, f"the clock shows {self.now} s and is to show {time_s} s")
        self._env._now = time_s

    def stop(self) -> None:
        """End the run after the current event."""
        self.stopped = True

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left that could happen."""
        return self._env.peek() == math.inf

    def run(self, until_s: float, each_event: Callable[[int], None]) -> None:
        """Process events up to and including ``until_s``; call ``each_event`` after each one.

        Raises InvariantError for an event before the last one, or at what is no time.
        """
        while not self.stopped:
            now_s, next_s = self.now, self._env.peek()
            if not next_s >= now_s:  # nor is it when it is no number
                raise violated(MONOTONE, f"an event at {next_s} s comes behind one at {now_s} s")
            if next_s > until_s or next_s == math.inf:
                return
            self._env.step()
            if self._broken is not None:
                # SimPy would go on with what else happens now, in the middle of an event.
                raise self._broken
            self.events += 1
            each_event(self.events)

    def _guard(self, name: str, process: Process) -> Process:
        try:
            return (yield from process)
        except KeyboardInterrupt as interrupt:
            self._broken = interrupt
            raise
        except Exception as error:
            self._broken = self.failed(name, error)
            raise self._broken from error

    def _act(self, name: str, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            raise self.failed(name, error) from error

    def failed(self, name: str, error: Exception) -> SimulationError:
        """Return an error that says who failed when, in one line that survives SimPy."""
        broken = isinstance(error, InvariantError | Violation)
        known = broken or isinstance(error, SimulationError)
        text = " ".join(str(error).split())
        kind = "" if known else f"{type(error).__name__}: "
        raised = InvariantError if broken else SimulationError
        where = "" if known else custom_line(error)
        return raised(f"{name} at {self.now:.3f} s: {kind}{text}{where}")
