"""The page of several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sim.analysis import text
from sim.analysis.comparison import Group, compare_groups, group_runs
from sim.errors import InputError
from sim.execution.result import load
from sim.plots.accuracy import OVER, accuracy
from sim.plots.timeline import PARTS
from sim.report.findings import draw_shares, notices, shares_of_groups
from sim.report.page import Page

MOST_CURVES = 12
"""Groups up to which curves are drawn over each other."""
UNKNOWN = "not measured"
HEADS = {"start accuracy": "accuracy at the start"}
"""Figures that have another name on the page than in text."""

Cells = list[list[str]]


def page(folders: Sequence[Path]) -> Page:
    """Return the comparison of the runs in ``folders``; raise InputError if there is none."""
    places = list({folder.resolve(): folder for folder in folders}.values())
    if not places:
        raise InputError("report: none of the sweep's points is complete")
    runs = [load(place) for place in places]
    groups = group_runs(runs)
    names = sorted({str(run.manifest.get("name")) for run in runs})
    return Page(
        template="comparison.html",
        title=f"Comparison of {len(runs)} runs",
        subtitle=f"{len(groups)} groups of {', '.join(names)}; runs of a group differ in their "
        "seed only",
        context=compared(groups),
        notices=[notice for run in runs for notice in notices(run)],
    )


def compared(groups: Sequence[Group]) -> dict[str, Any]:
    """Return what a comparison shows: ``groups.html`` of it, ``comparison.html`` the rest."""
    comparison = compare_groups(groups)
    rows, common = comparison["groups"], comparison["common_target"]
    called = (
        *(text.stand_in_lines, text.test_rows, text.test_notes, text.reached_by, accuracy),
        *(group_cells, targets_to, shares_of_groups, draw_shares, run_cells),
    )

    def measures(figure: str) -> bool:
        return any(run.summary[figure] is not None for group in groups for run in group.runs)

    return {
        **{"groups": groups, "comparison": comparison, "rows": rows, "measures": measures},
        **{"reference": comparison["reference"], "common": common, "OVER": OVER, "PARTS": PARTS},
        "first": common and min(rows, key=lambda row: float(row["hours_to"][common]["median"])),
        "curves": {group.label: group.runs for group in groups[:MOST_CURVES]},
        "MOST_CURVES": MOST_CURVES,
        **{function.__name__: function for function in called},
    }


def group_cells(rows: Sequence[dict[str, Any]]) -> tuple[list[str], Cells]:
    """Return heads and rows of the figures of each group that some group has."""
    figures = text.LEARNT | text.of_satellites(rows) | text.MOVED
    shown = {
        HEADS.get(head, head): [cell(row, UNKNOWN) for row in rows]
        for head, cell in figures.items()
    }
    known = {head: cells for head, cells in shown.items() if set(cells) != {UNKNOWN}}
    labels = [row["label"] for row in rows]
    return ["group", *known], [list(line) for line in zip(labels, *known.values(), strict=True)]


def targets_to(rows: Sequence[dict[str, Any]], targets: Sequence[str]) -> tuple[Cells, Cells]:
    """Return for each group the cycles to the targets with their ratio, and the days to them."""
    cycles, days = [], []
    for row in rows:
        hours = (row["hours_to"][name] for name in targets)
        days.append([row["label"], *(text.spread(one, "{:.2f}".format, 24.0) for one in hours)])
        cycles.append([row["label"], *(text.with_ratio(row, UNKNOWN, name) for name in targets)])
    return cycles, days


def run_cells(groups: Sequence[Group]) -> Cells:
    """Return a row for each run."""
    return [
        [
            *(str(run.folder), group.label, str(run.manifest["seed"]), run.manifest["status"]),
            UNKNOWN if (final := run.summary["accuracy_final"]) is None else f"{final:.3f}",
            str(run.manifest["trace_sha256"])[:16],
        ]
        for group in groups
        for run in group.runs
    ]
