"""The gating pattern of networked experts: which client's samples go to which expert."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from sim.errors import InputError
from sim.networked_summary import gating_pattern
from sim.pictures.canvas import name_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW = 12
"""Clients up to which each share is written into its field."""


def draw(tables: Mapping[str, pa.Table], axes: Axes) -> Axes:
    """Draw the last pattern that was measured; raise InputError for a run without one."""
    found = gating_pattern(tables["assignments"])
    if found is None:
        raise InputError("the run has no gating pattern: only method nmoe measures one")
    clients, pattern = found
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
