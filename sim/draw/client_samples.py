"""Which client holds how many samples of which class."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes

from sim.analysis.rounds import client_word
from sim.draw.canvas import Drawn, behind, new_axes, nothing
from sim.draw.names import name_ticks
from sim.draw.shapes import shaded
from statements.arrays import Ints

MOST_CLIENTS = 48
"""Clients, or clusters, that are told apart."""
MOST_CLASSES = 16
"""Classes that are told apart."""


class SamplesByClass(NamedTuple):
    """Samples (N, C) of each of the ``clients`` (N) by each of the ``classes`` (C).

    ``who`` says what the clients are.
    """

    clients: list[str]
    classes: list[str]
    samples: Ints
    who: str


def samples_by_class(
    tables: Mapping[str, pa.Table], manifest: Mapping[str, Any]
) -> SamplesByClass | None:
    """Return the samples of each client by class, by cluster where there are many clients.

    Of many clusters they are the first ones; of many classes the smallest are one. None of a run
    that trains nothing.
    """
    rows = tables.get("clients")
    if rows is None or not len(rows):
        return None
    counts = (
        rows.to_pandas()
        .fillna({"cluster": ""})
        .pivot_table("samples", ["cluster", "device"], "class", aggfunc="sum", fill_value=0)
    )
    who = client_word(manifest)
    if who == "cluster" and len(counts) <= MOST_CLIENTS:
        who = "client"
        names = [f"{cluster}/{device}" for cluster, device in counts.index]
    else:
        counts = counts.groupby(level="cluster").sum()
        if len(counts) > MOST_CLIENTS:
            who = f"{who}, the first {MOST_CLIENTS} of {len(counts)}"
            counts = counts.head(MOST_CLIENTS)
        names = [str(cluster) for cluster in counts.index]
    every = counts.to_numpy()
    labels = [str(label) if label >= 0 else "none" for label in counts.columns]
    largest = np.argsort(-every.sum(0), kind="stable")
    own = np.sort(largest[: MOST_CLASSES if len(largest) <= MOST_CLASSES else MOST_CLASSES - 1])
    classes, others = [labels[place] for place in own], len(largest) - len(own)
    shown = every[:, own]
    if others:
        classes.append(f"{others} others")
        shown = np.column_stack([shown, every.sum(1) - shown.sum(1)])
    return SamplesByClass(names, classes, shown, who)


def clients(self: Drawn, axes: Axes | None = None) -> Axes:
    """Draw how many samples of which class each client holds, by cluster for many clients.

    Of many clusters the first ones are drawn; of many classes the smallest share a column.
    """
    found = samples_by_class(self.run.tables, self.run.manifest)
    if found is None:
        raise nothing("the run has no table of clients: only runs that train have samples")
    axes = axes or new_axes()
    shaded(axes, found.samples.astype(float), "{:.0f}".format)
    behind(
        axes,
        client=np.array(found.clients)[:, None],
        **{"class": found.classes},
        samples=found.samples,
    )
    name_ticks(axes, "x", range(len(found.classes)), found.classes)
    name_ticks(axes, "y", range(len(found.clients)), found.clients)
    axes.set_xlabel("class")
    axes.set_ylabel(found.who)
    return axes
