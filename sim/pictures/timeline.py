"""Contacts, transfers and training over time, in a lane for each cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sim import trace_spans
from sim.errors import InputError
from sim.pictures.canvas import colour, ink, legend, name_ticks
from sim.pictures.units_of_time import unit_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BARS = {
    "in view": (0.08, 0.84, 0.13),
    "connected": (0.08, 0.84, 0.32),
    "training": (0.16, 0.3, 0.75),
    "transfers": (0.54, 0.3, 1.0),
}
"""Lower edge, height (in lanes) and opacity of what goes on."""
FINEST = 800
"""Gaps shorter than this part of what is shown cannot be seen."""
EDGE_POINTS = 0.5
"""Bars have an edge so that short ones can be seen, in points."""


def draw(
    tables: Mapping[str, pa.Table], manifest: Mapping[str, Any], axes: Axes, days: float | None
) -> Axes:
    """Draw the run from its start; raise InputError for one that nothing happened in."""
    shown_s = manifest["simulated_s"] if days is None else days * 86400.0
    shown_s = min(shown_s, manifest["simulated_s"])
    names = trace_spans.cluster_names(tables)
    if not names or not shown_s > 0:
        raise InputError("the run has no time to show: it ended before anything happened")
    unit = unit_of(shown_s)
    contacts, events = tables["contacts"], tables["events"]
    spans = {
        "in view": trace_spans.in_view(contacts, names),
        "connected": trace_spans.connected(contacts, names),
        "training": trace_spans.training(events, names),
        "transfers": trace_spans.transferring(tables["transfers"], names),
    }
    for what, (low, height, opacity) in BARS.items():
        for lane in range(len(names)):
            begin_s, end_s = spans[what].of(lane).merged(shown_s / FINEST, shown_s)
            bars = np.stack([begin_s, end_s - begin_s], axis=1) / unit.seconds
            drawn = axes.broken_barh(list(map(tuple, bars)), (lane + low, height))
            drawn.set(color=colour(lane), alpha=opacity, linewidth=EDGE_POINTS)
    axes.set_xlim(0, shown_s / unit.seconds)
    axes.set_ylim(len(names), 0)
    axes.set_xlabel(f"simulated {unit.name}")
    name_ticks(axes, "y", [lane + 0.5 for lane in range(len(names))], names)
    axes.tick_params(axis="y", length=0)
    _explain(axes)
    return axes


def _explain(axes: Axes) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=ink(), alpha=opacity) for _, _, opacity in BARS.values()]
    legend(axes, handles, list(BARS))
