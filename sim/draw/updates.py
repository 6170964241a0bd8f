"""How stale updates were."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from sim.draw.canvas import behind
from sim.draw.colours import COLOURS

MOST_BARS = 100
"""Bars of the staleness at most; beyond, one stands for several neighbours."""


def staleness(axes: Axes, counts: Mapping[int, int]) -> None:
    """Draw how many versions lay between a device's download and its update."""
    behind(axes, staleness_versions=list(counts), updates=list(counts.values()))
    values = np.maximum(list(counts), 0)
    updates = list(counts.values())
    width = -(-(int(values.max()) + 1) // MOST_BARS)
    of_a_bar = np.bincount(values // width, updates)
    middles = (np.arange(len(of_a_bar)) + 0.5) * width - 0.5
    axes.bar(middles, of_a_bar, 0.8 * width, color=COLOURS[0])
    axes.locator_params(axis="x", integer=True)
    axes.set_xlim(-0.6 * width - 0.1, len(of_a_bar) * width - 0.4)
    axes.set_xlabel("staleness (versions)")
    axes.set_ylabel("updates")
