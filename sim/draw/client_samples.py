"""Which client holds how many samples of which class."""

import numpy as np
from matplotlib.axes import Axes

from sim.analysis.samples import samples_by_class
from sim.draw.canvas import Drawn, behind, new_axes, nothing
from sim.draw.names import name_ticks
from sim.draw.shapes import shaded


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
