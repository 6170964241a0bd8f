"""Evaluator: scores the server's model, and tells of it as facts."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from learning.methods.base import Method
from learning.metrics import (
    CLIENTS,
    COUNTS,
    FIGURE_WEIGHTS,
    NOT_FIGURES,
    VALIDATED,
    Score,
    column_of,
    figures_in,
    pooled_figures,
)
from learning.values.lazy import Handle
from sim.analysis.evaluations import Judged, judged_of
from sim.engine.journal import Journal
from sim.errors import SimulationError
from sim.facts.learning import Evaluated, MetricsRow
from sim.facts.row import columns_of
from sim.facts.stream import Facts
from sim.plan.plan import Plan

KNOWN = frozenset(column.name for column in columns_of(MetricsRow))
"""Columns that the metrics of every run have."""
TAKEN = NOT_FIGURES | {
    one.name for one in fields(MetricsRow) if one.default is MISSING and "column" in one.metadata
}
"""What no figure of a user's own can be called."""


@dataclass(frozen=True)
class Snapshot:
    """When the server's model was evaluated, and the figure by which it is judged.

    ``figure`` is that figure's name, such as ``validation_accuracy``. ``model`` and ``personal``,
    the personal parts of the devices (K, ...) by cluster, are those that were evaluated, if they
    may be kept as the best ones.
    """

    time_s: float
    cycle: int
    version: int
    figure: str
    value: float
    model: Handle | None = None
    personal: dict[str, Handle] = field(default_factory=dict)


@dataclass(eq=False)
class Evaluator:
    """Tells what an evaluation measures: a pooled row, one per cluster, maybe one per client.

    ``latest`` and ``best`` are the last evaluation and the best one, the first of equals, by the
    figure by which the run is judged: of validation samples if there are any, else of test samples.
    ``since_best`` counts the evaluations after the best one. Evaluations without that figure do not
    count. With ``keeps_best`` the model of the best evaluation is held.
    """

    _plan: Plan
    _method: Method
    _journal: Journal
    _facts: Facts
    keeps_best: bool = False
    latest: Snapshot | None = None
    best: Snapshot | None = None
    since_best: int = 0
    _has_accuracy: bool = False
    _last: tuple[float, int] | None = None
    _accuracy: float = math.nan
    loss: float = math.nan
    """The global loss of the latest evaluation, of the samples that its accuracy is of."""
    _own: list[dict[str, Any]] = field(default_factory=list)
    took_s: float = 0.0
    """Seconds of computing that the latest evaluation took; 0 if none was computed here."""

    def beside(self, facts: Facts) -> Evaluator:
        """Return one that has computed what an evaluation measures now, and tells ``facts`` alone.

        The journal of the run does not know of it, either.
        """
        journal = Journal()
        if self._method.learner.measures:
            journal.answer("server", "evaluation", 0.0, self._scores)
        return replace(self, _journal=Journal(journal.entries), _facts=facts)

    def evaluate(self, time_s: float, cycle: int) -> float:
        """Tell of one evaluation and return the global accuracy (nan: timing only).

        It is that of validation samples where some are set aside, else of test samples. What was
        evaluated at this time and cycle already is not told of twice.
        """
        if (time_s, cycle) == self._last:
            return self._accuracy
        self._last = time_s, cycle
        if self._method.learner.measures:
            rows: list[dict[str, Any]] = self._journal.answer(
                "server", "evaluation", time_s, self._scores
            )
            if not _are_scores(rows):
                raise SimulationError("the journal holds no scores; start anew without --resume")
            if self._validates and VALIDATED[0] not in rows[0]:
                raise SimulationError(
                    "learning.data.validation: the method's own `scores` do not measure it; remove "
                    "it, or add what `as_validation` of learning.metrics returns to each score"
                )
            clients = [one for row in rows for one in row.get(CLIENTS, ())]
            pooled = pooled_figures(clients or rows)
            scoped = [("cluster", row) for row in rows] + [("client", row) for row in clients]
            blank = dict.fromkeys(figures_in(rows))  # a cluster may lack what another one has
            left_out = {FIGURE_WEIGHTS, CLIENTS}
            rows = [
                {"scope": scope, **blank, **{k: v for k, v in row.items() if k not in left_out}}
                for scope, row in scoped
            ]
        else:
            rows = []
            pooled = {"accuracy": None, "loss": None, "samples": 0}
        shared: dict[str, Any] = {"time_s": time_s, "cycle": cycle, "version": self._method.version}
        scores = [{"scope": "global", "cluster": None} | pooled, *rows]
        if self._method.learner.measures:
            for score in scores:
                row = score | shared
                self._facts.emit(MetricsRow(**{key: row[key] for key in row if key in KNOWN}))
                self._own.append({key: row[key] for key in row if key not in KNOWN})
        else:  # all clusters have the same figures: none
            self._facts.emit(MetricsRow(**scores[0], **shared))
            each: dict[str, Any] = {"scope": "cluster", "cluster": self._names}
            self._facts.emit(MetricsRow(**each, **pooled, **shared))
            if self._method.learner.config.tests_clients:
                counts = [cluster.devices for cluster in self._plan.clusters]
                names = np.repeat(self._names, counts).tolist()
                devices = np.concatenate([np.arange(count) for count in counts])
                each = {"scope": "client", "cluster": names, "device": devices}
                self._facts.emit(MetricsRow(**each, **pooled, **shared))
        followed = pooled[VALIDATED[0] if self._validates else "accuracy"]
        self._accuracy = math.nan if followed is None else followed
        loss = pooled.get(VALIDATED[1] if self._validates else "loss")
        self.loss = math.nan if loss is None else loss
        self._compare(time_s, cycle, pooled)
        self._facts.emit(
            Evaluated(
                time_s=time_s,
                version=self._method.version,
                cycle=cycle,
                accuracy=self._accuracy,
                scores=scores,
            )
        )
        return self._accuracy

    def _compare(self, time_s: float, cycle: int, pooled: Mapping[str, Any]) -> None:
        """Compare the pooled figures of an evaluation with those of the best one so far."""
        config = self._method.learner.config
        self._has_accuracy |= pooled["accuracy"] is not None
        judged = judged_of(config.loss, config.data.objective)
        if not self._has_accuracy:
            judged = Judged.LOSS
        figure = f"validation_{judged}" if self._validates else str(judged)
        if (value := pooled.get(figure)) is None:
            return
        self.latest = Snapshot(time_s, cycle, self._method.version, figure, value)
        best = self.best if self.best and self.best.figure == figure else None
        if best is not None and judged.merit(value) <= judged.merit(best.value):
            self.since_best += 1
            return
        self.since_best = 0
        self.best = self.latest
        if self.keeps_best:
            self.best = replace(
                self.latest, model=self._method.model(), personal=personal_parts(self._method)
            )

    def _scores(self) -> list[Score]:
        """Return what the method measures now."""
        began_s = time.monotonic()
        rows = self._method.scores()
        self.took_s = time.monotonic() - began_s
        if not _are_scores(rows):
            raise SimulationError(
                "what the method's `scores` returned are no scores: each row needs cluster, "
                "accuracy and samples, and its figures are numbers or None"
            )
        return rows

    @property
    def _validates(self) -> bool:
        """Whether there are validation samples, and something to measure with them."""
        learner = self._method.learner
        return learner.measures and learner.config.data.validation > 0

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(cluster.name for cluster in self._plan.clusters)

    def with_own(self, metrics: pa.Table) -> pa.Table:
        """Return the metrics table with a column more for each of ``learning.metrics``.

        Of a method that learns by itself, for each figure that its scores have. Evaluations are
        written in order of time, in which the rows stay.
        """
        names = list(map(column_of, self._method.learner.metrics))
        if self._method.traits.own_learning:
            names = list(dict.fromkeys(name for row in self._own for name in row))
        for name in names:
            values = [row.get(name) for row in self._own]
            metrics = metrics.append_column(name, pa.array(values, pa.float64()))
        return metrics


def personal_parts(method: Method) -> dict[str, Handle]:
    """Return the personal parts of the devices (K, ...) by cluster; {} if nothing is personal."""
    if not method.learner.config.personal:
        return {}
    return {cluster.name: method.personal(cluster) for cluster in method.world.clusters}


def _are_scores(rows: Any) -> bool:
    """Whether rows of the journal, a file, or of a method are those of clusters."""
    return (
        isinstance(rows, list)
        and len(rows) > 0
        and all(isinstance(row, dict) and row.keys() >= NEEDED for row in rows)
        and all(isinstance(row["cluster"], str) for row in rows)
        and all(CLIENTS not in row or _are_scores(row[CLIENTS]) for row in rows)
        and all(_is_number(row[count]) for row in rows for count in COUNTS if count in row)
        and all(
            row.get(name) is None or _is_number(row[name])
            for row in rows
            for name in figures_in(rows)
        )
        and all(
            isinstance(weights := row.get(FIGURE_WEIGHTS, {}), dict)
            and all(map(_is_number, weights.values()))
            for row in rows
        )
    )


NEEDED = frozenset({"cluster", "accuracy", "samples"})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
