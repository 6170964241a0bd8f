"""The page of a sweep."""

from pathlib import Path

from sim.analysis.comparison_text import qualified
from sim.analysis.evaluations import is_measured
from sim.analysis.groups import Group
from sim.execution.result import load
from sim.facts.status import COMPLETE
from sim.formatting import as_yaml, counted
from sim.page.chart import MOST_GROUPS
from sim.page.comparison_page import compared as groups_shown
from sim.page.page import Page
from sim.page.sweep_pictures import SMALL, drawings, drawings_of_groups, reading_of_groups
from sim.sweep import Sweep, read_sweep
from sim.sweep.axis import OverNumbers
from sim.sweep.axis_text import rows_shown
from sim.sweep.compared import compared
from sim.sweep.rows import failures_text, sha256_text


def page(folder: Path) -> Page:
    """Return the report of the sweep in ``folder``; raise InputError if it cannot be read."""
    return page_of_sweep(read_sweep(folder))


def page_of_sweep(sweep: Sweep) -> Page:
    """Return the report of a sweep, with the rows that it has."""
    every = sweep.rows.to_pylist()
    done = [row for row in every if row["status"] == COMPLETE]
    found = compared(sweep)
    comparison, numbers = found.comparison, found.over_numbers
    several = len({run.folder for group in found.groups for run in group.runs}) > 1
    # The groups that lead stand first, as there are lines and replays of some alone.
    order = comparison.groups
    groups = sorted(found.groups, key=lambda group: order.index(group.label))
    groups = [Group(group.label, tuple(load(run.folder) for run in group.runs)) for group in groups]
    learnt = any(map(is_measured, done))
    # Of many numbers, or where nothing was learnt, curves over time say little.
    charted = several and (numbers is None or (learnt and len(found.groups) <= MOST_GROUPS))
    shown = groups_shown(groups, comparison)
    of_groups = [] if charted and shown["curves"] else drawings_of_groups(comparison)
    counts = "" if numbers else f"{counted(len(every), 'point')}."
    return Page(
        template="sweep.html",
        kind=f"Sweep {sweep.folder.resolve().name}{_over(numbers)}",
        title=comparison.headline,
        subtitle=" ".join(filter(None, [counts, *qualified(comparison)])),
        context={
            "keys": list(sweep.keys),
            "charted": charted,
            **shown,
            "over_numbers": numbers,
            "drawings": drawings(numbers) if numbers else of_groups,
            "SMALL": SMALL,
            "rows_shown": rows_shown(numbers) if numbers else None,
            "reading": _reading(numbers) if numbers else reading_of_groups(comparison),
            "failed": failures_text(sweep.rows, sweep.keys),
            "asked": asked(sweep),
        },
    )


def _over(numbers: OverNumbers | None) -> str:
    """Say over which numbers a sweep is: ": altitude, 400 to 1,200 km, 9 values"."""
    if numbers is None:
        return ""
    each = []
    for axis in numbers.axes:
        span = axis.text(axis.values[0], axis.values[-1])
        span = span.removeprefix(f"{axis.name} ").removesuffix(f" {axis.name}")
        each.append(f"{axis.name}, {span}, {len(axis.values)} values")
    return f": {'; '.join(each)}"


def _reading(numbers: OverNumbers) -> str:
    """Say how the pictures are read."""
    if not numbers.is_line:
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
