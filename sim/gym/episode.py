"""Episode: a run that stops wherever its method asks for a decision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from contextvars import copy_context
from threading import get_ident
from typing import cast

from greenlet import getcurrent, greenlet

from learning.requests.decide import Decision, Observation
from learning.values.lazy import Reuse
from sim.errors import Interrupted
from sim.execution.identity import NamedBuild
from sim.execution.result import Result
from sim.execution.running import RunExecution
from sim.facts.observer import Observer


class Episode:
    """One run, in a greenlet of its own: while a decision is made, its clock stands still.

    ``result`` is that of the run when it has ended. It goes on in the thread that began it alone.
    """

    def __init__(self, named: NamedBuild, observers: Sequence[Observer] = ()) -> None:
        # What is counted is of one run, also where several have the same build.
        named.build.learner.values.reuse = Reuse()
        run = RunExecution(named, None, math.inf, observers=observers, player=self._ask)
        self.simulation = run.simulation
        self.result: Result | None = None
        self._run = greenlet(run.execute)
        self._run.gr_context = copy_context()
        self._thread = get_ident()

    @property
    def is_of_this_thread(self) -> bool:
        """Whether the run may go on in the thread that asks."""
        return self._thread == get_ident()

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return self._run.dead

    def go_on(self, *decided: Decision) -> Observation | None:
        """Run to the next decision, from the start or with what is ``decided`` at the last one.

        Returns what is observed there; None at the end of the run. Raises as :func:`sim.run` does,
        but KeyboardInterrupt where the run was stopped: who trains an agent looks for that.
        """
        self._run.parent = getcurrent()
        try:
            seen = self._run.switch(*decided)
        except Interrupted as stopped:
            raise KeyboardInterrupt(str(stopped)) from None
        if not self._run.dead:
            return cast("Observation", seen)
        self.result = seen
        return None

    def abandon(self) -> None:
        """Break the run off, unless it has ended; that of another thread is let go."""
        if self._run and self.is_of_this_thread:  # it has begun, and waits for a decision
            self._run.parent = getcurrent()
            with suppress(Interrupted):
                self._run.throw(KeyboardInterrupt())

    def _ask(self, seen: Observation) -> Decision:
        """Let whoever plays the run go on with what is observed, until they have decided."""
        parent = self._run.parent
        assert parent is not None  # that of go_on
        return cast("Decision", parent.switch(seen))
