"""The chart of a page: curves of groups of runs with their bands, as data for its script."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from sim.analysis.curves import (
    FEWEST,
    MEASURED,
    Over,
    StepCurve,
    What,
    clusters_measured,
    curve_of,
    over_seeds,
)
from sim.analysis.evaluations import Judged, first_reached, judged_together, target_name
from sim.analysis.run import Run
from sim.draw.accuracy import CURVE_NAMES, Line, draw_curves
from sim.draw.canvas import Unit, unit_of
from sim.draw.colours import looks_of
from sim.formatting import capital
from statements.arrays import Floats, Ints

FORMS: dict[What, str] = {"cycles": "count", "sent_bytes": "bytes", "staleness": "number"}
MEASURES: dict[What, tuple[str, str]] = {
    what: (name, FORMS.get(what, "share")) for what, name in CURVE_NAMES.items()
}
"""What a chart offers, what that is called, and in which form its script writes the values."""
TOKEN_MEASURES: dict[What, tuple[str, str]] = {
    "loss": ("loss of the next token (nats)", "share"),
    "accuracy": ("share of tokens right", "share"),
    "validation_loss": ("validation loss (nats)", "share"),
    "validation_accuracy": ("validation share of tokens right", "share"),
}
"""The same of runs that are judged by the loss, which is shown first."""


Groups = Mapping[str, Sequence[Run]]
"""Runs of each group, by label."""


def measures_of(groups: Groups) -> dict[What, tuple[str, str]]:
    """Return what the chart of some groups offers, what it shows first first."""
    runs = [run.summary for own in groups.values() for run in own]
    if judged_together(runs) != Judged.LOSS:
        return MEASURES
    if all(summary.get("accuracy_final") is None for summary in runs):
        return {"loss": MEASURES["loss"], **MEASURES}
    return {**TOKEN_MEASURES, **MEASURES, **TOKEN_MEASURES}


MOST_GROUPS = 12
"""Groups of which a chart has lines."""
MOST_CHARTED_CLUSTERS = 8
"""Clusters of which a chart has lines, or that it offers."""
MOST_BANDS = 4
"""Groups of which all bands are drawn, as in ``chart.js``; of more, that of one pointed at."""
MOST_SEED_LINES = 40
"""Runs up to which each has a thin line beside the mean of its group."""
ALL = "all"
OF_CLUSTERS = "clusters"
"""Parts of the test data: the whole of it, and each cluster's in the chart of one run."""

FEWEST_CURVE_STEPS = 60
MOST_CURVE_STEPS = 500
STEPS_OF_A_PAGE = 12_000
"""Steps that a curve is given: those of all curves of a page together, within the two others."""


@dataclass(frozen=True, eq=False)
class View:
    """Lines shown together: of one measure, over time or cycles, on some of the test data."""

    what: What
    over: Over
    part: str
    curves: Sequence[Line]


@dataclass(frozen=True, eq=False)
class Chart:
    """The chart of some groups of runs; the first of its views is what it shows first.

    ``lines`` are those of all views, without curves; with ``each`` the seeds of a line have lines
    of their own beside their mean. ``measures`` names what it shows, as :data:`MEASURES`.
    ``reached`` has, for each target and over what, the line and the x of each seed that got there.
    A curve has ``most`` steps.
    """

    lines: Sequence[Line]
    views: Sequence[View]
    measures: Mapping[What, tuple[str, str]]
    unit: Unit
    parts: Mapping[str, str]
    reached: Mapping[float, Mapping[Over, Sequence[tuple[int, float]]]]
    target: float | None
    most: int
    each: bool

    def draw(self, axes: Axes) -> None:
        """Draw what is shown first, as a page without scripts and on paper has it."""
        view = self.views[0]
        draw_curves(view.curves, axes, view.over, view.what, called=self.measures[view.what][0])

    def scaled(self, x: Floats | float, over: Over) -> Any:
        """Return some x in the unit in which they are shown."""
        return x / self.unit.seconds if over == "time" else x

    def axis(self, over: Over) -> str:
        """Return what the x axis is called."""
        return f"simulated {self.unit.name}" if over == "time" else "complete cycles"


def chart_of(
    groups: Groups,
    targets: Iterable[float] = (),
    target: float | None = None,
) -> Chart | None:
    """Return the chart of some groups of runs, or of the one run of one group; None of nothing.

    ``targets`` are offered as lines, ``target`` is the one that is shown first.
    """
    shown = dict([*groups.items()][:MOST_GROUPS])
    alone = [*map(len, groups.values())] == [1]
    clusters = _clusters(shown)
    measures = measures_of(shown)
    labels = [*shown]
    methods: list[str | None] = [_method(runs) for runs in shown.values()]
    if alone:
        labels += clusters
        methods += [None] * len(clusters)
    lines = [Line(*own, ()) for own in zip(labels, looks_of(methods), strict=True)]
    views = list(_views(shown, lines, clusters, measures, alone=alone))
    if not views:
        return None
    each = sum(map(len, shown.values())) <= MOST_SEED_LINES
    count = sum(
        1 + (each and _has_means(view, curve)) * len(curve.seeds)
        for view in views
        for curve in view.curves
    )
    timed = [curve for view in views if view.over == "time" for curve in view.curves]
    last = max(seed.end for curve in timed for seed in curve.seeds)
    parts = {view.part for view in views}
    names = {ALL: "all test data", OF_CLUSTERS: "each cluster"} | {name: name for name in clusters}
    reached = {goal: found for goal in targets if any((found := _reached(shown, goal)).values())}
    return Chart(
        lines,
        views,
        measures,
        unit_of(last),
        {part: name for part, name in names.items() if part in parts},
        reached,
        target if target in reached else max(reached, default=None),
        int(np.clip(STEPS_OF_A_PAGE // count, FEWEST_CURVE_STEPS, MOST_CURVE_STEPS)),
        each,
    )


def _has_means(view: View, line: Line) -> bool:
    """Whether a line is a mean of several seeds, on all test data."""
    return view.part == ALL and len(line.seeds) > 1


def _method(runs: Sequence[Run]) -> str:
    return str(runs[0].manifest.get("method", ""))


def _clusters(groups: Groups) -> list[str]:
    """Return the clusters of which all runs have measured an accuracy, if they are few."""
    each = [set(clusters_measured(run.tables)) for own in groups.values() for run in own]
    found = sorted(set.intersection(*each))
    return (
        found[:MOST_CHARTED_CLUSTERS]
        if len(groups) == 1 or len(found) <= MOST_CHARTED_CLUSTERS
        else []
    )


def _curves(
    runs: Sequence[Run], what: What, over: Over, cluster: str | None = None
) -> list[StepCurve]:
    found = (curve_of(run, what, over, cluster) for run in runs)
    return [curve for curve in found if curve is not None]


def _views(
    groups: Groups,
    lines: Sequence[Line],
    clusters: Sequence[str],
    measures: Iterable[What],
    *,
    alone: bool,
) -> Iterator[View]:
    """Yield the views of groups: on all test data, and on that of each cluster.

    Those of one run ``alone`` have all clusters together, beside the curve of all test data.
    """
    for what in measures:
        over_each: Sequence[Over] = ("time", "cycle") if what in MEASURED else ("time",)
        for over in over_each:
            whole = _known(lines, [_curves(runs, what, over) for runs in groups.values()])
            if not _says_something(whole, what):
                continue
            yield View(what, over, ALL, whole)
            of_clusters = [
                [_curves(runs, what, over, name) for runs in groups.values()]
                for name in (clusters if what in MEASURED else ())
            ]
            if alone:
                found = [curves for [curves] in of_clusters]
                if curves := _known(lines[1:], found):
                    yield View(what, over, OF_CLUSTERS, [*whole, *curves])
                continue
            for name, found in zip(clusters, of_clusters, strict=False):
                if curves := _known(lines, found):
                    yield View(what, over, name, curves)


def _known(lines: Sequence[Line], found: Sequence[Sequence[StepCurve]]) -> list[Line]:
    """Return the lines of which there are curves."""
    return [line._replace(seeds=own) for line, own in zip(lines, found, strict=False) if own]


def _says_something(curves: Sequence[Line], what: What) -> bool:
    """Return whether there is anything to see: nothing was sent, or is ever stale, is none."""
    return any(what in MEASURED or seed.values.any() for curve in curves for seed in curve.seeds)


def _reached(groups: Groups, target: float) -> dict[Over, list[tuple[int, float]]]:
    """Return the line and the x of each seed that reached a target, over time and over cycles.

    As in the summary of a run, x is that of the first evaluation at the target, or above.
    """
    found: dict[Over, list[tuple[int, float]]] = {"time": [], "cycle": []}
    for line, runs in enumerate(groups.values()):
        for run in runs:
            if when := first_reached(run.evaluations, target):
                found["time"].append((line, 3600.0 * when["hours"]))
                found["cycle"].append((line, when["cycles"]))
    return found


def title_of(chart: Chart | None) -> str:
    """Return what stands over a chart: what it shows first."""
    if chart is None:
        return ""
    name = chart.measures[chart.views[0].what][0].partition(" (")[0]
    return f"{capital(name)} over time"


def data_of(chart: Chart) -> dict[str, Any]:
    """Return a chart as JSON-ready data: see ``templates/chart.js``.

    x are in the unit of the view, without decimals that no screen shows. ``seeds`` and ``ended``
    are lists only where they change.
    """
    return {
        "lines": [
            {"label": line.label, "hue": line.look.hue, "dash": line.look.dash}
            for line in chart.lines
        ],
        "measures": {
            what: {"name": chart.measures[what][0], "form": chart.measures[what][1]}
            for what in dict.fromkeys(view.what for view in chart.views)
        },
        "over": {over: chart.axis(over) for over in dict.fromkeys(v.over for v in chart.views)},
        "unit": chart.unit.name.removesuffix("s"),
        "views": [
            {
                "measure": view.what,
                "over": view.over,
                "part": view.part,
                "curves": [_curve_data(chart, view, curve) for curve in view.curves],
            }
            for view in chart.views
        ],
        "targets": {
            target_name(goal): {
                "value": goal,
                **{
                    over: [[line, _short(chart.scaled(x, over))] for line, x in seeds]
                    for over, seeds in found.items()
                },
            }
            for goal, found in chart.reached.items()
        },
        "target": None if chart.target is None else target_name(chart.target),
    }


def _curve_data(chart: Chart, view: View, curve: Line) -> dict[str, Any]:
    band = over_seeds(curve.seeds, view.what).thinned(chart.most)
    found: dict[str, Any] = {
        "line": chart.lines.index(curve._replace(seeds=())),
        "end": _short(chart.scaled(band.end, view.over)),
        "x": _numbers(chart.scaled(band.x, view.over)),
        "mean": _numbers(band.mean),
        "seeds": _constant(band.seeds),
        "ended": _constant(band.ended),
    }
    if not np.isnan(band.low).all():
        found |= {"low": _numbers(band.low), "high": _numbers(band.high)}
        found["band"] = "95 %" if len(curve.seeds) >= FEWEST else "range"
    if chart.each and _has_means(view, curve):
        found["each"] = [
            {
                "x": _numbers(chart.scaled(one.x, view.over)),
                "values": _numbers(one.values),
                "end": _short(chart.scaled(one.end, view.over)),
            }
            for one in (seed.thinned(chart.most) for seed in curve.seeds)
        ]
    return found


def _constant(values: Ints) -> int | list[int]:
    """Return one number where all are the same."""
    return int(values[0]) if (values == values[0]).all() else values.tolist()


def _numbers(values: Floats) -> list[float | int | None]:
    return [None if np.isnan(value) else _short(value) for value in values.tolist()]


SIGNIFICANT_DIGITS = 6
"""Digits of a number in the page that count."""


def _short(value: float) -> float | int:
    """Return a number with the digits that count; a whole one without its point."""
    short = float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    return int(short) if short.is_integer() else short
