"""A figure over the values of a key: a line a group of other settings, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from sim.plots.canvas import behind, new_axes
from sim.plots.colours import OPEN, colour, looks_of
from sim.plots.names import legend, name
from sim.plots.sweep import in_words


class AtValue(NamedTuple):
    """The mean over seeds at one value of a key, and the ends of its 95 % interval, if it has."""

    value: float
    mean: float | None
    low: float | None
    high: float | None


def draw_over_key(
    lines: Mapping[str, Sequence[AtValue]],
    methods: Sequence[str | None],
    key: str,
    head: str,
    axes: Axes | None = None,
) -> Axes:
    """Draw means over the values of a ``key`` with numbers, and their intervals as bars.

    ``lines`` are called by their labels, and ``methods`` has the method of each, if it has one;
    ``head`` is the name of the figure. A value without a mean has no mark, and interrupts its line.
    """
    axes = axes or new_axes()
    handles = []
    for look, (label, points) in zip(looks_of(methods), lines.items(), strict=True):
        columns = (np.array(column, float) for column in zip(*points, strict=True))
        x, mean, low, high = columns
        behind(axes, line=label, **{key: x, head: mean}, low=low, high=high)
        handles += axes.plot(x, mean, marker=look.marker, **OPEN, **look.line)
        known = np.isfinite(low) & np.isfinite(high)
        bars: dict[str, Any] = {"color": colour(look.hue), "linewidth": 0.8, "alpha": 0.7}
        axes.vlines(x[known], low[known], high[known], **bars)
    axes.set_xlabel(name(in_words(key), 40))
    axes.set_ylabel(name(head, 40))
    if len(lines) > 1:
        legend(axes, handles, list(lines))
    return axes
