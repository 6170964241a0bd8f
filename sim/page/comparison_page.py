"""The page of a comparison: of runs side by side, or of a sweep."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from sim.analysis import comparison_text as text
from sim.analysis.cases import case_of, compare_groups, group_runs
from sim.analysis.comparison import Comparison, check_lines
from sim.analysis.critical_path import Part
from sim.analysis.curves import FEWEST
from sim.analysis.evaluations import is_measured
from sim.analysis.numeric import NumericSweep, page_table
from sim.analysis.run import Run
from sim.draw.accuracy import OVER, accuracy
from sim.draw.timeline import draw_shares
from sim.execution.result import Result, check_of_one_kind, load
from sim.facts.status import COMPLETE
from sim.formatting import as_yaml, counted
from sim.page.chart import MOST_BANDS, MOST_GROUPS, chart_of, title_of
from sim.page.figures import as_sentence
from sim.page.page import Page
from sim.page.sweep_pictures import (
    SMALL_WIDTH,
    drawings,
    drawings_of_groups,
    reading_of_groups,
)
from sim.replay.scene import MOST_RUNS, share_sky
from sim.sweep import Sweep
from sim.sweep.comparison import compare_sweep
from sim.sweep.rows import failures_text, sha256_text


def page_of_runs(folders: Sequence[Path]) -> Page:
    """Return the comparison of the runs in some folders, of which there is one at least."""
    loaded: dict[Path | None, Result] = {
        place: load(place) for place in {folder.resolve(): folder for folder in folders}.values()
    }
    runs = [case_of(run, place) for place, run in loaded.items()]
    check_of_one_kind(run.manifest for run in runs)
    grouped = group_runs(runs)
    comparison = compare_groups(grouped)
    of_network = any(run.of_network for run in loaded.values())
    groups = {label: [loaded[run.folder] for run in own] for label, own in grouped.items()}
    names = sorted({str(run.manifest.get("name")) for run in runs})
    kind = "network studies" if of_network else "runs"
    many = f"{len(groups)} groups; runs of a group differ in their seed only."
    return Page(
        template="comparison.html",
        kind=f"Comparison of {len(runs)} {kind} of {', '.join(names)}",
        title=comparison.headline,
        subtitle=" ".join([many, *text.qualified(comparison)]),
        context=_context(comparison, {} if of_network else groups) | {"count": len(runs)},
    )


def page_of_sweep(sweep: Sweep) -> Page:
    """Return the report of a sweep, with the rows that it has."""
    every = sweep.rows.to_pylist()
    comparison = compare_sweep(sweep)
    numeric, folders = comparison.numeric, comparison.runs
    several = len({folder for own in folders.values() for folder in own}) > 1
    # The groups that lead stand first, as there are lines and replays of some alone.
    order = [label for label in comparison.groups if label in folders]
    groups = {label: [*map(load, folders[label])] for label in order}
    learnt = any(is_measured(row) for row in every if row["status"] == COMPLETE)
    # Of many numbers, or where nothing was learnt, curves over time say little.
    is_charted = several and (numeric is None or (learnt and len(groups) <= MOST_GROUPS))
    counts = "" if numeric else f"{counted(len(every), 'point')}."
    own = {
        "failed": failures_text(sweep.rows, sweep.keys),
        "keys": list(sweep.keys),
        "asked": asked(sweep),
    }
    return Page(
        template="comparison.html",
        kind=f"Sweep {sweep.folder.resolve().name}{_over(numeric)}",
        title=comparison.headline,
        subtitle=" ".join(filter(None, [counts, *text.qualified(comparison)])),
        context=_context(comparison, groups, is_charted=is_charted) | own,
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


def _context(
    comparison: Comparison, groups: Mapping[str, Sequence[Run]], *, is_charted: bool = True
) -> dict[str, Any]:
    """Return what ``comparison.html`` shows of a comparison; ``groups`` are its runs, if any."""
    shared = comparison.about.get("shared_target")
    target = None if shared is None else float(shared)
    targets = [] if target is None else [target]
    curves = chart_of(groups, targets, target) if groups else None
    numeric = comparison.numeric
    of_groups = [] if curves and is_charted else drawings_of_groups(comparison)
    called = (
        *(check_lines, text.stand_in_lines, text.rows_of, text.others_of),
        *(accuracy, shares_of_groups, draw_shares),
    )
    return {
        "groups": groups,
        "comparison": comparison,
        "figures": comparison.columns,
        "numeric": numeric,
        "page_table": page_table(numeric) if numeric else None,
        "drawings": drawings(numeric) if numeric else of_groups,
        "reading": _reading(numeric) if numeric else reading_of_groups(comparison),
        "curves": curves,
        "is_charted": is_charted,
        "curves_title": title_of(curves),
        "curves_note": _note(groups) if groups else "",
        "several_seeds": bool((comparison.rows["seeds"] > 1).any()),
        "shared": shared,
        "OVER": OVER,
        "drawn_groups": dict([*groups.items()][:MOST_GROUPS]),
        "replays": under_one_sky(groups) if groups else {},
        "MOST_REPLAYED": MOST_RUNS,
        "SMALL_WIDTH": SMALL_WIDTH,
        **dict.fromkeys(("count", "failed", "keys", "asked")),  # of runs, and of a sweep
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
    return as_sentence("; ".join(words))


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


def _over(numeric: NumericSweep | None) -> str:
    """Say over which numbers a sweep is: ": altitude, 400 to 1,200 km, 9 values"."""
    if numeric is None:
        return ""
    each = []
    for axis in numeric.axes:
        span = axis.text(axis.values[0], axis.values[-1])
        span = span.removeprefix(f"{axis.name} ").removesuffix(f" {axis.name}")
        each.append(f"{axis.name}, {span}, {len(axis.values)} values")
    return f": {'; '.join(each)}"


def _reading(numeric: NumericSweep) -> str:
    """Say how the pictures are read."""
    if not numeric.is_line:
        return (
            "The stronger the colour, the better; bold is the best. "
            "Rows and columns are values in order, not to scale."
        )
    return "Dots are what was run, rings the best of it. The axis to the left need not begin at 0."


MOST_LISTED_VALUES = 12
"""Values of a key that are listed one by one."""


def asked(sweep: Sweep) -> list[list[str]]:
    """Return what the sweep was asked for, a row a key, but for the points that this makes."""
    about = sweep.about
    fixed = about.get("set") or {}
    return [
        ["scenario", str(about["scenario"])],
        *([f"{key} (varied)", _values_of_key(sweep, key)] for key in sweep.keys),
        *([f"{key} (set)", as_yaml(value)] for key, value in fixed.items()),
        ["replications", str(about["replications"])],
        ["sweep sha256", sha256_text(sweep.rows, 64)],
    ]


def _values_of_key(sweep: Sweep, key: str) -> str:
    """Show the values of a key in the order in which they were given; many by both ends."""
    texts = list(dict.fromkeys(as_yaml(point.values[key]) for point in sweep.points))
    if len(texts) > MOST_LISTED_VALUES:
        return f"{', '.join(texts[:3])} ... {texts[-1]} ({len(texts)} values)"
    return ", ".join(texts)
