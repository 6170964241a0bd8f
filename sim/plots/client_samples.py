"""Which client holds how many samples of which class."""

import numpy as np
from matplotlib.axes import Axes

from sim.analysis.samples import samples_by_class
from sim.errors import InputError
from sim.plots.canvas import Drawn, behind, new_axes
from sim.plots.names import name_ticks
from statements import Code, Statement

OTHERS = "#9a9a9a"


def clients(self: Drawn, axes: Axes | None = None) -> Axes:
    """Draw how many samples of which class each client holds, by cluster for many clients.

    Of many clusters the first ones are drawn; of many classes the smallest share a colour.
    """
    from matplotlib import colormaps

    found = samples_by_class(self.run.tables, self.run.manifest)
    if found is None:
        raise InputError(
            Statement.of(
                Code.NOT_RECORDED,
                "",
                "the run has no table of clients: only runs that train have samples",
            )
        )
    axes = axes or new_axes()
    own = len(found.classes) - bool(found.others)
    # neighbours in a bar are told apart by colour-blind eyes too
    colours = list(colormaps["viridis"]((np.arange(own) + 0.5) / max(own, 1)))
    colours += [OTHERS] * bool(found.others)
    places = np.arange(len(found.clients))
    heights = list(found.samples.T)
    tops = np.cumsum(heights, axis=0)
    bars = [
        axes.bar(places, height, bottom=top - height, color=colour, width=0.85)
        for height, top, colour in zip(heights, tops, colours, strict=True)
    ]
    classes = np.array(found.classes)[:, None]
    behind(axes, client=found.clients, **{"class": classes}, samples=heights)
    name_ticks(axes, "x", places.tolist(), found.clients, upright=True)
    axes.set_xlabel(found.who)
    axes.set_ylabel("samples")
    # in the order in which the bars are stacked
    axes.legend(
        bars[::-1],
        found.classes[::-1],
        title="class",
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        frameon=False,
        fontsize="small",
        labelspacing=0.1,
    )
    return axes
