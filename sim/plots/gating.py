"""The gating pattern: which client's samples go to which expert."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from sim.analysis.inference import gating_pattern
from sim.errors import InputError
from sim.plots.canvas import Drawn, behind, new_axes
from sim.plots.colours import ink_on
from sim.plots.names import name_ticks
from statements import Code, Statement

FEW = 12
"""Clients up to which each share is written into its field."""


def gating(self: Drawn, axes: Axes | None = None) -> Axes:
    """Draw the gating pattern: which client's samples go to which expert (NMoE, Figure 3)."""
    found = gating_pattern(self.run.tables["assignments"])
    if found is None:
        raise InputError(
            Statement.of(
                Code.NOT_RECORDED,
                "",
                "the run has no gating pattern: its method does not measure one",
            )
        )
    clients, pattern = found
    axes = axes or new_axes()
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
