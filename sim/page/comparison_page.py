"""The page of several runs side by side."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from sim.analysis import comparison_text as text
from sim.analysis.cases import case_of, compare_groups
from sim.analysis.comparison import Comparison, check_lines
from sim.analysis.critical_path import Part
from sim.analysis.curves import FEWEST
from sim.analysis.groups import group_runs
from sim.analysis.run import Run
from sim.draw.accuracy import OVER, accuracy
from sim.draw.timeline import draw_shares
from sim.errors import InputError
from sim.execution.result import Result, check_of_one_kind, load
from sim.page.chart import MOST_BANDS, MOST_GROUPS, chart_of, title_of
from sim.page.figures import sentence
from sim.page.page import Page
from sim.page.sweep_pictures import drawings_of_groups, reading_of_groups
from sim.replay.scene import MOST_RUNS, share_sky
from statements import Code


def page(folders: Sequence[Path]) -> Page:
    """Return the comparison of the runs in ``folders``; raise InputError if there is none."""
    places = list({folder.resolve(): folder for folder in folders}.values())
    if not places:
        raise InputError.of_option(
            "report", Code.NOT_RECORDED, "none of the sweep's points is complete"
        )
    loaded: dict[Path | None, Result] = {place: load(place) for place in places}
    runs = [case_of(run, run.folder) for run in loaded.values()]
    check_of_one_kind(run.manifest for run in runs)
    grouped = group_runs(runs)
    found = compare_groups(grouped)
    of_network = any(run.of_network for run in loaded.values())
    groups = {label: [loaded[run.folder] for run in own] for label, own in grouped.items()}
    shown = comparison_context({} if of_network else groups, found)
    names = sorted({str(run.manifest.get("name")) for run in runs})
    kind = "network studies" if of_network else "runs"
    many = f"{len(groups)} groups; runs of a group differ in their seed only."
    return Page(
        template="comparison.html",
        kind=f"Comparison of {len(runs)} {kind} of {', '.join(names)}",
        title=found.headline,
        subtitle=" ".join([many, *text.qualified(found)]),
        context={
            **shown,
            "count": len(runs),
            "drawings": [] if shown["curves"] else drawings_of_groups(found),
            "reading": reading_of_groups(found),
        },
    )


def under_one_sky(groups: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Return a run of each group for a replay, by label, if they share start, orbit and contacts.

    They have the seed that most groups have. Of groups that do not share the sky of the first one,
    and of more than a reader can follow, there is none.
    """
    each = ({run.manifest["seed"] for run in runs} for runs in groups.values())
    seeds = Counter(seed for own in each for seed in own)
    [(seed, _)] = seeds.most_common(1)
    chosen: dict[str, Any] = {}
    for label, runs in groups.items():
        run = next((run for run in runs if run.manifest["seed"] == seed), None)
        if run is not None and len(chosen) < MOST_RUNS and share_sky([*chosen.values(), run]):
            chosen[label] = run
    return chosen


def comparison_context(
    groups: Mapping[str, Sequence[Run]], comparison: Comparison
) -> dict[str, Any]:
    """Return what a comparison shows: ``groups.html`` of it, ``comparison.html`` the rest."""
    shared = comparison.about.get("shared_target")
    target = None if shared is None else float(shared)
    targets = [] if target is None else [target]
    drawn = dict([*groups.items()][:MOST_GROUPS])
    curves = chart_of(groups, targets, target) if groups else None
    called = (
        *(check_lines, text.stand_in_lines, text.rows_of, text.others_of),
        *(accuracy, shares_of_groups, draw_shares),
    )
    return {
        "groups": groups,
        "comparison": comparison,
        "figures": comparison.columns,
        "curves": curves,
        "curves_title": title_of(curves),
        "curves_note": _note(groups) if groups else "",
        "lines": {label: number for number, label in enumerate(drawn)},
        "several_seeds": bool((comparison.rows["seeds"] > 1).any()),
        "shared": shared,
        "OVER": OVER,
        "drawn_groups": drawn,
        "MOST_GROUPS": MOST_GROUPS,
        "replays": under_one_sky(groups) if groups else {},
        "MOST_REPLAYED": MOST_RUNS,
        **{function.__name__: function for function in called},
    }


def _note(groups: Mapping[str, Sequence[Run]]) -> str:
    """Say what lines and bands of the chart of groups are."""
    words = ["a value holds until the next one is measured, and the last has a dot"]
    most = max(map(len, groups.values()))
    if most > 1:
        band = "the 95 % interval of the mean (Student's t)" if most >= FEWEST else "all seeds"
        near = "" if len(groups) <= MOST_BANDS else " of the line that is pointed at"
        words = [f"line: mean of {most} seeds; shade: {band}{near}", *words]
    if len(groups) > MOST_GROUPS:
        words.append(f"the first {MOST_GROUPS} of {len(groups)} groups")
    return sentence("; ".join(words))


def shares_of_groups(
    groups: Mapping[str, Sequence[Run]],
) -> dict[str, dict[Part, float]]:
    """Return the shares of the critical path of each group that has one, the mean of its runs'."""
    each = {label: [run.critical_path.shares for run in runs] for label, runs in groups.items()}
    known = {label: [shares for shares in own if shares] for label, own in each.items()}
    parts = [part for part in Part if any(part in one for own in known.values() for one in own)]
    return {
        label: {part: mean(one.get(part, 0.0) for one in own) for part in parts}
        for label, own in known.items()
        if own
    }
