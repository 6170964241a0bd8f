"""Pictures of who trains which expert, and of the gating pattern."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from learning.requests.cluster import Floats, Ints
from sim.analysis.experts import by_cluster, gating_pattern
from sim.errors import InputError
from sim.plots.canvas import Drawn, colour, legend, name_ticks, new_axes

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
    # One field an expert and split; splits are named by the cycles that were complete.
    splits, first = np.unique(rows["time_s"].to_numpy(), return_index=True)
    shape = int(rows["expert"].to_numpy().max()) + 1, len(splits)
    field = given["expert"].to_numpy(), np.searchsorted(splits, given["time_s"].to_numpy())
    if len(clusters):
        names = sorted(set(rows["cluster"].to_pylist()))
        _owners(given, names, field, shape, axes)
        legend(axes, [Patch(color=colour(number)) for number in range(len(names))], names)
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
    """Paint each field in the colour of the cluster that the expert is given to."""
    owners = [names.index(name) for name in given["cluster"].to_pylist()]
    picture = np.zeros((*shape, 4))
    picture[field] = [to_rgba(colour(number)) for number in owners]
    picture[(*field, 3)] = _opacity(given["relevance"].fill_null(np.nan).to_numpy())
    axes.imshow(picture, aspect="auto", origin="lower", interpolation="nearest")


def _opacity(relevance: Floats) -> Floats:
    """From faint to full with the relevance; full where nothing measured one."""
    if not np.isfinite(relevance).any():
        return np.ones(len(relevance))
    known = np.nan_to_num(relevance, nan=np.nanmax(relevance))
    opacity: Floats = FAINTEST + (1 - FAINTEST) * known / max(known.max(initial=0.0), 1e-12)
    return opacity


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
    name_ticks(axes, "x", range(len(clients)), clients, upright=True)
    name_ticks(axes, "y", range(len(clients)), clients)
    axes.set_title(f"local processing ratio {np.trace(pattern) / len(clients):.1%}")
    if len(clients) <= FEW:
        _write_shares(axes, pattern)
    return axes


def _write_shares(axes: Axes, pattern: np.ndarray) -> None:
    for (client, expert), share in np.ndenumerate(pattern):
        if share >= 0.005:
            colour = "white" if share > 0.5 else "black"
            text = f"{share:.0%}"
            axes.text(expert, client, text, ha="center", va="center", color=colour, fontsize=7)
