"""The page of a sweep."""

from pathlib import Path

from sim.analysis.comparison_text import qualified
from sim.analysis.evaluations import is_measured
from sim.analysis.numeric import NumericSweep
from sim.analysis.numeric_text import page_table
from sim.execution.result import load
from sim.facts.status import COMPLETE
from sim.formatting import as_yaml, counted
from sim.page.chart import MOST_GROUPS
from sim.page.comparison_page import comparison_context
from sim.page.page import Page
from sim.page.sweep_pictures import SMALL_WIDTH, drawings, drawings_of_groups, reading_of_groups
from sim.sweep import Sweep, read_sweep
from sim.sweep.comparison import compare_sweep
from sim.sweep.rows import failures_text, sha256_text


def page(folder: Path) -> Page:
    """Return the report of the sweep in ``folder``; raise InputError if it cannot be read."""
    return page_of(read_sweep(folder))


def page_of(sweep: Sweep) -> Page:
    """Return the report of a sweep, with the rows that it has."""
    every = sweep.rows.to_pylist()
    done = [row for row in every if row["status"] == COMPLETE]
    comparison = compare_sweep(sweep)
    numeric, folders = comparison.numeric, comparison.runs
    several = len({folder for own in folders.values() for folder in own}) > 1
    # The groups that lead stand first, as there are lines and replays of some alone.
    order = [label for label in comparison.groups if label in folders]
    groups = {label: [*map(load, folders[label])] for label in order}
    learnt = any(map(is_measured, done))
    # Of many numbers, or where nothing was learnt, curves over time say little.
    charted = several and (numeric is None or (learnt and len(groups) <= MOST_GROUPS))
    shown = comparison_context(groups, comparison)
    of_groups = [] if charted and shown["curves"] else drawings_of_groups(comparison)
    counts = "" if numeric else f"{counted(len(every), 'point')}."
    return Page(
        template="sweep.html",
        kind=f"Sweep {sweep.folder.resolve().name}{_over(numeric)}",
        title=comparison.headline,
        subtitle=" ".join(filter(None, [counts, *qualified(comparison)])),
        context={
            "keys": list(sweep.keys),
            "charted": charted,
            **shown,
            "numeric": numeric,
            "drawings": drawings(numeric) if numeric else of_groups,
            "SMALL_WIDTH": SMALL_WIDTH,
            "page_table": page_table(numeric) if numeric else None,
            "reading": _reading(numeric) if numeric else reading_of_groups(comparison),
            "failed": failures_text(sweep.rows, sweep.keys),
            "asked": asked(sweep),
        },
    )


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


MOST_VALUES = 12
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
    if len(texts) > MOST_VALUES:
        return f"{', '.join(texts[:3])} ... {texts[-1]} ({len(texts)} values)"
    return ", ".join(texts)
