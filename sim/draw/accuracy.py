"""Accuracy or loss over time, cycles or what is spent: of one run, of several, of groups."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from matplotlib.artist import Artist
from matplotlib.axes import Axes

from sim.analysis.curves import (
    FEWEST,
    Over,
    StepCurve,
    What,
    clusters_measured,
    curve_of,
    over_seeds,
)
from sim.analysis.evaluations import (
    TARGETS,
    accuracies,
    given_targets,
    levels,
    shared_target,
    target_name,
    times_reached,
)
from sim.analysis.run import Run
from sim.draw.canvas import Drawn, behind, new_axes, nothing, room_of, unit_of
from sim.draw.colours import OPEN, Look, colour, ink, looks_of
from sim.draw.names import SECTION, legend
from sim.formatting import BYTES, JOULES, data_size, unit_for

OVER: dict[Over, str] = {
    "time": "simulated time",
    "cycle": "complete cycles",
    "bytes": "data sent",
    "energy": "energy of training, and radiated",
}
"""What accuracy is drawn over, and what that is called."""
OfModel = Literal["accuracy", "loss"]
"""What is drawn of a model."""
CURVE_NAMES: dict[What, str] = {
    "accuracy": "accuracy",
    "loss": "loss",
    "validation_accuracy": "validation accuracy",
    "validation_loss": "validation loss",
    "cycles": "complete cycles",
    "sent_bytes": "data sent",
    "staleness": "mean staleness",
}
"""What curves show, and what that is called."""
MARKED_EVERY = 0.14
"""Distance of the markers of a line, as a share of the picture's diagonal."""
OF_SEED: dict[str, Any] = {"linewidth": 0.7, "alpha": 0.5}
"""How thin the line of one seed is beside the mean of several."""
OPACITY = 0.15
"""Of the band of the 95 % interval."""
MOST_FULL_BANDS = 4
"""Bands up to which they are not drawn fainter than that."""


def accuracy_of(
    self: Drawn,
    axes: Axes | None = None,
    over: Over = "time",
    *,
    clusters: bool = False,
    what: OfModel = "accuracy",
) -> Axes:
    """Draw the server's accuracy, or loss, over simulated time, complete cycles or what was spent.

    That is "bytes", on the air, or "energy", of training and radiated. With ``clusters`` also on
    the test data of each cluster. Thin lines are the summary's targets.
    """
    pooled = curve_of(self.run, what, over)
    if pooled is None:
        text = "the run has no {what}: it is timing-only, or ended before it began"
        if curve_of(self.run, what, "time") is not None:
            text = "the run has no {what} over {over}: that is not modelled in it"
        raise nothing(text, what=what, over=over)
    method = self.run.manifest.get("method")
    targets = given_targets(self.run.manifest) or TARGETS
    if not clusters:
        return draw_curves(lines_of({method or "": [pooled]}, [method]), axes, over, what, targets)
    names = clusters_measured(self.run.tables)
    own = {name: curve_of(self.run, what, over, name) for name in names}
    each = {name: [curve] for name, curve in own.items() if curve is not None} | {"all": [pooled]}
    return draw_curves(lines_of(each, [None] * len(each)), axes, over, what, targets)


class Line(NamedTuple):
    """The curves of the seeds of one label, and how they look."""

    label: str
    look: Look
    seeds: Sequence[StepCurve]


def lines_of(
    curves: Mapping[str, Sequence[StepCurve]], methods: Sequence[str | None]
) -> list[Line]:
    """Return the lines of labels; ``methods`` has the method of each, if it has one."""
    return [Line(*own) for own in zip(curves, looks_of(methods), curves.values(), strict=True)]


def draw_curves(
    lines: Sequence[Line],
    axes: Axes | None = None,
    over: Over = "time",
    what: What = "accuracy",
    targets: Sequence[float] = (),
    called: str = "",
) -> Axes:
    """Draw what is known of each line, and the targets among what is shown, with their names.

    Of several seeds the mean is drawn, with a band: their range, of five or more the 95 % interval.
    ``called`` is what the axis says, where that is not the name of what is drawn.
    """
    axes = axes or new_axes()
    unit = _unit(over, max(curve.end for line in lines for curve in line.seeds))
    opacity = OPACITY * min(1.0, MOST_FULL_BANDS / len(lines))
    names: list[str] = []
    drawn: list[Artist] = []
    for number, line in enumerate(lines):
        # Curves may coincide: a line below shows between another's dashes, and by its markers.
        marked: dict[str, Any] = {}
        if len(lines) > 1:
            first = MARKED_EVERY * number / len(lines)
            marked = {"marker": line.look.marker, "markevery": (first, MARKED_EVERY), **OPEN}
        if line.seeds:
            names.append(SECTION.sub("", line.label))
            drawn.append(_draw(axes, line, unit, what, opacity, marked))
    if len(lines) > 1:
        legend(axes, drawn, names)
    _draw_targets(axes, targets if what == "accuracy" else ())
    axes.set_xlabel(unit.axis)
    axes.set_ylabel(called or CURVE_NAMES[what])
    if what == "sent_bytes":
        axes.yaxis.set_major_formatter(lambda value, _: data_size(value))
    return axes


def _draw(
    axes: Axes, line: Line, unit: _Unit, what: What, opacity: float, marked: dict[str, Any]
) -> Artist:
    """Draw the curves of some seeds, and of several their mean; return the line of it."""
    label, look, seeds = line
    if all(len(curve.x) == 1 for curve in seeds):  # a run that sends nothing, over bytes
        marked = {**marked, "markevery": 1}
    style = {"drawstyle": "steps-post", **look.line}
    thin = OF_SEED if len(seeds) > 1 else marked
    own: list[Artist] = []
    for run, curve in enumerate(seeds):
        x = curve.x / unit.scale
        own += axes.plot(x, curve.values, **style, **thin)
        behind(axes, line=label, run=run, **{unit.column: x, what: curve.values})
    if len(seeds) == 1:
        _mark_end(axes, seeds[0].x[-1] / unit.scale, seeds[0].values[-1], look)
        return own[0]
    band = over_seeds(seeds, what)
    x = band.x / unit.scale
    [mean] = axes.plot(x, band.mean, **style, **marked)
    shade: dict[str, Any] = {"color": colour(look.hue), "alpha": opacity}
    axes.fill_between(x, band.low, band.high, step="post", linewidth=0, **shade)
    ends = {"low": band.low, "high": band.high} if len(seeds) >= FEWEST else {}
    ends = ends or {"least": band.low, "greatest": band.high}
    behind(axes, line=label, mean_of=len(seeds), **{unit.column: x, what: band.mean}, **ends)
    _mark_end(axes, x[-1], band.mean[-1], look)
    return mean


def _mark_end(axes: Axes, x: float, value: float, look: Look) -> None:
    """Mark the last value, which as the end of a step has no width."""
    axes.scatter(x, value, s=12.0, color=colour(look.hue), zorder=3, clip_on=False)


class _Unit(NamedTuple):
    """The name of an axis with its unit, the unit's size, and the column of what is drawn over."""

    axis: str
    scale: float
    column: str


def _unit(over: Over, last: float) -> _Unit:
    """Return the unit of an axis that ends at ``last``: seconds, cycles, bytes or joules."""
    if over == "cycle":
        return _Unit("complete cycles", 1.0, "complete_cycles")
    if over == "time":
        time = unit_of(last)
        return _Unit(f"simulated {time.name}", time.seconds, f"simulated_{time.name}")
    units, least, name, column = SPENT[over]
    unit, scale = unit_for(last, units, least)
    return _Unit(f"{name} ({unit})", scale, f"{column}_{unit}")


SPENT: dict[Over, tuple[Sequence[tuple[str, float]], str, str, str]] = {
    "bytes": (BYTES, "B", "data sent", "sent"),
    "energy": (JOULES, "J", "energy", "energy"),
}
"""Units of what is spent, the least of them, its name at an axis and that of its column."""


def _draw_targets(axes: Axes, targets: Sequence[float]) -> None:
    """Draw the targets among what is shown as thin lines; their names stand right of the axes.

    There they cover no curve and no axis. Names of targets that lie close together are moved apart.
    """
    low, high = axes.get_ylim()
    figure = axes.get_figure(root=True)
    height_in = 1.0 if figure is None else figure.get_figheight()
    height_pt = 72.0 * height_in * axes.get_position().height
    label_pt = 72.0 * height_in / room_of(axes)[1]
    below_pt = -math.inf
    for target in sorted(targets):
        if not low <= target <= high:
            continue
        axes.axhline(target, color=ink(), linewidth=0.5, alpha=0.4, zorder=0.5)
        own_pt = height_pt * (target - low) / (high - low)
        below_pt = max(own_pt, below_pt + label_pt)
        axes.annotate(
            target_name(target),
            (1.0, target),
            xycoords=axes.get_yaxis_transform(),
            xytext=(2.0, below_pt - own_pt),
            textcoords="offset points",
            va="center",
            annotation_clip=False,
        )
    axes.set_ylim(low, high)


def accuracy(
    runs: Mapping[str, Run | Sequence[Run]],
    axes: Axes | None = None,
    over: Over = "time",
    what: OfModel = "accuracy",
    target: float | None = None,
) -> Axes:
    """Draw the accuracy, or loss, of the server's model of runs or groups of runs by their labels.

    It is drawn over simulated time, complete cycles, "bytes" on the air or the "energy" spent.

    Of several runs of a group also the mean, with their range as a band, from five on its 95 %
    interval. A thin line is the ``target``, by default the one at which a comparison of the runs
    compares times. Runs that measured none are left out; raise InputError where none has any.
    """
    each = {label: list(of) if isinstance(of, Sequence) else [of] for label, of in runs.items()}
    found = {
        label: [curve for curve in (curve_of(run, what, over) for run in own) if curve is not None]
        for label, own in each.items()
    }
    if not any(found.values()):
        raise nothing(
            "none of the runs has an accuracy over {over}: they are timing-only or unfinished, "
            "or it is not modelled",
            over=over,
        )
    methods = [own[0].manifest.get("method") for own in each.values()]
    if target is None:
        runs_of_all = [run for own in each.values() for run in own]
        target = _shared(runs_of_all)
    targets = [] if target is None else [target]
    return draw_curves(lines_of(found, methods), axes, over, what, targets)


def _shared(runs: Sequence[Run]) -> float | None:
    """Return the target at which a comparison of the runs compares times; None without any."""
    curves = [run.evaluations for run in runs if accuracies(run.evaluations)]
    asked = {target for run in runs for target in given_targets(run.manifest)}
    reached = times_reached(curves, sorted(asked) or levels(curves))
    shared = shared_target(reached, len(curves))
    return None if shared is None else float(shared)
