"""Where simulated time went, as drawings and tables of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import TYPE_CHECKING

from sim.critical_path import CriticalPath, Spent
from sim.pictures.time_spent import CRITICAL, PARTS
from sim.reports.drawing import figure
from sim.reports.page import Block, Table, Text
from sim.reports.reading import RunData
from sim.units_text import seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BAR_IN, AROUND_IN = 0.42, 1.0
"""Height of a bar with its name, and of what is around all of them."""
LONGEST_LABEL, LONGEST_BESIDE = 60, 20
"""Letters of labels that are written whole, and up to which a table fits beside a drawing."""


def critical_shares(path: CriticalPath) -> dict[str, float]:
    """Return each part's share of the critical path; empty where no cycle was completed."""
    return _shares(path.spent) if path.cycles else {}


def _shares(spent: Spent) -> dict[str, float]:
    return {part: getattr(spent, f"{part}_s") / (spent.total_s or 1.0) for part in PARTS}


def of_run(run: RunData) -> list[Block]:
    """Every cluster and the critical path of one run."""
    path = run.path
    spent = {**path.clusters, **({CRITICAL: path.spent} if path.cycles else {})}
    rows = [[name, *_cells(one)] for name, one in spent.items()]
    drawing = figure(
        "where", run.pictures.where_time_went, "Simulated time by what clusters did with it"
    )
    text = (
        "A cluster transmits while a device of it does; it queues while it is in view and has no "
        "beam, or is not in step with the server yet; else it trains, or waits."
    )
    if path.cycles:
        text += " The cluster that completes a cycle is on the critical path."
    if path.cycles and path.rest_s >= 1:
        text += f" The last {seconds(path.rest_s)} of the run completed none."
    heads = ["", *PARTS]
    return [Text(text), drawing, Table("Time, and shares of each row's time", heads, rows)]


def _cells(spent: Spent) -> list[str]:
    times = {part: getattr(spent, f"{part}_s") for part in PARTS}
    shares = _shares(spent)
    return [
        f"{seconds(times[part])}\n{percent(shares[part])}" if times[part] else "-" for part in PARTS
    ]


def percent(share: float) -> str:
    """Show a share that may be small but is not nothing."""
    return f"{share:.2%}" if share >= 0.00005 or not share else "< 0.01%"


def of_groups(groups: Mapping[str, Sequence[RunData]]) -> list[Block]:
    """The critical paths of groups of runs, as means over their runs."""
    found = {label: _mean([run.path for run in runs]) for label, runs in groups.items()}
    known = {label: shares for label, shares in found.items() if shares}
    if not known:
        return [Text("None of the runs has completed a cycle.", "note")]
    heads = ["group", *PARTS]
    rows = [
        [label, *(percent(shares[part]) if shares else "-" for part in PARTS)]
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
    return {part: mean(shares[part] for shares in each) for part in PARTS} if each else {}


def _bars(shares: Mapping[str, Mapping[str, float]], axes: Axes) -> None:
    """Draw a bar a group under its name: beside it, long names would leave no room for bars."""
    from sim.pictures.canvas import legend, name

    places = list(range(len(shares)))
    left = [0.0] * len(shares)
    marks = []
    for part, colour in PARTS.items():
        width = [100 * one[part] for one in shares.values()]
        bars = axes.barh(places, width, left=left, color=colour, height=0.4)
        marks.append(bars.patches[0])
        left = [a + b for a, b in zip(left, width, strict=True)]
    for place, label in zip(places, shares, strict=True):
        axes.text(0, place - 0.26, name(label, LONGEST_LABEL), va="bottom")
    legend(axes, marks, list(PARTS))
    axes.set_yticks([])
    axes.set_ylim(len(shares) - 0.7, -0.8)
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of the critical path (%)")
