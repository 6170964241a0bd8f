"""What held a run back, in words, bars and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from sim.analysis.comparison import Group
from sim.analysis.critical_path import CriticalPath, Spent
from sim.execution.folder import COMPLETE, INTERRUPTED
from sim.execution.result import Result
from sim.formatting import seconds
from sim.plots.timeline import CRITICAL, PARTS, stack
from sim.report.figures import figure
from sim.report.page import Block, Table, Text

if TYPE_CHECKING:
    from matplotlib.axes import Axes


PRESSING = {
    "waiting": "it waited for contacts",
    "training": "it trained",
    "queueing": "it queued for a beam, a channel or synchronisation",
    "transmitting": "it transmitted",
}
REMEDIES = {
    "waiting": "more contacts (satellites, a lower mask, other sites) would help most",
    "training": "quicker devices or fewer rounds would help most",
    "queueing": "more beams or sub-channels would help most",
    "transmitting": "a faster link or smaller payloads would help most",
}
"""What the part that took the longest says about a run."""


def trains(run: Result) -> bool:
    """Whether the run is about learning, and not about timing only."""
    return bool(run.manifest["scenario"]["learning"].get("train", True))


def notices(run: Result) -> list[str]:
    """Return what a reader has to know first: that the run did not end as it should."""
    status, error = run.manifest["status"], run.manifest.get("error")
    if status == COMPLETE:
        return []
    why = f": {error}" if error else ""
    hours = run.manifest["simulated_s"] / 3600
    more = (
        f"; leomix run SCENARIO --resume -o {run.folder} goes on with it"
        if status == INTERRUPTED
        else ""
    )
    return [
        f"This run is {status}{why}. What follows is what it had by {hours:.2f} h of "
        f"simulation{more}."
    ]


def sentences(run: Result) -> list[str]:
    """Say what was simulated, what was reached when, and what held it back."""
    return [_what(run), _reached(run), *_held_back(run)]


def _what(run: Result) -> str:
    summary = run.summary
    clusters = run.manifest["scenario"]["ground"]["clusters"]
    devices = sum(row["devices"] for row in run.manifest.get("energy") or [])
    served = f"{summary['contacts_served']} of {_count(summary['contacts'], 'contact')} served"
    return (
        f"{_server(run)} and {_count(len(clusters), 'cluster')} with {_count(devices, 'device')} "
        f"ran {summary['method']} for {summary['hours'] / 24:.2f} simulated days: {served}, "
        f"{summary['cycles']} complete {'cycle' if summary['cycles'] == 1 else 'cycles'}."
    )


def _server(run: Result) -> str:
    source = run.manifest["scenario"]["orbit"]["source"]
    if source == "slots":
        return "A satellite in idealised slots"
    names = pc.unique(run.tables["contacts"]["satellite"]).drop_null().to_pylist()
    if len(names) == 1:
        return f"Satellite {names[0]}"
    return _count(len(names), "satellite")


def _reached(run: Result) -> str:
    summary = run.summary
    if not trains(run):
        return "Only the timing was simulated: nothing was trained, and no accuracy measured."
    if summary["accuracy_final"] is None:
        return "It ended before any accuracy was measured."
    start, final = summary["accuracy_start"], summary["accuracy_final"]
    went = f"The server's model went from {start:.3f} to {final:.3f} accuracy"
    reached = [(name, when) for name, when in summary["targets"].items() if when is not None]
    if not reached:
        return f"{went} and reached none of the targets (from {min(summary['targets'])} up)."
    name, when = reached[-1]
    days = f"{when['hours'] / 24:.2f} days"
    return f"{went}; it reached {name} after {days}, in cycle {when['cycles']}."


def _held_back(run: Result) -> list[str]:
    shares = critical_shares(run.critical_path)
    if not shares:
        return ["No cycle was completed, so that nothing can be said of what held it back."]
    first, second = sorted(shares, key=lambda name: -shares[name])[:2]
    text = (
        f"On the critical path to its last complete cycle {PRESSING[first]} for "
        f"{shares[first]:.1%} of the time"
    )
    if shares[second] >= 0.0005:
        text += f" ({second} comes next with {shares[second]:.1%})"
    return [f"{text}: {_remedy(run, first)}."]


def _remedy(run: Result, part: str) -> str:
    scenario = run.manifest["scenario"]
    if part == "training" and scenario["orbit"]["source"] == "slots":
        return "a round lasts a slot here, so that the slots set the pace"
    if part == "training" and scenario["learning"]["rounds"]["per_gap_max"] is None:
        return (
            "nothing limits the rounds between contacts (learning.rounds.per_gap_max), so that "
            "more contacts may help more than quicker devices"
        )
    return REMEDIES[part]


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


# Where simulated time went, as drawings and tables of a report.


BAR_IN, AROUND_IN = 0.42, 1.0
"""Height of a bar with its name, and of what is around all of them."""
LONGEST_LABEL, LONGEST_BESIDE = 60, 20
"""Letters of labels that are written whole, and up to which a table fits beside a drawing."""


def critical_shares(path: CriticalPath) -> dict[str, float]:
    """Return each part's share of the critical path; empty where no cycle was completed."""
    return _shares(path.spent) if path.cycles else {}


def _shares(spent: Spent) -> dict[str, float]:
    return {part: getattr(spent, f"{part}_s") / (spent.total_s or 1.0) for part in PARTS}


def of_run(run: Result) -> list[Block]:
    """Every cluster and the critical path of one run."""
    path = run.critical_path
    spent = {**path.clusters, **({CRITICAL: path.spent} if path.cycles else {})}
    rows = [[name, *_cells(one)] for name, one in spent.items()]
    drawing = figure(
        "where", run.plot.where_time_went, "Simulated time by what clusters did with it"
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


def of_groups(groups: Sequence[Group[Result]]) -> list[Block]:
    """The critical paths of groups of runs, as means over their runs."""
    found = {}
    for group in groups:
        each = [critical_shares(run.critical_path) for run in group.runs]
        means = {part: [shares[part] for shares in each if shares] for part in PARTS}
        found[group.label] = {part: mean(values) for part, values in means.items() if values}
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


def _bars(shares: Mapping[str, Mapping[str, float]], axes: Axes) -> None:
    """Draw a bar a group under its name: beside it, long names would leave no room for bars."""
    from sim.plots.canvas import name

    percents = 100 * np.array([[one[part] for part in PARTS] for one in shares.values()])
    stack(axes, np.arange(len(shares), dtype=np.float64), percents, 0.4)
    for place, label in enumerate(shares):
        axes.text(0, place - 0.26, name(label, LONGEST_LABEL), va="bottom")
    axes.set_yticks([])
    axes.set_ylim(len(shares) - 0.7, -0.8)
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of the critical path (%)")
