"""Which client holds how many samples of which class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes

from sim.analysis.rounds import client_word
from sim.errors import InputError
from sim.plots.canvas import Drawn, behind, new_axes
from sim.plots.names import name_ticks

if TYPE_CHECKING:
    import pandas as pd

MOST_BARS = 48
"""Clients, or clusters, with a bar of their own."""
MOST_CLASSES = 16
"""Classes with a colour of their own."""
OTHERS = "#9a9a9a"


def clients(self: Drawn, axes: Axes | None = None) -> Axes:
    """Draw how many samples of which class each client holds, by cluster for many clients.

    Of many clusters the first ones are drawn; of many classes the smallest share a colour.
    """
    from matplotlib import colormaps

    rows = self.run.tables.get("clients")
    if rows is None or not len(rows):
        raise InputError("the run has no table of clients: only runs that train have samples")
    axes = axes or new_axes()
    table, axis = _bars(rows, client_word(self.run.manifest))
    counts = table.to_numpy()
    labels = [str(label) for label in table.columns]
    largest = np.argsort(-counts.sum(0), kind="stable")
    own = np.sort(largest[: MOST_CLASSES if len(largest) <= MOST_CLASSES else MOST_CLASSES - 1])
    heights = list(counts.T[own])
    classes = [labels[place] for place in own]
    # neighbours in a bar are told apart by colour-blind eyes too
    colours = list(colormaps["viridis"]((np.arange(len(own)) + 0.5) / max(len(own), 1)))
    if len(own) < len(largest):
        heights.append(counts.sum(1) - counts[:, own].sum(1))
        classes.append(f"{len(largest) - len(own)} others")
        colours.append(OTHERS)
    places = np.arange(len(counts))
    tops = np.cumsum(heights, axis=0)
    bars = [
        axes.bar(places, height, bottom=top - height, color=colour, width=0.85)
        for height, top, colour in zip(heights, tops, colours, strict=True)
    ]
    names = ["/".join(map(str, who)) if isinstance(who, tuple) else who for who in table.index]
    behind(axes, client=names, **{"class": np.array(classes)[:, None]}, samples=heights)
    name_ticks(axes, "x", places.tolist(), names, upright=True)
    axes.set_xlabel(axis)
    axes.set_ylabel("samples")
    # in the order in which the bars are stacked
    axes.legend(
        bars[::-1],
        classes[::-1],
        title="class",
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        frameon=False,
        fontsize="small",
        labelspacing=0.1,
    )
    return axes


def _bars(rows: pa.Table, word: str) -> tuple[pd.DataFrame, str]:
    """Return samples by client, or by cluster, and class, and what the bars' axis is called.

    Clusters that are called by another ``word`` are clients themselves.
    """
    counts = (
        rows.to_pandas()
        .fillna({"cluster": ""})
        .pivot_table("samples", ["cluster", "device"], "class", aggfunc="sum", fill_value=0)
    )
    if word == "cluster" and len(counts) <= MOST_BARS:
        return counts, "client"
    counts = counts.groupby(level="cluster").sum()
    if len(counts) <= MOST_BARS:
        return counts, word
    return counts.head(MOST_BARS), f"{word}, the first {MOST_BARS} of {len(counts)}"
