"""How stale updates were, and how evenly experts are used by those who train them."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from sim.analysis.experts import Alignment, variation
from sim.draw.canvas import behind
from sim.draw.colours import COLOURS, looks_of
from sim.draw.names import legend

MOST_BARS = 100
"""Bars of the staleness at most; beyond, one stands for several neighbours."""
MANY = 40
"""Rounds from which on they have no marks."""


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


def fitness_and_load(axes: Axes, rounds: Sequence[Alignment]) -> None:
    """Draw how fit the trainers of experts are and how evenly these are used, round by round."""
    days = [one.time_s / 86400 for one in rounds]
    fitness = [float(one.fitness[one.assigned].mean()) for one in rounds]
    load = [variation(one.samples.sum(axis=0)) if one.samples.any() else np.nan for one in rounds]
    behind(axes, days=days, mean_fitness=fitness, variation_of_load=load)
    lines = []
    for look, values in zip(looks_of([None, None]), (fitness, load), strict=True):
        mark = look.marker if len(rounds) <= MANY else ""
        lines += axes.plot(days, values, marker=mark, markersize=3, **look.line)
    axes.set(xlabel="simulated time (days)", ylabel="fitness, variation")
    axes.set_ylim(bottom=0)
    legend(axes, lines, ["mean fitness", "variation of load (samples)"])
