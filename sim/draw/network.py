"""When the places of a network have satellites in view, and when they are served."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from sim.analysis.spans import Intervals
from sim.draw.canvas import behind
from sim.draw.colours import colour
from sim.draw.names import legend, name_ticks
from sim.draw.shapes import rectangles
from statements.arrays import Floats

MOST_LANES = 30
"""Places whose day is drawn; of more, those that are served for the longest."""
HOUR_S = 3_600.0
FINEST = 1_000
"""Gaps of less than one of so many parts of what is drawn cannot be seen."""
TALL = 0.72
"""Part of a lane that its bars take."""
IN_VIEW = 0.3
"""Opacity of what is in view and not served."""


class Lane(NamedTuple):
    """Spans (N, 2) in seconds in which a place is in view of a satellite, and (M, 2) is served."""

    name: str
    seen_s: Floats
    served_s: Floats


def lanes_shown(lanes: Sequence[Lane]) -> list[Lane]:
    """Return the lanes that are drawn: those with a pass, of many the ones served for longest."""
    seen = [lane for lane in lanes if len(lane.seen_s)]
    longest = sorted(seen, key=lambda lane: -float(np.diff(lane.served_s).sum()))
    kept = {lane.name for lane in longest[:MOST_LANES]}
    return [lane for lane in seen if lane.name in kept]


def day(axes: Axes, lanes: Sequence[Lane], hours: tuple[float, float]) -> None:
    """Draw when places are in view and served from one hour until another."""
    least = (hours[1] - hours[0]) / FINEST
    for what, opacity in (("in view", IN_VIEW), ("served", 1.0)):
        for number, lane in enumerate(lanes):
            spans_s = lane.served_s if what == "served" else lane.seen_s
            spans = np.clip(spans_s / HOUR_S, *hours)
            shown = spans[spans[:, 1] > spans[:, 0]]
            begin, end = Intervals(*shown.T).merged(least)
            behind(axes, place=lane.name, what=what, begin_h=begin, end_h=end)
            look = {"color": colour(0), "alpha": opacity, "linewidth": 0}
            rectangles(axes, begin, end, number - TALL / 2, number + TALL / 2, **look)
    axes.set(xlim=hours, ylim=(len(lanes) - 0.5, -0.5), xlabel="hours since the start")
    axes.grid(visible=False)
    name_ticks(axes, "y", range(len(lanes)), [lane.name for lane in lanes])
    handles = [Patch(color=colour(0), alpha=opacity) for opacity in (IN_VIEW, 1.0)]
    legend(axes, handles, ["in view of a satellite", "served"])
