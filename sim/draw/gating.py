"""The gating pattern: which client's samples go to which expert."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from sim.analysis.inference import gating_pattern
from sim.draw.canvas import Drawn, behind, new_axes, nothing
from sim.draw.names import name_ticks
from sim.draw.shapes import shaded
from sim.formatting import percent


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
