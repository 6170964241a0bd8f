"""Observer: what follows a run from outside, and what tells it of evaluations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sim.facts.learning import Evaluated
from sim.facts.row import Fact, single
from sim.facts.stream import Take
from statements import Statement


class Observer:
    """Follows a run: a class derived from it defines the methods that it needs.

    A resumed run passes everything from its start again.
    """

    def doubted(self, doubts: Sequence[Statement]) -> None:
        """Called before anything is simulated, with what may be wrong with the scenario.

        As text each doubt is one line. What is known before data and model are made comes first;
        then what it may cost to train so much; then what is doubtful of a module of one's own.
        """

    def follows(self, so_far: Callable[[], Mapping[str, Any]]) -> None:
        """Called once, before anything is simulated, with what tells how far the run has come.

        Any thread may call it. It returns ``time_s`` and ``cycle``, what they may come to at most
        (``span_s`` and ``cycles``), the ``rounds`` of the server and ``most_rounds``, the latest
        ``accuracy``, and when the model is tested next, ``next_test_s``; None is not known.
        """

    def started(self, start: datetime) -> None:
        """Called once, before anything is simulated, with the UTC time of the start."""

    def measured(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Called at every evaluation with its rows of the metrics table: the pooled one first.

        Where nothing is measured that is the only one.
        """

    def evaluated(self, time_s: float, cycle: int, accuracy: float) -> None:
        """Called at every evaluation; ``accuracy`` is nan where nothing is measured.

        It is that of validation samples where some are set aside, else of test samples.
        """

    def event(self, number: int, time_s: float) -> None:
        """Called after every event of the clock, at its simulated time.

        It may raise :class:`~sim.errors.Interrupted`, which ends the run.
        """


class Followers:
    """The observers of a run, as a subscriber of its facts."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def takes(self) -> Mapping[type[Fact], Take]:
        """Take evaluations."""
        return {Evaluated: self.evaluated}

    def evaluated(self, evaluated: Evaluated) -> None:
        """Tell each observer of an evaluation."""
        time_s = single(evaluated.time_s)
        for observer in self._observers:
            observer.evaluated(time_s, evaluated.cycle, evaluated.accuracy)
            if type(observer).measured is not Observer.measured:
                observer.measured(evaluated.rows)
