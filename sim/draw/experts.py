"""Which cluster trains which expert, by cycle; which client's samples go to which."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from sim.analysis.experts import Splits, by_cluster, gating_pattern, splits
from sim.draw.canvas import Drawn, behind, new_axes, nothing
from sim.draw.colours import HEAT, colour
from sim.draw.names import legend, name_ticks
from sim.draw.shapes import fields, shade_steps, shaded
from sim.formatting import percent
from statements.arrays import Ints

MOST_OWNERS_NAMED = 60
"""Clusters up to which a legend names each."""
FAINTEST = 0.3
"""Opacity of an expert that is hardly relevant to the cluster that trains it."""
MOST_SPLITS = 160
"""Splits that a picture tells apart: of more, evenly spread ones are drawn."""


def assignment(self: Drawn, axes: Axes | None = None) -> Axes:
    """Draw which cluster trains which expert by cycle, the darker the more relevant it is.

    Where experts are given to devices, it is how many devices train each of them.
    """
    every = self.run.tables["assignments"]
    found = splits(every)
    if found is None:
        raise nothing("the run has no assignments: its method gives no expert to anybody")
    axes = axes or new_axes()
    rows = by_cluster(every) if found.clusters else every
    given = rows.filter(rows["assigned"])
    keys = ["time_s", "cycle", "cluster", "device", "expert", "relevance"]
    behind(axes, **{key: given[key].to_numpy() for key in keys})
    every_split = found.owner.shape[1]
    shown = np.unique(np.linspace(0, every_split - 1, MOST_SPLITS).astype(int))
    if found.clusters:
        _owners(found, shown, axes)
    else:
        shaded(axes, found.value[:, shown], "{:g}".format)
        axes.invert_yaxis()
    # One field an expert and split; splits are named by the cycles that were complete.
    name_ticks(axes, "x", range(len(shown)), found.cycle[shown].tolist())
    experts = range(len(found.owner))
    name_ticks(axes, "y", experts, experts)
    axes.set_ylabel("expert")
    axes.set_xlabel("complete cycles")
    return axes


def _owners(found: Splits, shown: Ints, axes: Axes) -> None:
    """Paint each field in the colour of the cluster that the expert is given to.

    From faint to full with the relevance; full where nothing measured one.
    """
    names = found.clusters
    owner, value = found.owner[:, shown], found.value[:, shown]
    steps = shade_steps(value / max(float(found.value.max(initial=0.0)), 1e-12))
    for number, step in sorted({*zip(owner.ravel().tolist(), steps.ravel().tolist(), strict=True)}):
        if number >= 0:
            mine = np.argwhere((owner == number) & (steps == step))
            opacity = FAINTEST + (1 - FAINTEST) * (step + 1) / len(HEAT)
            look: dict[str, Any] = {"color": colour(number), "alpha": opacity, "linewidth": 0}
            fields(axes, mine, **look)
    axes.grid(visible=False)
    axes.set(xlim=(-0.5, owner.shape[1] - 0.5), ylim=(-0.5, len(owner) - 0.5))
    if len(names) <= MOST_OWNERS_NAMED:
        legend(axes, [Patch(color=colour(number)) for number in range(len(names))], names)
    else:
        axes.set_title(f"{len(names)} clusters, without their names")


def gating(self: Drawn, axes: Axes | None = None) -> Axes:
    """Draw the gating pattern: which client's samples go to which expert (NMoE, Figure 3)."""
    found = gating_pattern(self.run.tables["assignments"])
    if found is None:
        raise nothing("the run has no gating pattern: its method does not measure one")
    clients, pattern = found
    axes = axes or new_axes()
    shaded(axes, pattern, lambda share: percent(share, 0) if share >= 0.005 else "")
    axes.set_xlabel("expert selected first")
    axes.set_ylabel("client with the sample")
    behind(axes, client=np.array(clients)[:, None], expert=clients, share=pattern)
    name_ticks(axes, "x", range(len(clients)), clients, upright=True)
    name_ticks(axes, "y", range(len(clients)), clients)
    axes.set_title(f"local processing ratio {percent(np.trace(pattern) / len(clients), 1)}")
    return axes
