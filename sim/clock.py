"""The simulated clock: SimPy with absolute times, one guard around all processes, and an end."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from functools import partial
from heapq import heappush
from typing import Any

import simpy
from simpy.events import NORMAL, URGENT, EventPriority

from learning.invariants import Violation
from learning.own.raised import ANYTHING
from sim.errors import (
    MONOTONE,
    InvariantError,
    SimulationError,
    custom_line,
    failure_code,
    violated,
)

Process = Generator[simpy.Event, Any, Any]

LAST = EventPriority(2)
"""Priority of an event that happens after all others at the same instant."""


class Clock:
    """Seconds since the scenario's start.

    Events are at absolute times: SimPy's come after delays, and ``now + (t - now)`` is not always
    ``t``. Those at one time happen by priority, then in the order in which they were scheduled.
    Every process runs under one guard, which turns bad times and errors into one
    :class:`SimulationError` that says who failed and when.
    """

    def __init__(self) -> None:
        self._environment = simpy.Environment()
        self._broken: BaseException | None = None
        self.stopped = False
        self.events = 0

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return self._environment.now

    def event(self) -> simpy.Event:
        """Return an event that another process triggers."""
        return self._environment.event()

    def at(self, time_s: float) -> simpy.Event:
        """Return an event at ``time_s``; raise SimulationError if that is past or not a time."""
        self._check(time_s)
        return self.put(time_s)

    def _check(self, time_s: float) -> None:
        if not self.now <= time_s < math.inf:
            raise SimulationError(f"an event cannot be at {time_s} s: the clock shows {self.now} s")

    def put(
        self, time_s: float, priority: EventPriority = NORMAL, *calls: Callable[[simpy.Event], None]
    ) -> simpy.Event:
        """Put an event into SimPy's queue, which is called with it then; nothing is checked."""
        event = simpy.Event(self._environment)
        event.callbacks.extend(calls)
        # As SimPy's own Timeout: it has succeeded, and is only still to be processed.
        event._ok = True
        event._value = None
        numbers = self._environment._eid
        heappush(self._environment._queue, (time_s, priority, next(numbers), event))
        return event

    def call_at(
        self, name: str, time_s: float, act: Callable[[], None], *, first: bool = False
    ) -> None:
        """Call ``act`` at ``time_s``, as if a process had waited for that; errors are as of ``at``.

        ``name`` stands in the errors of what is called; with ``first`` it comes before
        all else at that time.
        """
        self._check(time_s)
        self.put(time_s, URGENT if first else NORMAL, partial(self._act, name, act))

    def after_this_instant(self, name: str, act: Callable[[], None]) -> None:
        """Call ``act`` at this time, after everything else that happens now."""
        self.put(self.now, LAST, partial(self._act, name, act))

    def start(self, name: str, process: Process) -> None:
        """Run ``process`` under the guard; ``name`` stands in its errors."""
        self._environment.process(self._guard(name, process))

    def stop(self) -> None:
        """End the run after the current event."""
        self.stopped = True

    @property
    def next_s(self) -> float:
        """When the next event is, inf if there is none."""
        return self._environment.peek()

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left that could happen."""
        return self.next_s == math.inf

    def run(self, until_s: float, each_event: Callable[[int], None]) -> None:
        """Process events up to and including ``until_s``; call ``each_event`` after each one.

        Raises InvariantError for an event before the last one, or at what is no time.
        """
        environment = self._environment
        while not self.stopped:
            now_s = environment.now
            next_s = environment.peek()
            if not next_s >= now_s:  # so of NaN too
                raise violated(MONOTONE, f"an event at {next_s} s comes behind one at {now_s} s")
            if next_s > until_s or next_s == math.inf:
                return
            environment.step()
            if self._broken is not None:
                # A process that failed is an event too: others at this time would still happen.
                raise self._broken
            self.events += 1
            each_event(self.events)

    def _guard(self, name: str, process: Process) -> Process:
        try:
            yield from process
            # That it has ended is no event: a process that has less to tell, as the run ends
            # sooner, would shift the numbers of all that follow.
            yield self.event()
        except KeyboardInterrupt as interrupt:
            self._broken = interrupt
            raise
        except ANYTHING as error:
            self._broken = self.failed(name, error)
            raise self._broken from error

    def _act(self, name: str, act: Callable[[], None], _moment: simpy.Event) -> None:
        try:
            act()
        except ANYTHING as error:
            raise self.failed(name, error) from error

    def failed(self, name: str, error: BaseException) -> SimulationError:
        """Return an error that says in one line who failed and when."""
        broken = isinstance(error, InvariantError | Violation)
        known = broken or isinstance(error, SimulationError)
        text = " ".join(str(error).split())
        kind = "" if known else f"{type(error).__name__}: "
        code = failure_code(error)
        raised = InvariantError if broken else SimulationError
        where = "" if known else custom_line(error)
        return raised(f"{name} at {self.now:.3f} s: {kind}{text}{where}", code)
