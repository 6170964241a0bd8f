"""Accuracy or loss over time or cycles: of one run, of several, of groups."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from matplotlib.axes import Axes

from sim.analysis.curves import Over, Steps, clusters_measured, curve_of, over_seeds
from sim.analysis.figures import bounds_of
from sim.analysis.lead import FEWEST
from sim.analysis.targets import TARGETS, evaluations, given, levels, named, shared_target
from sim.errors import InputError
from sim.plots.canvas import Drawn, Run, Unit, behind, new_axes, unit_of
from sim.plots.colours import ink, of_methods
from sim.plots.names import SECTION, legend
from sim.trace.tables import pooled_metrics
from statements import Code, Statement

OVER: dict[Over, str] = {"time": "simulated time", "cycle": "complete cycles"}
"""What accuracy is drawn over, and what that is called."""
What = Literal["accuracy", "loss"]
"""What is drawn."""
OF_SEED: dict[str, Any] = {"linewidth": 0.7, "alpha": 0.5}
"""How thin the line of one seed is beside the mean of several."""
OPACITY = 0.15
"""Of the band of the 95 % interval."""


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
    pooled = _curve(self.run, what, over)
    if pooled is None:
        raise InputError(
            Statement.of(
                Code.NOT_RECORDED,
                "",
                "the run has no {what}: it is timing-only, or ended before it began",
                what=what,
            )
        )
    method = self.run.manifest.get("method")
    targets = given(self.run.manifest) or TARGETS
    if not clusters:
        return _drawn({method or "": [pooled]}, [method], axes, over, what, targets)
    names = clusters_measured(self.run.tables)
    own = {name: _curve(self.run, what, over, name) for name in names}
    each = {name: [curve] for name, curve in own.items() if curve is not None} | {"all": [pooled]}
    return _drawn(each, [None] * len(each), axes, over, what, targets)


def _curve(run: Run, what: What, over: Over, cluster: str | None = None) -> Steps | None:
    return curve_of(run.tables, run.manifest["simulated_s"], what, over, cluster)


def _drawn(
    curves: Mapping[str, Sequence[Steps]],
    methods: Sequence[str | None],
    axes: Axes | None,
    over: Over,
    what: What,
    targets: Sequence[float],
) -> Axes:
    """Draw what is known of each label, and the targets among what is shown as thin lines."""
    axes = axes or new_axes()
    last = max(curve.end for each in curves.values() for curve in each)
    unit = unit_of(last) if over == "time" else Unit("cycles", 1.0)
    across = f"simulated_{unit.name}" if over == "time" else "complete_cycles"
    names: list[str] = []
    lines = []
    for (label, each), look in zip(curves.items(), of_methods(methods), strict=True):
        # Runs may have the same accuracies: a line below shows between another's dashes.
        drawn = []
        for number, curve in enumerate(each):
            x = curve.x / unit.seconds
            thin = OF_SEED if len(each) > 1 else {}
            drawn += axes.plot(x, curve.values, drawstyle="steps-post", **look, **thin)
            behind(axes, line=label, run=number, **{across: x, what: curve.values})
        if len(each) > 1:
            band = over_seeds(each, bounds_of(f"{what}_final"))
            x = band.x / unit.seconds
            drawn = axes.plot(x, band.mean, drawstyle="steps-post", **look)
            ends = {"low": band.low, "high": band.high} if len(each) >= FEWEST else {}
            if ends:
                shade = {"color": look["color"], "alpha": OPACITY, "linewidth": 0}
                axes.fill_between(x, band.low, band.high, step="post", **shade)
            behind(axes, line=label, mean_of=len(each), **{across: x, what: band.mean}, **ends)
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
    target: float | None = None,
) -> Axes:
    """Draw the accuracy, or loss, of the server's model of runs or groups of runs by their labels.

    Of several runs of a group also the mean, and from three on its 95 % interval as a band. A thin
    line is the ``target``, by default the one at which a comparison of the runs compares times.
    Runs that measured none are left out; raise InputError where none has any.
    """
    each = {label: list(of) if isinstance(of, Sequence) else [of] for label, of in runs.items()}
    found = {
        label: [curve for curve in (_curve(run, what, over) for run in own) if curve is not None]
        for label, own in each.items()
    }
    if not any(found.values()):
        raise InputError(
            Statement.of(
                Code.NOT_RECORDED,
                "",
                "none of the runs has an accuracy: they are timing-only, or unfinished",
            )
        )
    methods = [own[0].manifest.get("method") for own in each.values()]
    if target is None:
        runs_of_all = [run for own in each.values() for run in own]
        target = _shared(runs_of_all)
    return _drawn(found, methods, axes, over, what, [] if target is None else [target])


def _shared(runs: Sequence[Run]) -> float | None:
    """Return the target at which a comparison of the runs compares times; None without any."""
    each = (evaluations(pooled_metrics(run.tables), run.manifest) for run in runs)
    curves = [found for found in each if found]
    asked = {target for run in runs for target in given(run.manifest)}
    best = [max(one.accuracy for one in curve) for curve in curves]
    reached = {
        named(target): sum(accuracy >= target for accuracy in best)
        for target in sorted(asked) or levels(curves)
    }
    shared = shared_target(reached, len(curves))
    return None if shared is None else float(shared)
