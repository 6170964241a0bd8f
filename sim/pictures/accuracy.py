"""Accuracy over simulated time or over complete cycles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning.requests.cluster import Floats
from sim.errors import InputError
from sim.pictures.canvas import colour, dashes, ink, legend
from sim.pictures.units_of_time import Unit, unit_of
from sim.summary import TARGETS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Over = Literal["time", "cycle"]


def draw(tables: Mapping[str, pa.Table], axes: Axes, over: Over, clusters: bool) -> Axes:
    """Draw one run; raise InputError where nothing was measured."""
    rows = measured(tables["metrics"])
    if not len(rows):
        raise InputError("the run has no accuracy: it is timing-only, or ended before it began")
    unit = unit_of(pc.max(rows["time_s"]).as_py())
    lines, names = [], []
    if clusters:
        for number, cluster in enumerate(
            sorted(pc.unique(rows["cluster"].drop_null()).to_pylist())
        ):
            mine = rows.filter(pc.equal(rows["cluster"], cluster))
            line = axes.plot(*points(mine, over, unit), linewidth=1.0)
            line[0].set(color=colour(number), linestyle=dashes(number))
            lines += line
            names.append(cluster)
    pooled = rows.filter(pc.equal(rows["scope"], "global"))
    whole = ink() if clusters else colour(0)
    lines += axes.plot(*points(pooled, over, unit), color=whole, linewidth=1.6)
    if clusters:
        legend(axes, lines, [*names, "all"])
    finish(axes, over, unit)
    return axes


def measured(metrics: pa.Table) -> pa.Table:
    """Return the evaluations that measured an accuracy."""
    return metrics.filter(pc.is_valid(metrics["accuracy"]))


def points(rows: pa.Table, over: Over, unit: Unit) -> tuple[Floats, Floats]:
    """Return x and accuracy of evaluations in order; over cycles, the first one of each cycle."""
    accuracy = rows["accuracy"].to_numpy()
    if over == "time":
        return rows["time_s"].to_numpy() / unit.seconds, accuracy
    cycle, first = np.unique(rows["cycle"].to_numpy(), return_index=True)
    return cycle.astype(float), accuracy[first]


def finish(axes: Axes, over: Over, unit: Unit) -> None:
    """Label the axes, and draw the targets among what is shown as thin lines."""
    low, high = axes.get_ylim()
    for target in TARGETS:
        if low <= target <= high:
            axes.axhline(target, color=ink(), linewidth=0.5, alpha=0.4, zorder=0.5)
    axes.set_ylim(low, high)
    axes.set_xlabel(f"simulated {unit.name}" if over == "time" else "complete cycles")
    axes.set_ylabel("accuracy")
