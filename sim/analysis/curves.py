"""What runs measure as it develops, over time, cycles or what is spent, and its mean over seeds.

A curve is a function in steps: a value holds until the next one is measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sim.analysis.figures import figure_listed
from sim.analysis.ranking import half_width
from sim.analysis.run import Run
from sim.trace.arrow import array, as_numpy
from sim.trace.parquet import plain
from sim.trace.sorting import says
from sim.trace.tables import pieces_of, pooled_metrics
from statements.arrays import Floats, Ints

Over = Literal["time", "cycle", "bytes", "energy"]
"""What curves are drawn over: seconds since the start, complete cycles, or what was spent by then.

That is bytes on the air, all ways, or joules of training and radiated in sending.
"""
What = Literal[
    "accuracy",
    "loss",
    "validation_accuracy",
    "validation_loss",
    "cycles",
    "sent_bytes",
    "staleness",
]
"""What a curve shows; the last three are known of runs without training too, over time only."""
MEASURED: tuple[What, ...] = ("accuracy", "loss", "validation_accuracy", "validation_loss")
"""What evaluations measure: of all test samples, of each cluster's, and of validation samples."""


@dataclass(frozen=True, eq=False)
class StepCurve:
    """Values (N,), each from its x (N,) until the next one; the last one until ``end``.

    ``x`` rises strictly.
    """

    x: Floats
    values: Floats
    end: float

    def at(self, x: Floats) -> Floats:
        """Return the values at some x; nan before the first one. The last one holds for ever."""
        place = np.searchsorted(self.x, x, "right") - 1
        return np.where(place >= 0, self.values[place], np.nan)

    def thinned(self, most: int) -> "StepCurve":
        """Return the steps that are left where a screen shows ``most`` columns."""
        kept = last_of_columns(self.x, self.end, most)
        return replace(self, x=self.x[kept], values=self.values[kept])


FEWEST = 5
"""Seeds from which on a band is an interval of the mean: of fewer it is their range."""


class Band(NamedTuple):
    """The mean over seeds in steps: each value (K,) holds from its x (K,) until the next one.

    ``low`` and ``high`` are the ends of Student's 95 % interval of the mean, of fewer than
    :data:`FEWEST` curves the least and the greatest; nan of one. ``seeds`` is how many have a
    value, ``ended`` how many of them had ended before.
    """

    x: Floats
    mean: Floats
    low: Floats
    high: Floats
    seeds: Ints
    ended: Ints
    end: float

    def thinned(self, most: int) -> "Band":
        """Return the steps that are left where a screen shows ``most`` columns."""
        kept = last_of_columns(self.x, self.end, most)
        steps: dict[str, Any] = {name: getattr(self, name)[kept] for name in self._fields[:-1]}
        return self._replace(**steps)


def last_of_columns(x: Floats, end: float, most: int) -> Ints:
    """Return which of some steps are the last ones by the end of ``most`` even columns.

    Of few steps these are all. The first and the last one always are among them.
    """
    if len(x) <= most:
        return np.arange(len(x))
    edges = np.linspace(x[0], end, most)
    return np.unique(np.searchsorted(x, edges, "right") - 1)


def over_seeds(curves: Sequence[StepCurve], what: What) -> Band:
    """Return the mean of the curves of several seeds, one at least, wherever one of them steps.

    A run that has ended keeps its last value: its model no longer changes. Else the mean would
    leave out those that have stopped at a target, and be that of the others.
    """
    x = np.unique(np.concatenate([curve.x for curve in curves]))
    values = np.stack([curve.at(x) for curve in curves])
    known = ~np.isnan(values)
    seeds = known.sum(axis=0)
    mean = np.nansum(values, axis=0) / seeds
    if len(curves) < FEWEST:
        several = seeds > 1
        low, high = (
            np.where(several, np.nanmin(values, axis=0), np.nan),
            np.where(several, np.nanmax(values, axis=0), np.nan),
        )
    else:
        # Validation has the bounds of the test.
        key = f"{what.removeprefix('validation_')}_final" if what in MEASURED else what
        half = half_width(values)
        low, high = mean - half, mean + half
        if (figure := figure_listed(key)) is not None:
            low, high = figure.within(low, high, values)
    ends = np.array([curve.end for curve in curves])
    ended = (known & (ends[:, None] < x)).sum(axis=0)
    return Band(x, mean, low, high, seeds, ended, float(ends.max()))


def curve_of(
    run: Run, what: What = "accuracy", over: Over = "time", cluster: str | None = None
) -> StepCurve | None:
    """Return one curve of a run; None where nothing of it is known.

    ``cluster`` names the one whose samples it is measured on, by default those of all. Over cycles
    it has the first evaluation of each; a run that has ended is as long as its last one. Over what
    is spent it has the last evaluation by then.
    """
    tables = run.tables
    if what in MEASURED:
        found = _measured(tables, what, over, cluster)
        if over == "bytes":
            # Of a run that sends nothing the last model has cost nothing.
            sent = _sent(tables)
            found = _by_spending(found, sent if len(sent[0]) else (np.zeros(1), np.zeros(1)))
        elif over == "energy":
            found = _by_spending(found, _energy(run.manifest.get("spent") or {}))
    elif what == "cycles":
        found = _cycles(pooled_metrics(tables))
    elif what == "sent_bytes":
        found = _sent(tables)
    else:
        found = _staleness(tables)
    x, values = found
    if not len(x):
        return None
    last = float(x[-1])
    return StepCurve(x, values, max(last, run.manifest["simulated_s"]) if over == "time" else last)


def _measured(
    tables: Mapping[str, pa.Table], what: What, over: Over, cluster: str | None
) -> tuple[Floats, Floats]:
    """Return when evaluations were made, and what they measured; runs of before lack columns."""
    rows = pooled_metrics(tables) if cluster is None else _of_cluster(tables, cluster)
    if what not in rows.column_names:
        return np.zeros(0), np.zeros(0)
    rows = rows.filter(pc.is_valid(rows[what]))
    values = as_numpy(rows[what])
    if over != "cycle":
        return _last_of_each(as_numpy(rows["time_s"]), values)
    cycle, first = np.unique(as_numpy(rows["cycle"]), return_index=True)
    return cycle.astype(float), values[first]


def _of_cluster(tables: Mapping[str, pa.Table], name: str) -> pa.Table:
    """Return the rows of the metrics on one cluster."""
    return pa.concat_tables(
        piece.filter(array(says(piece, "scope", "cluster") & says(piece, "cluster", name)))
        for piece in pieces_of(tables, "metrics")
    )


def _cycles(pooled: pa.Table) -> tuple[Floats, Floats]:
    """Return when cycles were complete, and how many by then."""
    return _last_of_each(as_numpy(pooled["time_s"]), as_numpy(pooled["cycle"]).astype(float))


def _sent(tables: Mapping[str, pa.Table]) -> tuple[Floats, Floats]:
    """Return when transfers ended, and the bytes that had been on the air by then, all ways."""
    pieces = list(pieces_of(tables, "transfers", ["end_s", "on_air_bytes"]))
    end_s = np.concatenate([as_numpy(piece["end_s"]) for piece in pieces])
    sent = np.concatenate([as_numpy(piece["on_air_bytes"]) for piece in pieces])
    order = np.argsort(end_s, kind="stable")
    x = np.concatenate([[0.0], end_s[order]])
    by_then = np.concatenate([[0.0], np.cumsum(sent[order], dtype=float)])
    return _last_of_each(x, by_then) if len(order) else (x[:0], by_then[:0])


def _energy(spent: Mapping[str, Any]) -> tuple[Floats, Floats]:
    """Return when evaluations were made, and the joules spent by then; nothing if not modelled."""
    parts = [spent.get(key) or [None] for key in ("training_j", "transmit_j")]
    if any(value is None for part in parts for value in part):
        return np.zeros(0), np.zeros(0)
    return _last_of_each(np.asarray(spent["time_s"], float), np.sum(parts, axis=0, dtype=float))


def _by_spending(
    measured: tuple[Floats, Floats], spending: tuple[Floats, Floats]
) -> tuple[Floats, Floats]:
    """Return values over what had been spent when they were measured, from two curves over time.

    Where nothing is known of the spending there is no curve.
    """
    (time_s, values), (at_s, spent) = measured, spending
    if not len(at_s):
        return np.zeros(0), np.zeros(0)
    place = np.searchsorted(at_s, time_s, "right") - 1
    return _last_of_each(np.where(place >= 0, spent[place], 0.0), values)


def _staleness(tables: Mapping[str, pa.Table]) -> tuple[Floats, Floats]:
    """Return when updates were used, and the mean staleness of all until then."""
    if "updates" not in tables:
        return np.zeros(0), np.zeros(0)
    pieces = list(pieces_of(tables, "updates", ["time_s", "staleness"]))
    time_s = np.concatenate([as_numpy(piece["time_s"]) for piece in pieces])
    staleness = np.concatenate([as_numpy(piece["staleness"]) for piece in pieces])
    order = np.argsort(time_s, kind="stable")
    mean = np.cumsum(staleness[order], dtype=float) / np.arange(1, len(order) + 1)
    return _last_of_each(time_s[order], mean)


def _last_of_each(x: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Return each x once, with its last value; ``x`` does not fall."""
    last = np.append(np.diff(x) > 0.0, True)[: len(x)]
    return x[last], values[last]


def clusters_measured(tables: Mapping[str, pa.Table]) -> list[str]:
    """Return the clusters on whose samples evaluations have an accuracy or a loss, by name."""
    names: set[str] = set()
    for piece in pieces_of(tables, "metrics", ["cluster", "accuracy", "loss"]):
        measured = pc.or_(pc.is_valid(piece["accuracy"]), pc.is_valid(piece["loss"]))
        rows = plain(piece.filter(measured))
        names.update(pc.unique(rows["cluster"].drop_null()).to_pylist())
    return sorted(names)
