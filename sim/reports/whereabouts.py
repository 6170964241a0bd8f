"""Where simulated time went, as drawings and tables of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import TYPE_CHECKING

from sim.critical_path import CriticalPath, Spent
from sim.reports.drawing import figure
from sim.reports.page import Block, Table, Text
from sim.reports.reading import RunData
from sim.units_text import seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {
    "waiting": "#9aa5b1",
    "training": "#d99a1c",
    "queueing": "#cc79a7",
    "transmitting": "#0072b2",
}
"""Parts of a run's time."""
BAR_IN, AROUND_IN = 0.42, 1.0
"""Height of a bar with its name, and of what is around all of them."""
LONGEST_LABEL = 60


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
        rows.append(["after the last cycle", *("" for _ in COLOURS), seconds(path.rest_s)])
    drawing = figure(
        "where", run.pictures.where_time_went, "Simulated time by what clusters did with it"
    )
    text = Text(
        "A cluster transmits while a device of it does; it queues while it is in view and has no "
        "beam, or is not in step with the server yet; else it trains, or waits. The last cluster "
        "of each cycle is on the critical path."
    )
    heads = ["", *COLOURS, "all"]
    return [text, drawing, Table("Time, and shares of each row's time", heads, rows)]


def _row(name: str, spent: Spent) -> list[str]:
    cells = [
        f"{seconds(getattr(spent, f'{part}_s'))}\n{share:.2%}" if share else "-"
        for part, share in _shares(spent).items()
    ]
    return [name, *cells, seconds(spent.total_s)]


def of_groups(groups: Mapping[str, Sequence[RunData]]) -> list[Block]:
    """The critical paths of groups of runs, as means over their runs."""
    found = {label: _mean([run.path for run in runs]) for label, runs in groups.items()}
    known = {label: shares for label, shares in found.items() if shares}
    if not known:
        return [Text("None of the runs has completed a cycle.", "note")]
    heads = ["group", *COLOURS]
    rows = [
        [label, *(f"{shares[part]:.2%}" if shares else "-" for part in COLOURS)]
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
        Table("Shares of the critical path, mean over the runs of a group", heads, rows, wide=True),
    ]


def _mean(paths: Sequence[CriticalPath]) -> dict[str, float]:
    each = [shares for shares in map(critical_shares, paths) if shares]
    return {part: mean(shares[part] for shares in each) for part in COLOURS} if each else {}


def _bars(shares: Mapping[str, Mapping[str, float]], axes: Axes) -> None:
    """Draw a bar a group under its name: beside it, long names would leave no room for bars."""
    from sim.pictures.canvas import legend, name

    places = list(range(len(shares)))
    left = [0.0] * len(shares)
    marks = []
    for part, colour in COLOURS.items():
        width = [100 * one[part] for one in shares.values()]
        bars = axes.barh(places, width, left=left, color=colour, height=0.4)
        marks.append(bars.patches[0])
        left = [a + b for a, b in zip(left, width, strict=True)]
    for place, label in zip(places, shares, strict=True):
        axes.text(0, place - 0.26, name(label, LONGEST_LABEL), va="bottom")
    legend(axes, marks, list(COLOURS))
    axes.set_yticks([])
    axes.set_ylim(len(shares) - 0.7, -0.8)
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of the critical path (%)")
