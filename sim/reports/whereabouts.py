"""Where simulated time went, as drawings and tables of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import TYPE_CHECKING

from sim.critical_path import CriticalPath, Spent
from sim.reports.drawing import figure
from sim.reports.page import Block, Table, Text
from sim.reports.reading import RunData

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {
    "waiting": "#9aa5b1",
    "training": "#d99a1c",
    "queueing": "#cc79a7",
    "transmitting": "#0072b2",
}
"""Parts of a run's time."""
BAR_IN, AROUND_IN = 0.32, 1.3
"""Height of a bar, and of what is around all of them."""


def critical_shares(path: CriticalPath) -> dict[str, float]:
    """Return each part's share of the critical path; empty where no cycle was completed."""
    return _shares(path.spent) if path.cycles else {}


def _shares(spent: Spent) -> dict[str, float]:
    return {part: getattr(spent, f"{part}_s") / (spent.total_s or 1.0) for part in COLOURS}


def of_run(run: RunData) -> list[Block]:
    """Every cluster and the critical path of one run."""
    path = run.path
    rows = [_row(name, spent) for name, spent in path.clusters.items()]
    if path.cycles:
        rows.append(_row("critical path", path.spent))
        rows.append(["after the last cycle", *("" for _ in COLOURS), f"{path.rest_s / 3600:.2f} h"])
    drawing = figure(
        "where", run.pictures.where_time_went, "Simulated time by what clusters did with it"
    )
    text = Text(
        "A cluster transmits while a device of it does; it queues while it is in view and has no "
        "beam, or is not in step with the server yet; else it trains, or waits. The last cluster "
        "of each cycle is on the critical path."
    )
    heads = ["", *COLOURS, "all"]
    return [text, drawing, Table("Hours, and shares of each row's time", heads, rows)]


def _row(name: str, spent: Spent) -> list[str]:
    hours = {part: getattr(spent, f"{part}_s") / 3600 for part in COLOURS}
    cells = [f"{hours[part]:.2f} h ({share:.1%})" for part, share in _shares(spent).items()]
    return [name, *cells, f"{spent.total_s / 3600:.2f} h"]


def of_groups(groups: Mapping[str, Sequence[RunData]]) -> list[Block]:
    """The critical paths of groups of runs, as means over their runs."""
    found = {label: _mean([run.path for run in runs]) for label, runs in groups.items()}
    known = {label: shares for label, shares in found.items() if shares}
    if not known:
        return [Text("None of the runs has completed a cycle.", "note")]
    heads = ["group", *COLOURS]
    rows = [
        [label, *(f"{shares[part]:.1%}" if shares else "-" for part in COLOURS)]
        for label, shares in found.items()
    ]
    height_in = AROUND_IN + BAR_IN * len(known)
    return [
        figure(
            "where",
            lambda axes: _bars(known, axes),
            "Critical path by what its clusters did, mean over the runs of a group",
            (4.6, height_in),
        ),
        Table("Shares of the critical path, mean over the runs of a group", heads, rows),
    ]


def _mean(paths: Sequence[CriticalPath]) -> dict[str, float]:
    each = [shares for shares in map(critical_shares, paths) if shares]
    return {part: mean(shares[part] for shares in each) for part in COLOURS} if each else {}


def _bars(shares: Mapping[str, Mapping[str, float]], axes: Axes) -> None:
    from sim.pictures.canvas import legend, name_ticks

    places = list(range(len(shares)))
    left = [0.0] * len(shares)
    bars = []
    for part, colour in COLOURS.items():
        width = [100 * one[part] for one in shares.values()]
        bars.append(axes.barh(places, width, left=left, color=colour, height=0.7))
        left = [a + b for a, b in zip(left, width, strict=True)]
    legend(axes, bars, list(COLOURS))
    name_ticks(axes, "y", places, list(shares))
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of the critical path (%)")
