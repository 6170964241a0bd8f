"""What went on when, and where the time went."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from learning.requests.cluster import Floats
from sim.analysis import spans
from sim.analysis.rounds import round_ends_s
from sim.errors import InputError
from sim.plots.canvas import COLOURS, Drawn, colour, ink, legend, name_ticks, new_axes, unit_of

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


def timeline(self: Drawn, axes: Axes | None = None, days: float | None = None) -> Axes:
    """Draw contacts, transfers and training by cluster, of the first ``days`` or of all."""
    tables, simulated_s = self.run.tables, self.run.manifest["simulated_s"]
    shown_s = simulated_s if days is None else min(days * 86400.0, simulated_s)
    from matplotlib.patches import Patch

    names = spans.cluster_names(tables)
    if not names or not shown_s > 0:
        raise InputError("the run has no time to show: it ended before anything happened")
    axes, unit = axes or new_axes(), unit_of(shown_s)
    contacts, events = tables["contacts"], tables["events"]
    shown = {
        "in view": spans.in_view(contacts),
        "connected": spans.connected(contacts),
        "training": spans.training(events)[0],
        "transfers": spans.transferring(tables["transfers"]),
    }
    for what, (low, height, opacity) in BARS.items():
        for lane, mine in enumerate(spans.by_cluster(shown[what], names)):
            begin_s, end_s = mine.merged(shown_s / FINEST, shown_s)
            bars = np.stack([begin_s, end_s - begin_s], axis=1) / unit.seconds
            drawn = axes.broken_barh(list(map(tuple, bars)), (lane + low, height))
            drawn.set(color=colour(lane), alpha=opacity, linewidth=EDGE_POINTS)
    axes.set_xlim(0, shown_s / unit.seconds)
    axes.set_ylim(len(names), 0)
    axes.set_xlabel(f"simulated {unit.name}")
    name_ticks(axes, "y", [lane + 0.5 for lane in range(len(names))], names)
    axes.tick_params(axis="y", length=0)
    handles = [Patch(color=ink(), alpha=opacity) for _, _, opacity in BARS.values()]
    legend(axes, handles, list(BARS))
    return axes


def rounds(self: Drawn, axes: Axes | None = None) -> Axes:
    """Draw how long each round lasted, by when it ended, and the mean of all."""
    ends_s = round_ends_s(self.run.tables, self.run.manifest)
    if not len(ends_s):
        raise InputError("the run has no rounds: its method has ended none, or waits for nobody")
    lasted_s = np.diff(ends_s, prepend=0.0)
    axes, across, up = axes or new_axes(), unit_of(ends_s[-1]), unit_of(lasted_s.max())
    lines = axes.plot(ends_s / across.seconds, lasted_s / up.seconds, "o", ms=3, color=colour(0))
    lines += [axes.axhline(lasted_s.mean() / up.seconds, color=colour(1), linestyle="--")]
    axes.set_ylim(0, 1.1 * lasted_s.max() / up.seconds)
    axes.set(xlabel=f"end of the round (simulated {across.name})", ylabel=f"lasted ({up.name})")
    legend(axes, lines, ["a round", "mean"])
    return axes


# Where simulated time went: a bar for each cluster, and one for the critical path.


PARTS = {
    "transmitting": COLOURS[0],
    "queueing": COLOURS[1],
    "training": COLOURS[2],
    "waiting": "#a0a0a0",
}
CRITICAL = "critical path"


def where_time_went(self: Drawn, axes: Axes | None = None) -> Axes:
    """Draw how each cluster, and the critical path, spent the simulated time."""
    path = self.run.critical_path
    if not path.clusters or not path.simulated_s > 0:
        raise InputError("the run has no time to show: it ended before anything happened")
    axes, unit = axes or new_axes(), unit_of(path.simulated_s)
    spent = [*path.clusters.values(), path.spent]
    place = np.arange(len(spent)) + np.array([0.0] * len(path.clusters) + [0.3])
    stack(axes, place, np.array(spent) / unit.seconds, 0.7)
    name_ticks(axes, "y", place.tolist(), [*path.clusters, CRITICAL])
    axes.set_ylim(place[-1] + 0.6, -0.6)
    axes.set_xlim(0, path.simulated_s / unit.seconds)
    axes.set_xlabel(f"simulated {unit.name}")
    return axes


def stack(axes: Axes, place: Floats, widths: Floats, height: float) -> None:
    """Draw a bar at each place (B,), made of the widths (B, 4) of all parts, and their legend."""
    right = np.cumsum(widths, axis=1)
    bars = [
        axes.barh(place, width, height, left, color=part)
        for width, left, part in zip(widths.T, (right - widths).T, PARTS.values(), strict=True)
    ]
    legend(axes, [one[0] for one in bars], list(PARTS))
