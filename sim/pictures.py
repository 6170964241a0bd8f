"""Pictures of a run for notebooks and papers, as matplotlib axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from sim.errors import InputError
from sim.networked_summary import gating_pattern

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW = 12
"""Clients up to which each share is written into its field."""


class Pictures:
    """What ``Result.plot`` offers; each takes the axes to draw on, or makes some."""

    def __init__(self, tables: dict[str, pa.Table]) -> None:
        self._tables = tables

    def gating(self, axes: Axes | None = None) -> Axes:
        """Draw the gating pattern: which client's samples go to which expert (NMoE, Figure 3).

        Raises InputError for a run without one.
        """
        found = gating_pattern(self._tables["assignments"])
        if found is None:
            raise InputError("the run has no gating pattern: only method nmoe measures one")
        clients, pattern = found
        axes = _axes() if axes is None else axes
        image = axes.imshow(pattern, vmin=0.0, vmax=1.0, cmap="Blues")
        axes.figure.colorbar(image, ax=axes, label="share of samples")
        axes.set_xlabel("expert selected first")
        axes.set_ylabel("client with the sample")
        axes.set_xticks(range(len(clients)), clients, rotation=90)
        axes.set_yticks(range(len(clients)), clients)
        axes.set_title(f"local processing ratio {np.trace(pattern) / len(clients):.1%}")
        if len(clients) <= FEW:
            _write_shares(axes, pattern)
        return axes


def _axes() -> Axes:
    from matplotlib.figure import Figure

    return Figure(layout="constrained").subplots()


def _write_shares(axes: Axes, pattern: np.ndarray) -> None:
    for (client, expert), share in np.ndenumerate(pattern):
        if share >= 0.005:
            colour = "white" if share > 0.5 else "black"
            text = f"{share:.0%}"
            axes.text(expert, client, text, ha="center", va="center", color=colour, fontsize=7)
