"""Accuracy of groups of runs, a colour a group and a line a seed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from sim.pictures.accuracy import Over, finish, measured, points
from sim.pictures.canvas import DASHES, colour, legend
from sim.pictures.units_of_time import unit_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SECTION = re.compile(r"\b(?:\w+\.)+(?=\w+=)")
"""What stands before the last part of a key in a label, and has no room in a legend."""


def draw(groups: Mapping[str, Sequence[pa.Table]], axes: Axes, over: Over) -> None:
    """Draw the ``metrics`` tables of groups by label; what measured nothing is left out."""
    found = {label: [_pooled(table) for table in tables] for label, tables in groups.items()}
    lasts = [pc.max(rows["time_s"]).as_py() for each in found.values() for rows in each]
    unit = unit_of(max(last for last in lasts if last is not None))
    names, lines = [], []
    for number, (label, each) in enumerate(found.items()):
        known = [rows for rows in each if len(rows)]
        drawn = [axes.plot(*points(rows, over, unit), linewidth=1.4)[0] for rows in known]
        for line in drawn:
            # Groups may have the same accuracies: a line below shows between another's dashes.
            line.set(color=colour(number), linestyle=DASHES[number % len(DASHES)])
        if drawn:
            names.append(label)
            lines.append(drawn[0])
    legend(axes, lines, [SECTION.sub("", label) for label in names])
    finish(axes, over, unit)


def _pooled(metrics: pa.Table) -> pa.Table:
    rows = measured(metrics)
    return rows.filter(pc.equal(rows["scope"], "global"))
