"""The page of several runs side by side."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from sim.analysis import comparison_text as text
from sim.analysis.comparison import Group, compare_groups, group_runs
from sim.errors import InputError
from sim.execution.result import load
from sim.plots.accuracy import OVER, accuracy
from sim.plots.timeline import PARTS, draw_shares
from sim.replay.scene import MOST_RUNS, share_sky
from sim.report.page import Page
from sim.report.run_page import notices

MOST_CURVES = 12
"""Groups up to which curves are drawn over each other."""
Cells = list[list[str]]
Table = tuple[list[str], Cells]


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
        context={**compared(groups), "replays": under_one_sky(groups)},
        notices=[notice for run in runs for notice in notices(run)],
    )


def under_one_sky(groups: Sequence[Group]) -> dict[str, Any]:
    """Return a run of each group for a replay, by label, if they share start, orbit and contacts.

    They have the seed that most groups have. Of groups that do not share the sky of the first one,
    and of more than a reader can follow, there is none.
    """
    seeds = Counter(
        seed for group in groups for seed in {run.manifest["seed"] for run in group.runs}
    )
    [(seed, _)] = seeds.most_common(1)
    chosen: dict[str, Any] = {}
    for group in groups:
        run = next((run for run in group.runs if run.manifest["seed"] == seed), None)
        if run is not None and len(chosen) < MOST_RUNS and share_sky([*chosen.values(), run]):
            chosen[f"{group.label} seed {seed}"] = run
    return chosen


def compared(groups: Sequence[Group]) -> dict[str, Any]:
    """Return what a comparison shows: ``groups.html`` of it, ``comparison.html`` the rest."""
    comparison = compare_groups(groups)
    rows = comparison["groups"]
    common = comparison["common_target"]
    called = (
        *(text.stand_in_lines, text.test_rows, text.test_notes, text.deadline_notes),
        *(text.figure_rows, text.mean_rows, text.target_rows),
        *(accuracy, transposed, shares_of_groups, draw_shares),
    )

    def measures(figure: str) -> bool:
        return any(run.summary[figure] is not None for group in groups for run in group.runs)

    return {
        "groups": groups,
        "comparison": comparison,
        "rows": rows,
        "measures": measures,
        "reference": comparison["reference"],
        "common": common,
        "OVER": OVER,
        "PARTS": PARTS,
        "verdict_lines": text.verdict_lines,
        "shows_ratio": text.shows_ratio,
        "TEST_HEADS": text.TEST_HEADS,
        "curves": {group.label: group.runs for group in groups[:MOST_CURVES]},
        "MOST_CURVES": MOST_CURVES,
        **{function.__name__: function for function in called},
    }


def transposed(first: str, labels: Sequence[str], rows: Mapping[str, list[str]]) -> Table:
    """Return heads and rows of a table that has a line for each of the labels."""
    return [first, *rows], list(map(list, zip(labels, *rows.values(), strict=True)))


def shares_of_groups(groups: Sequence[Group]) -> dict[str, dict[str, float]]:
    """Return the shares of the critical path of each group that has one, the mean of its runs'."""
    each = {group.label: [run.critical_path.spent.shares for run in group.runs] for group in groups}
    known = {label: [shares for shares in own if shares] for label, own in each.items()}
    return {
        label: {part: mean(one[part] for one in own) for part in PARTS}
        for label, own in known.items()
        if own
    }
