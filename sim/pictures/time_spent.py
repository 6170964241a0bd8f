"""Where simulated time went: a bar for each cluster, and one for the critical path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sim.critical_path import critical_path
from sim.errors import InputError
from sim.pictures.canvas import COLOURS, legend, name_ticks
from sim.pictures.units_of_time import unit_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PARTS = {
    "transmitting": COLOURS[0],
    "queueing": COLOURS[1],
    "training": COLOURS[2],
    "waiting": "#a0a0a0",
}
CRITICAL = "critical path"


def draw(tables: Mapping[str, pa.Table], manifest: Mapping[str, Any], axes: Axes) -> Axes:
    """Draw what the clusters did; raise InputError for a run that ended at its start."""
    path = critical_path(tables, manifest["simulated_s"])
    if not path.clusters or not path.simulated_s > 0:
        raise InputError("the run has no time to show: it ended before anything happened")
    unit = unit_of(path.simulated_s)
    spent = [*path.clusters.values(), path.spent]
    seconds = np.array([astuple(parts) for parts in spent])
    place = np.arange(len(spent)) + np.array([0.0] * len(path.clusters) + [0.3])
    left_s = np.cumsum(seconds, axis=1) - seconds
    handles = []
    for number, part in enumerate(PARTS.values()):
        width = seconds[:, number] / unit.seconds
        handles.append(axes.barh(place, width, 0.7, left_s[:, number] / unit.seconds, color=part))
    name_ticks(axes, "y", place.tolist(), [*path.clusters, CRITICAL])
    axes.set_ylim(place[-1] + 0.6, -0.6)
    axes.set_xlim(0, path.simulated_s / unit.seconds)
    axes.set_xlabel(f"simulated {unit.name}")
    legend(axes, [bars[0] for bars in handles], list(PARTS))
    return axes
