"""Accuracy or loss over time or cycles: of one run, of several, of groups."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning.requests.cluster import Floats
from sim.analysis.targets import TARGETS
from sim.errors import InputError
from sim.plots.canvas import DASHES, Unit, colour, dashes, ink, legend, new_axes, unit_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


Over = Literal["time", "cycle"]
OVER: dict[Over, str] = {"time": "simulated time", "cycle": "complete cycles"}
"""What accuracy is drawn over, and what that is called."""
What = Literal["accuracy", "loss"]
"""What is drawn."""


def draw(
    tables: Mapping[str, pa.Table], axes: Axes, over: Over, clusters: bool, what: What = "accuracy"
) -> Axes:
    """Draw one run; raise InputError where nothing was measured."""
    rows = measured(tables["metrics"], what)
    if not len(rows):
        raise InputError(f"the run has no {what}: it is timing-only, or ended before it began")
    unit = unit_of(pc.max(rows["time_s"]).as_py())
    lines, names = [], []
    if clusters:
        for number, cluster in enumerate(
            sorted(pc.unique(rows["cluster"].drop_null()).to_pylist())
        ):
            mine = rows.filter(pc.equal(rows["cluster"], cluster))
            line = axes.plot(*points(mine, over, unit, what), linewidth=1.0)
            line[0].set(color=colour(number), linestyle=dashes(number))
            lines += line
            names.append(cluster)
    pooled = rows.filter(pc.equal(rows["scope"], "global"))
    whole = ink() if clusters else colour(0)
    lines += axes.plot(*points(pooled, over, unit, what), color=whole, linewidth=1.6)
    if clusters:
        legend(axes, lines, [*names, "all"])
    finish(axes, over, unit, what)
    return axes


def measured(metrics: pa.Table, what: What) -> pa.Table:
    """Return the evaluations that measured an accuracy, or a loss."""
    return metrics.filter(pc.is_valid(metrics[what]))


def points(rows: pa.Table, over: Over, unit: Unit, what: What) -> tuple[Floats, Floats]:
    """Return x and ``what`` of evaluations in order; over cycles, the first one of each cycle."""
    values = rows[what].to_numpy()
    if over == "time":
        return rows["time_s"].to_numpy() / unit.seconds, values
    cycle, first = np.unique(rows["cycle"].to_numpy(), return_index=True)
    return cycle.astype(float), values[first]


def finish(axes: Axes, over: Over, unit: Unit, what: What) -> None:
    """Label the axes, and draw the targets among what is shown as thin lines."""
    low, high = axes.get_ylim()
    for target in TARGETS if what == "accuracy" else ():
        if low <= target <= high:
            axes.axhline(target, color=ink(), linewidth=0.5, alpha=0.4, zorder=0.5)
    axes.set_ylim(low, high)
    axes.set_xlabel(f"simulated {unit.name}" if over == "time" else "complete cycles")
    axes.set_ylabel(what)


# Accuracy of several runs, or of groups of runs: a colour a label and a line a run.


SECTION = re.compile(r"\b(?:\w+\.)+(?=\w+=)")
"""What stands before the last part of a key in a label, and has no room in a legend."""


class HasTables(Protocol):
    """A run with its tables, like :class:`sim.Result`."""

    @property
    def tables(self) -> Mapping[str, pa.Table]:
        """The tables by name."""


def accuracy(
    runs: Mapping[str, HasTables | Sequence[HasTables]],
    axes: Axes | None = None,
    over: Over = "time",
    what: What = "accuracy",
) -> Axes:
    """Draw the accuracy, or loss, of the server's model of runs or groups of runs by their labels.

    Runs that measured none are left out; raise InputError where none has any.
    """
    found = {
        label: [
            rows
            for run in ([of] if hasattr(of, "tables") else of)
            if len(rows := _pooled(run, what))
        ]
        for label, of in runs.items()
    }
    lasts_s = [pc.max(rows["time_s"]).as_py() for each in found.values() for rows in each]
    if not lasts_s:
        raise InputError("none of the runs has an accuracy: they are timing-only, or unfinished")
    axes, unit = axes or new_axes(), unit_of(max(lasts_s))
    names, lines = [], []
    for number, (label, each) in enumerate(found.items()):
        drawn = [axes.plot(*points(rows, over, unit, what), linewidth=1.4)[0] for rows in each]
        for line in drawn:
            # Runs may have the same accuracies: a line below shows between another's dashes.
            line.set(color=colour(number), linestyle=DASHES[number % len(DASHES)])
        if drawn:
            names.append(SECTION.sub("", label))
            lines.append(drawn[0])
    legend(axes, lines, names)
    finish(axes, over, unit, what)
    return axes


def _pooled(run: HasTables, what: What) -> pa.Table:
    rows = measured(run.tables["metrics"], what)
    return rows.filter(pc.equal(rows["scope"], "global"))
