"""Where simulated time went: a line for each cluster, and one for the critical path."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from sim.analysis.critical_path import Spent
from sim.analysis.rounds import client_word
from sim.errors import InputError
from sim.plots.canvas import Drawn, behind, new_axes
from sim.plots.colours import colour, ink
from sim.plots.names import legend, name

PARTS = {"transmitting": "o", "queueing": "s", "training": "^", "waiting": "D"}
"""What time goes by with, and how it is marked."""
CRITICAL = "critical path"
LEAST_PERCENT = 0.01
"""Where the scale of shares begins: less stands there too, nothing stands nowhere."""
MOST_LINES = 16
"""Clusters up to which each has a line of its own, and not only their mean."""
LONGEST_LABEL = 60
"""Letters of a name that are written whole."""


def where_time_went(self: Drawn, axes: Axes | None = None) -> Axes:
    """Draw which shares of the simulated time each cluster, and the critical path, spent how."""
    path = self.run.critical_path
    if not path.clusters or not path.simulated_s > 0:
        raise InputError("the run has no time to show: it ended before anything happened")
    spent = path.clusters
    if len(spent) > MOST_LINES:
        both = Spent(*map(sum, zip(*spent.values(), strict=True)))
        spent = {f"all {len(spent)} {client_word(self.run.manifest)}s together": both}
    if path.cycles:
        spent = {**spent, CRITICAL: path.spent}
    return draw_shares({who: one.shares for who, one in spent.items()}, axes)


def draw_shares(lines: Mapping[str, Mapping[str, float]], axes: Axes | None = None) -> Axes:
    """Draw the shares of time of some lines by part, on a scale that shows 1 % beside 99 %."""
    axes = axes or new_axes()
    places = np.arange(len(lines))
    for place, label in enumerate(lines):
        axes.axhline(place, color=ink(), linewidth=0.5, alpha=0.4, zorder=0.5)
        axes.text(LEAST_PERCENT, place - 0.22, name(label, LONGEST_LABEL), va="bottom")
    handles = []
    for number, (part, marker) in enumerate(PARTS.items()):
        percent = 100 * np.array([shares[part] for shares in lines.values()])
        shown = np.where(percent > 0, np.maximum(percent, LEAST_PERCENT), np.nan)
        behind(axes, line=list(lines), part=part, percent=percent)
        handles += axes.plot(shown, places, marker, color=colour(number), fillstyle="none", mew=2)
    axes.set(xscale="log", xlim=(0.8 * LEAST_PERCENT, 125), yticks=[])
    axes.set_ylim(len(lines) - 0.6, -0.8)
    axes.set_xticks([0.01, 0.1, 1, 10, 100], ["0.01", "0.1", "1", "10", "100"])
    axes.set_xlabel("share of the time in percent, by powers of ten")
    legend(axes, handles, list(PARTS))
    return axes
