"""The page of a sweep."""

from collections.abc import Sequence
from pathlib import Path

from sim.analysis.judged import is_measured
from sim.facts.status import COMPLETE
from sim.formatting import as_yaml, counted
from sim.report.chart import MOST_GROUPS
from sim.report.comparison_page import compared
from sim.report.inline import inline
from sim.report.page import Page
from sim.report.sweep_figures import (
    MOST_ROWS,
    NARROW,
    SMALL,
    WIDE,
    Cells,
    drawings,
    points,
)
from sim.sweep import Sweep, read_sweep
from sim.sweep.answers import answers, best_target, leading, runs_of
from sim.sweep.answers_text import MORE_SEEDS, first_lines, sweep_lines, sweep_parts
from sim.sweep.axis import OverNumbers
from sim.sweep.axis_table import rows_shown
from sim.sweep.common_target import with_common_target
from sim.sweep.differences import Row
from sim.sweep.rows import MISSING
from sim.sweep.side_by_side import groups_of, side_by_side
from sim.sweep.text import but_the_seed, sha256_text


def page(folder: Path) -> Page:
    """Return the report of the sweep in ``folder``; raise InputError if it cannot be read."""
    return page_of(read_sweep(folder))


def page_of(sweep: Sweep) -> Page:
    """Return the report of a sweep, with the rows that it has."""
    keys = list(sweep.keys)
    runs = runs_of(sweep)
    rows = with_common_target(sweep, runs)
    every = rows.to_pylist()
    done = [row for row in every if row["status"] == COMPLETE]
    target = best_target(done)
    found = answers(every, keys, runs)
    several = len(runs) > 1
    ours = {row["folder"] for row in leading(every, found)}
    # Others stand beside one that leads.
    first = groups_of(sweep, sorted(every, key=lambda row: row["folder"] not in ours), runs)
    groups = compared(first, MORE_SEEDS, target=target) if several else {}
    numbers = found.over_numbers
    learnt = any(map(is_measured, done))
    # Of one key of names the groups side by side have the answer.
    one_key = len(but_the_seed(keys)) == 1 and numbers is None
    beside = groups.get("comparison") if one_key else None
    if sweep.points[0].of_network and numbers is None:
        beside = side_by_side(sweep)
    if beside is not None:
        found = answers(every, keys, runs, beside)
    asked_for = [one.combinations.measure.column for one in found.figures]
    counts, *words = sweep_parts(found)
    headline, *limits = first_lines(found, beside)
    return Page(
        template="sweep.html",
        kind=f"Sweep {sweep.folder.resolve().name}{_over(numbers)}",
        title=headline or f"{counted(len(done), 'complete point')}, and nothing to compare",
        subtitle=" ".join([*([] if numbers else [str(counts)]), *limits]),
        context={
            "keys": keys,
            "whole": rows,
            "several": several,
            # Of many numbers, or where nothing was learnt, curves over time say little.
            "charted": several and (numbers is None or (learnt and len(first) <= MOST_GROUPS)),
            "MOST_ROWS": MOST_ROWS,
            "as_yaml": as_yaml,
            **groups,
            "over_numbers": numbers,
            "drawings": drawings(numbers) if numbers else [],
            "inline": inline,
            "WIDE": WIDE,
            "NARROW": NARROW,
            "SMALL": SMALL,
            "rows_shown": rows_shown(numbers) if numbers else None,
            "reading": _reading(numbers) if numbers else "",
            "words": sweep_lines(found) if numbers else words,
            "open_words": 0 if numbers or (one_key and several) else MOST_WORDS,
            "failed": [row for row in every if row["status"] != COMPLETE],
            "points": points(rows, keys, target, asked_for),
            "asked": asked(sweep),
        },
        notices=notices(every),
    )


def _over(numbers: OverNumbers | None) -> str:
    """Say over which numbers a sweep is: ": altitude, 400 to 1,200 km, 9 values"."""
    if numbers is None:
        return ""
    each = (
        f"{axis.name}, {axis.text(axis.values[0], axis.values[-1]).removeprefix(f'{axis.name} ')}, "
        f"{len(axis.values)} values"
        for axis in numbers.axes
    )
    return f": {'; '.join(each)}"


def notices(rows: Sequence[Row]) -> list[str]:
    """Return what a reader has to know first: that not all points are complete."""
    ended = [row["status"] for row in rows if row["status"] != MISSING]
    complete = ended.count(COMPLETE)
    if len(ended) < len(rows):
        failed = len(ended) - complete
        more = f", {failed} failed" if failed else ""
        return [
            f"This sweep is not finished: {complete} of {len(rows)} points are complete{more}. "
            "What follows is of these."
        ]
    missing = len(rows) - complete
    return [f"{missing} of {len(rows)} points are not complete."] if missing else []


def _reading(numbers: OverNumbers) -> str:
    """Say how the pictures are read."""
    if not numbers.is_line:
        return (
            "The stronger the colour, the better; bold is the best, and the frame is about what is "
            "within 2 % of it. Rows and columns are values in order, not to scale."
        )
    band = "" if numbers.names else "; yellow is within 2 % of the best"
    return (
        f"Dots are what was run, rings the best of it{band}. "
        "The axis to the left need not begin at 0."
    )


MOST_WORDS = 2
"""Sentences and tables that stand open; the others are folded."""


MOST_VALUES = 12
"""Values of a key that are listed one by one."""


def asked(sweep: Sweep) -> Cells:
    """Return what the sweep was asked for, a row a key, but for the points that this makes."""
    about = sweep.about
    fixed = about.get("set") or {}
    return [
        ["scenario", str(about["scenario"])],
        *([f"{key} (varied)", _values_of_key(sweep, key)] for key in sweep.keys),
        *([f"{key} (set)", as_yaml(value)] for key, value in fixed.items()),
        ["sampling", str(about["sampling"])],
        *([["samples", str(about["samples"])]] if about.get("samples") else []),
        ["replications", str(about["replications"])],
        ["sweep sha256", sha256_text(sweep.rows, 64)],
    ]


def _values_of_key(sweep: Sweep, key: str) -> str:
    """Show the values of a key in the order in which they were given; many by both ends."""
    texts = list(dict.fromkeys(as_yaml(point.values[key]) for point in sweep.points))
    if len(texts) > MOST_VALUES:
        return f"{', '.join(texts[:3])} ... {texts[-1]} ({len(texts)} values)"
    return ", ".join(texts)
