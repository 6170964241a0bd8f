"""Pictures that hold several runs against each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from sim.errors import InputError
from sim.pictures.accuracy import Over, finish, measured, points
from sim.pictures.canvas import colour, dashes, legend, new_axes
from sim.pictures.units_of_time import unit_of
from sim.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Run = Result | Mapping[str, pa.Table]
"""A run, or its tables."""


def accuracy(runs: Mapping[str, Run], axes: Axes | None = None, over: Over = "time") -> Axes:
    """Draw the server's accuracy of runs by their labels; raise InputError where none has any.

    Runs that measured none are left out.
    """
    found = {label: _measured(run) for label, run in runs.items()}
    found = {label: rows for label, rows in found.items() if len(rows)}
    if not found:
        raise InputError("none of the runs has an accuracy: they are timing-only, or unfinished")
    axes = axes or new_axes()
    unit = unit_of(max(pc.max(rows["time_s"]).as_py() for rows in found.values()))
    numbers = {label: number for number, label in enumerate(runs)}
    lines = []
    for label, rows in found.items():
        line = axes.plot(*points(rows, over, unit), linewidth=1.4)
        line[0].set(color=colour(numbers[label]), linestyle=dashes(numbers[label]))
        lines += line
    legend(axes, lines, list(found))
    finish(axes, over, unit)
    return axes


def _measured(run: Run) -> pa.Table:
    tables = run.tables if isinstance(run, Result) else run
    rows = measured(tables["metrics"])
    return rows.filter(pc.equal(rows["scope"], "global"))
