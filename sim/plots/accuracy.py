"""Accuracy or loss over time or cycles: of one run, of several, of groups."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes

from learning.requests.cluster import Floats
from sim.analysis.targets import TARGETS, given
from sim.errors import InputError
from sim.plots.canvas import Drawn, Run, Unit, behind, new_axes, unit_of
from sim.plots.colours import ink, of_methods
from sim.plots.names import SECTION, legend
from sim.trace.arrow import as_numpy, word

Over = Literal["time", "cycle"]
OVER: dict[Over, str] = {"time": "simulated time", "cycle": "complete cycles"}
"""What accuracy is drawn over, and what that is called."""
What = Literal["accuracy", "loss"]
"""What is drawn."""


def accuracy_of(
    self: Drawn,
    axes: Axes | None = None,
    over: Over = "time",
    *,
    clusters: bool = False,
    what: What = "accuracy",
) -> Axes:
    """Draw the server's accuracy, or loss, over simulated time or over complete cycles.

    With ``clusters`` also on the test data of each cluster. Thin lines are the summary's targets.
    """
    rows = measured(self.run.tables["metrics"], what)
    if not len(rows):
        raise InputError(f"the run has no {what}: it is timing-only, or ended before it began")
    pooled = rows.filter(pc.equal(rows["scope"], word("global")))
    method = self.run.manifest.get("method")
    targets = given(self.run.manifest) or TARGETS
    if not clusters:
        return _drawn({method or "": [pooled]}, [method], axes, over, what, targets)
    names = sorted(pc.unique(rows["cluster"].drop_null()).to_pylist())
    each = {name: [rows.filter(pc.equal(rows["cluster"], word(name)))] for name in names}
    return _drawn({**each, "all": [pooled]}, [None] * (1 + len(each)), axes, over, what, targets)


def measured(metrics: pa.Table, what: What) -> pa.Table:
    """Return the evaluations that measured an accuracy, or a loss."""
    return metrics.filter(pc.is_valid(metrics[what]))


def points(rows: pa.Table, over: Over, unit: Unit, what: What) -> tuple[Floats, Floats]:
    """Return x and ``what`` of evaluations in order; over cycles, the first one of each cycle."""
    values = as_numpy(rows[what])
    if over == "time":
        return as_numpy(rows["time_s"]) / unit.seconds, values
    cycle, first = np.unique(as_numpy(rows["cycle"]), return_index=True)
    return cycle.astype(float), values[first]


def _drawn(
    curves: Mapping[str, Sequence[pa.Table]],
    methods: Sequence[str | None],
    axes: Axes | None,
    over: Over,
    what: What,
    targets: Sequence[float],
) -> Axes:
    """Draw a line for each table, and the targets among what is shown as thin lines."""
    last_s = max(pc.max(rows["time_s"]).as_py() for each in curves.values() for rows in each)
    axes = axes or new_axes()
    unit = unit_of(last_s)
    names: list[str] = []
    lines = []
    for (label, each), look in zip(curves.items(), of_methods(methods), strict=True):
        # Runs may have the same accuracies: a line below shows between another's dashes.
        drawn = []
        for number, rows in enumerate(each):
            x, values = points(rows, over, unit, what)
            drawn += axes.plot(x, values, **look)
            across = f"simulated_{unit.name}" if over == "time" else "complete_cycles"
            behind(axes, line=label, run=number, **{across: x, what: values})
        if drawn:
            names.append(SECTION.sub("", label))
            lines.append(drawn[0])
    if len(curves) > 1:
        legend(axes, lines, names)
    low, high = axes.get_ylim()
    for target in targets if what == "accuracy" else ():
        if low <= target <= high:
            axes.axhline(target, color=ink(), linewidth=0.5, alpha=0.4, zorder=0.5)
    axes.set_ylim(low, high)
    axes.set_xlabel(f"simulated {unit.name}" if over == "time" else "complete cycles")
    axes.set_ylabel(what)
    return axes


def accuracy(
    runs: Mapping[str, Run | Sequence[Run]],
    axes: Axes | None = None,
    over: Over = "time",
    what: What = "accuracy",
) -> Axes:
    """Draw the accuracy, or loss, of the server's model of runs or groups of runs by their labels.

    Runs that measured none are left out; raise InputError where none has any.
    """
    each = {label: list(of) if isinstance(of, Sequence) else [of] for label, of in runs.items()}
    found: dict[str, list[pa.Table]] = {}
    for label, own in each.items():
        known = (measured(run.tables["metrics"], what) for run in own)
        pooled = (rows.filter(pc.equal(rows["scope"], word("global"))) for rows in known)
        found[label] = [rows for rows in pooled if len(rows)]
    if not any(found.values()):
        raise InputError("none of the runs has an accuracy: they are timing-only, or unfinished")
    methods = [own[0].manifest.get("method") for own in each.values()]
    asked = {target for own in each.values() for run in own for target in given(run.manifest)}
    return _drawn(found, methods, axes, over, what, sorted(asked) or TARGETS)
