"""Pictures of which client holds how many samples of which class."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes

from learning.requests.cluster import Ints
from sim.errors import InputError
from sim.plots.canvas import Drawn, name_ticks, new_axes
from sim.trace.tables import numbers_of

MOST_BARS, MOST_CLASSES = 48, 16
"""Clients, or clusters, with a bar of their own, and classes with a colour of their own."""
OTHERS = "#9a9a9a"


def clients(self: Drawn, axes: Axes | None = None) -> Axes:
    """Draw how many samples of which class each client holds, by cluster for many clients.

    Of many clusters the first ones are drawn; of many classes the smallest share a colour.
    """
    from matplotlib import colormaps

    rows = self.run.tables.get("clients")
    if rows is None or not len(rows):
        raise InputError("the run has no table of clients: only runs that train have samples")
    counts, labels, names, axis = _bars(rows)
    axes = axes or new_axes()
    largest = np.argsort(-counts.sum(0), kind="stable")
    own = np.sort(largest[: MOST_CLASSES if len(largest) <= MOST_CLASSES else MOST_CLASSES - 1])
    heights = [counts[:, place] for place in own]
    classes = [str(labels[place]) for place in own]
    # neighbours in a bar are told apart by colour-blind eyes too
    colours = list(colormaps["viridis"]((np.arange(len(own)) + 0.5) / max(len(own), 1)))
    if len(own) < len(largest):
        heights.append(counts.sum(1) - counts[:, own].sum(1))
        classes.append(f"{len(largest) - len(own)} others")
        colours.append(OTHERS)
    places, bottom = np.arange(len(names)), np.zeros(len(names))
    bars = []
    for height, colour in zip(heights, colours, strict=True):
        bars.append(axes.bar(places, height, bottom=bottom, color=colour, width=0.85))
        bottom = bottom + height
    name_ticks(axes, "x", places.tolist(), names, upright=True)
    axes.set_xlabel(axis)
    axes.set_ylabel("samples")
    # in the order in which the bars are stacked
    axes.legend(
        *(bars[::-1], classes[::-1]),
        title="class",
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        frameon=False,
        fontsize="small",
        labelspacing=0.1,
    )
    return axes


def _bars(rows: pa.Table) -> tuple[Ints, Ints, list[str], str]:
    """Return samples by bar and class (B, L), classes (L,), the bars' names, and the axis'."""
    encoded = rows["cluster"].fill_null("").combine_chunks().dictionary_encode()
    clusters: list[str] = encoded.dictionary.to_pylist()
    cluster, device = encoded.indices.to_numpy(), numbers_of(rows["device"])
    labels, label = np.unique(numbers_of(rows["class"]), return_inverse=True)
    client, bar = np.unique(np.stack([cluster, device]), axis=1, return_inverse=True)
    names = [f"{clusters[place]}/{number}" for place, number in client.T.tolist()]
    axis = "client"
    if len(names) > MOST_BARS:
        bar, names, axis = cluster, clusters, "cluster"
    if len(names) > MOST_BARS:
        axis = f"cluster, the first {MOST_BARS} of {len(names)}"
        names = names[:MOST_BARS]
    counts = np.zeros((len(names), len(labels)), np.int64)
    shown = bar < len(names)
    np.add.at(counts, (bar[shown], label[shown]), numbers_of(rows["samples"])[shown])
    return counts, labels, names, axis
