"""Which cluster trains which expert, by cycle."""

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
from sim.analysis.experts import by_cluster
from sim.errors import InputError
from sim.plots.canvas import Drawn, behind, new_axes
from sim.plots.colours import colour
from sim.plots.names import legend, name_ticks

if TYPE_CHECKING:
    pass

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
    clusters = by_cluster(every)
    axes = axes or new_axes()
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
