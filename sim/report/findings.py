"""What held runs back: shares of the critical path, as cells of tables."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from sim.analysis.comparison import Group
from sim.analysis.critical_path import CriticalPath
from sim.execution.folder import COMPLETE, INTERRUPTED
from sim.execution.result import Result
from sim.formatting import seconds
from sim.plots.timeline import CRITICAL, PARTS


def notices(run: Result) -> list[str]:
    """Return what a reader has to know first: that the run did not end as it should."""
    status, error = run.manifest["status"], run.manifest.get("error")
    if status == COMPLETE:
        return []
    why = f": {error}" if error else ""
    hours = run.manifest["simulated_s"] / 3600
    resumed = f"; leomix run SCENARIO --resume -o {run.folder} goes on with it"
    more = resumed if status == INTERRUPTED else ""
    return [
        f"This run is {status}{why}. What follows is what it had by {hours:.2f} h of "
        f"simulation{more}."
    ]


def critical_shares(path: CriticalPath) -> dict[str, float]:
    """Return each part's share of the critical path; empty where no cycle was completed."""
    return path.spent.shares if path.cycles else {}


def time_cells(path: CriticalPath) -> list[list[str]]:
    """Return a row for each cluster and the critical path: times and shares, by part."""
    spent = {**path.clusters, **({CRITICAL: path.spent} if path.cycles else {})}
    return [[who, *map(_cell, one, one.shares.values())] for who, one in spent.items()]


def _cell(time_s: float, share: float) -> str:
    return f"{seconds(time_s)}\n{percent(share)}" if time_s else "-"


def percent(share: float) -> str:
    """Show a share that may be small but is not nothing."""
    return f"{share:.2%}" if share >= 0.00005 or not share else "< 0.01%"


def shares_of_groups(
    groups: Sequence[Group],
) -> tuple[dict[str, dict[str, float]], list[list[str]]]:
    """Return the shares of the critical path of groups of runs that have one, and rows of all.

    They are means over the runs that completed a cycle.
    """
    found: dict[str, dict[str, float]] = {}
    for group in groups:
        each = [shares for run in group.runs if (shares := critical_shares(run.critical_path))]
        found[group.label] = {part: mean(one[part] for one in each) for part in PARTS if each}
    cells = [
        [label, *(percent(shares[part]) if shares else "-" for part in PARTS)]
        for label, shares in found.items()
    ]
    return {label: shares for label, shares in found.items() if shares}, cells
