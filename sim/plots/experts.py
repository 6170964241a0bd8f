"""Pictures of clients: who trains which expert, the gating pattern, who holds which samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from learning.requests.cluster import Ints
from sim.analysis.experts import by_cluster, gating_pattern
from sim.analysis.rounds import client_word
from sim.errors import InputError
from sim.plots.canvas import Drawn, behind, colour, ink_on, legend, name_ticks, new_axes

if TYPE_CHECKING:
    import pandas as pd

MOST_NAMES = 60
"""Clusters up to which a legend names each."""
FAINTEST = 0.25
"""Opacity of an expert that is not relevant at all to the cluster that trains it."""


def assignment(self: Drawn, axes: Axes | None = None) -> Axes:
    """Draw which cluster trains which expert by cycle, the darker the more relevant it is.

    Where experts are given to devices, it is how many devices train each of them.
    """
    every = self.run.tables["assignments"]
    if not len(every):
        raise InputError("the run has no assignments: its method gives no expert to anybody")
    clusters, axes = by_cluster(every), axes or new_axes()
    rows = clusters if len(clusters) else every
    given = rows.filter(rows["assigned"])
    keys = ["time_s", "cycle", "cluster", "device", "expert", "relevance"]
    behind(axes, **{key: given[key].to_numpy() for key in keys})
    # One field an expert and split; splits are named by the cycles that were complete.
    splits, first = np.unique(rows["time_s"].to_numpy(), return_index=True)
    shape = int(rows["expert"].to_numpy().max()) + 1, len(splits)
    field = given["expert"].to_numpy(), np.searchsorted(splits, given["time_s"].to_numpy())
    if len(clusters):
        names = sorted(set(rows["cluster"].to_pylist()))
        _owners(given, names, field, shape, axes)
        if len(names) <= MOST_NAMES:
            legend(axes, [Patch(color=colour(number)) for number in range(len(names))], names)
        else:
            axes.set_title(f"{len(names)} clusters, without their names")
    else:
        devices = np.zeros(shape)
        np.add.at(devices, field, 1)
        image = axes.imshow(devices, aspect="auto", origin="lower", cmap="Blues", vmin=0)
        whole = MaxNLocator(integer=True)
        axes.figure.colorbar(image, ax=axes, label="devices that train it", ticks=whole)
    name_ticks(axes, "x", range(len(splits)), rows["cycle"].to_numpy()[first].tolist())
    experts = range(int(every["expert"].to_numpy().max()) + 1)
    name_ticks(axes, "y", experts, experts)
    axes.set_ylabel("expert")
    axes.set_xlabel("complete cycles")
    return axes


def _owners(
    given: pa.Table,
    names: Sequence[str],
    field: tuple[Ints, Ints],
    shape: tuple[int, int],
    axes: Axes,
) -> None:
    """Paint each field in the colour of the cluster that the expert is given to.

    From faint to full with the relevance; full where nothing measured one.
    """
    number_of = {name: number for number, name in enumerate(names)}
    owners = [number_of[name] for name in given["cluster"].to_pylist()]
    picture = np.zeros((*shape, 4))
    picture[field] = [to_rgba(colour(number)) for number in owners]
    relevance = given["relevance"].fill_null(np.nan).to_numpy()
    if np.isfinite(relevance).any():
        known = np.nan_to_num(relevance, nan=np.nanmax(relevance))
        picture[(*field, 3)] = FAINTEST + (1 - FAINTEST) * known / max(known.max(), 1e-12)
    axes.imshow(picture, aspect="auto", origin="lower", interpolation="nearest")


# The gating pattern of networked experts: which client's samples go to which expert.


FEW = 12
"""Clients up to which each share is written into its field."""


def gating(self: Drawn, axes: Axes | None = None) -> Axes:
    """Draw the gating pattern: which client's samples go to which expert (NMoE, Figure 3)."""
    found = gating_pattern(self.run.tables["assignments"])
    if found is None:
        raise InputError("the run has no gating pattern: only method nmoe measures one")
    (clients, pattern), axes = found, axes or new_axes()
    image = axes.imshow(pattern, vmin=0.0, vmax=1.0, cmap="Blues", aspect="auto")
    axes.figure.colorbar(image, ax=axes, label="share of samples")
    axes.set_xlabel("expert selected first")
    axes.set_ylabel("client with the sample")
    behind(axes, client=np.array(clients)[:, None], expert=clients, share=pattern)
    name_ticks(axes, "x", range(len(clients)), clients, upright=True)
    name_ticks(axes, "y", range(len(clients)), clients)
    axes.set_title(f"local processing ratio {np.trace(pattern) / len(clients):.1%}")
    for (client, expert), share in np.ndenumerate(pattern if len(clients) <= FEW else []):
        if share >= 0.005:
            own = ink_on(image.to_rgba(np.array(share)))
            text = f"{share:.0%}"
            axes.text(expert, client, text, color=own, ha="center", va="center", fontsize=7)
    return axes


# Which client holds how many samples of which class.


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
    axes, (table, axis) = axes or new_axes(), _bars(rows, client_word(self.run.manifest))
    counts, labels = table.to_numpy(), list(map(str, table.columns))
    largest = np.argsort(-counts.sum(0), kind="stable")
    own = np.sort(largest[: MOST_CLASSES if len(largest) <= MOST_CLASSES else MOST_CLASSES - 1])
    heights, classes = list(counts.T[own]), [labels[place] for place in own]
    # neighbours in a bar are told apart by colour-blind eyes too
    colours = list(colormaps["viridis"]((np.arange(len(own)) + 0.5) / max(len(own), 1)))
    if len(own) < len(largest):
        heights.append(counts.sum(1) - counts[:, own].sum(1))
        classes.append(f"{len(largest) - len(own)} others")
        colours.append(OTHERS)
    places, tops = np.arange(len(counts)), np.cumsum(heights, axis=0)
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
        *(bars[::-1], classes[::-1]),
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
