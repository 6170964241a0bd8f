"""Accuracy or loss over time or cycles: of one run, of several, of groups."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes

from learning.requests.cluster import Floats
from sim.analysis.targets import TARGETS
from sim.errors import InputError
from sim.plots.canvas import (
    DASHES,
    Drawn,
    Run,
    Unit,
    colour,
    dashes,
    ink,
    legend,
    new_axes,
    unit_of,
)

Over = Literal["time", "cycle"]
OVER: dict[Over, str] = {"time": "simulated time", "cycle": "complete cycles"}
"""What accuracy is drawn over, and what that is called."""
What = Literal["accuracy", "loss"]
"""What is drawn."""


def accuracy_of(
    self: Drawn,
    axes: Axes | None = None,
    over: Over = "time",
    clusters: bool = False,
    what: What = "accuracy",
) -> Axes:
    """Draw the server's accuracy, or loss, over simulated time or over complete cycles.

    With ``clusters`` also on the test data of each cluster. Thin lines are the summary's targets.
    """
    rows = measured(self.run.tables["metrics"], what)
    if not len(rows):
        raise InputError(f"the run has no {what}: it is timing-only, or ended before it began")
    names = sorted(pc.unique(rows["cluster"].drop_null()).to_pylist()) if clusters else []
    axes, unit = axes or new_axes(), unit_of(pc.max(rows["time_s"]).as_py())
    lines = []
    for number, cluster in enumerate(names):
        mine = rows.filter(pc.equal(rows["cluster"], cluster))
        lines += axes.plot(*points(mine, over, unit, what), linewidth=1.0)
        lines[-1].set(color=colour(number), linestyle=dashes(number))
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


def accuracy(
    runs: Mapping[str, Run | Sequence[Run]],
    axes: Axes | None = None,
    over: Over = "time",
    what: What = "accuracy",
) -> Axes:
    """Draw the accuracy, or loss, of the server's model of runs or groups of runs by their labels.

    Runs that measured none are left out; raise InputError where none has any.
    """
    found: dict[str, list[pa.Table]] = {}
    for label, of in runs.items():
        known = (
            measured(run.tables["metrics"], what)
            for run in (of if isinstance(of, Sequence) else [of])
        )
        pooled = (rows.filter(pc.equal(rows["scope"], "global")) for rows in known)
        found[label] = [rows for rows in pooled if len(rows)]
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
