"""Which cluster trains which expert, by cycle."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from sim.analysis.experts import Splits, by_cluster, splits
from sim.errors import InputError
from sim.plots.canvas import Drawn, behind, new_axes
from sim.plots.colours import colour
from sim.plots.names import legend, name_ticks
from statements import Code, Statement

MOST_NAMES = 60
"""Clusters up to which a legend names each."""
FAINTEST = 0.25
"""Opacity of an expert that is not relevant at all to the cluster that trains it."""


def assignment(self: Drawn, axes: Axes | None = None) -> Axes:
    """Draw which cluster trains which expert by cycle, the darker the more relevant it is.

    Where experts are given to devices, it is how many devices train each of them.
    """
    every = self.run.tables["assignments"]
    found = splits(every)
    if found is None:
        raise InputError(
            Statement.of(
                Code.NOT_RECORDED,
                "",
                "the run has no assignments: its method gives no expert to anybody",
            )
        )
    axes = axes or new_axes()
    rows = by_cluster(every) if found.clusters else every
    given = rows.filter(rows["assigned"])
    keys = ["time_s", "cycle", "cluster", "device", "expert", "relevance"]
    behind(axes, **{key: given[key].to_numpy() for key in keys})
    if found.clusters:
        _owners(found, axes)
    else:
        image = axes.imshow(found.value, aspect="auto", origin="lower", cmap="Blues", vmin=0)
        whole = MaxNLocator(integer=True)
        axes.figure.colorbar(image, ax=axes, label="devices that train it", ticks=whole)
    # One field an expert and split; splits are named by the cycles that were complete.
    name_ticks(axes, "x", range(len(found.cycle)), found.cycle.tolist())
    experts = range(len(found.owner))
    name_ticks(axes, "y", experts, experts)
    axes.set_ylabel("expert")
    axes.set_xlabel("complete cycles")
    return axes


def _owners(found: Splits, axes: Axes) -> None:
    """Paint each field in the colour of the cluster that the expert is given to.

    From faint to full with the relevance; full where nothing measured one.
    """
    names = found.clusters
    given = found.owner >= 0
    picture = np.zeros((*found.owner.shape, 4))
    picture[given] = [to_rgba(colour(number)) for number in found.owner[given].tolist()]
    highest = max(float(found.value.max(initial=0.0)), 1e-12)
    picture[given, 3] = FAINTEST + (1 - FAINTEST) * found.value[given] / highest
    axes.imshow(picture, aspect="auto", origin="lower", interpolation="nearest")
    if len(names) <= MOST_NAMES:
        legend(axes, [Patch(color=colour(number)) for number in range(len(names))], names)
    else:
        axes.set_title(f"{len(names)} clusters, without their names")
