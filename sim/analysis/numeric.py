"""Sweeps over keys with numbers: their combinations in order, as sentences and as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Self

import numpy as np

from sim.analysis.figure_column import FigureColumn
from sim.analysis.figures import LISTED
from sim.analysis.labels import ending, labels_of
from sim.analysis.ranking import Verdict
from sim.analysis.screen import LONGEST_HEAD, ScreenColumn, block, cut, dots, fitted_headline, marks
from sim.facts.status import COMPLETE
from sim.formatting import as_yaml, capital, counted, listed, some

ROWS = "sweep.parquet"
"""File with a row per point of a sweep."""
FEWEST_VALUES = 3
"""Values from which on the numbers of a key are an axis; two of them are two names."""
MOST_VALUES = 12
"""Rows of a table on a screen; what is more is said, and stands behind ``--all``."""
MOST_BEST = 10
"""Combinations of more than two keys that a screen shows, the best ones."""
MOST_PAGE_COLUMNS = 9
"""Columns of a table on a page."""
MAGNITUDES = 5.0
"""How many times as far apart as others some values are that are spread over magnitudes."""


def is_number(value: Any) -> bool:
    """Return whether a value is a number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def numeric_keys(rows: Iterable[Mapping[str, Any]], keys: Iterable[str]) -> list[str]:
    """Return the keys but the seed that have several numbers for values, where one is an axis.

    One is an axis from :data:`FEWEST_VALUES` values on; of two and more, two values have an order
    too.
    """
    values = {key: {row[key] for row in rows} for key in keys if key != "seed"}
    found = [key for key, own in values.items() if len(own) > 1 and all(map(is_number, own))]
    is_axis = len(found) > 1 or any(len(values[key]) >= FEWEST_VALUES for key in found)
    return found if is_axis else []


@dataclass(frozen=True)
class Axis:
    """A key and its values, rising; ``alone`` says that no other one has its unit."""

    key: str
    values: tuple[float, ...]
    alone: bool = True

    @property
    def name(self) -> str:
        """What it is called: "altitude"."""
        return name_and_unit(self.key)[0]

    @property
    def is_logarithmic(self) -> bool:
        """Whether its values are spread over magnitudes: 0.01, 0.1, 1."""
        gaps = [high - low for low, high in pairwise(self.values)]
        return self.values[0] > 0.0 and max(gaps) > MAGNITUDES * min(gaps)

    @property
    def head(self) -> str:
        """What stands beside it: "altitude (km)"."""
        name, unit = name_and_unit(self.key)
        return f"{name} ({unit})" if unit not in ("", name) else name

    def text(self, low: float, high: float | None = None) -> str:
        """Say a value, or a range: "750 to 900 km", "step size 0.1", "2 rounds per contact"."""
        name, unit = name_and_unit(self.key)
        ends = [*dict.fromkeys(map(number, (low, low if high is None else high)))]
        if unit == name and ends == ["1"]:
            noun, per, rest = unit.partition(" per ")
            unit = f"{noun.removesuffix('es' if noun.endswith('sses') else 's')}{per}{rest}"
        is_named = not unit or (unit != name and not self.alone)
        return " ".join(filter(None, (name if is_named else "", " to ".join(ends), unit)))


def name_and_unit(key: str) -> tuple[str, str]:
    """Return what a key is called, and its unit: ``altitude`` and ``km``.

    What is counted is its own unit: ``rounds per contact`` of ``learning.rounds.per_contact``.
    """
    *_, section, last = f".{key}".split(".")
    words = f"{section}_{last}" if last.startswith("per_") else last
    first, _, unit = words.rpartition("_")
    if first and unit in LISTED["units"]:
        return first.replace("_", " "), LISTED["units"][unit]
    name = words.replace("_", " ").strip()
    noun = name.partition(" per ")[0]
    return name, name if noun.endswith("s") and not noun.endswith("ss") else ""


def number(value: float) -> str:
    """Write a number of a key: 1,200, 0.05."""
    return f"{value:,.10g}"


@dataclass(frozen=True)
class NumericSweep:
    """A sweep over numbers: its combinations in order, and what was measured of them.

    axes: the keys with numbers.
    names: the keys that are no numbers.
    combinations: values by key of each group of the comparison: in order of the names, as they
        were given, then of the numbers, rising.
    labels: what the names are called, by group; empty without names.
    columns: figures by group. The first one judges the sweep: the first in which some are best.
    """

    axes: tuple[Axis, ...]
    names: tuple[str, ...]
    combinations: Mapping[str, Mapping[str, Any]]
    labels: Mapping[str, str]
    columns: tuple[FigureColumn, ...]

    @classmethod
    def of(
        cls,
        by_group: Mapping[str, Sequence[Mapping[str, Any]]],
        varied: Sequence[str],
        columns_of: Callable[[Sequence[str]], Sequence[FigureColumn]],
    ) -> Self | None:
        """Return what a comparison has over the numbers of keys; None where no key is an axis.

        ``by_group`` are the rows of its combinations, ``varied`` the keys in which these differ,
        and ``columns_of`` gives the figures of combinations in their order.
        """
        rows = [row for own in by_group.values() for row in own]
        numeric = numeric_keys(rows, varied)
        if not numeric or all(row["status"] != COMPLETE for row in rows):
            return None
        names = tuple(key for key in varied if key not in numeric)
        values = {group: {key: own[0][key] for key in varied} for group, own in by_group.items()}
        named = {group: tuple(own[key] for key in names) for group, own in values.items()}
        order = [*dict.fromkeys(named.values())]

        def rank(group: str) -> tuple[int, list[float]]:
            return order.index(named[group]), [values[group][key] for key in numeric]

        groups = sorted(by_group, key=rank)
        settings = [dict(zip(names, own, strict=True)) for own in order]
        label = dict(zip(order, labels_of(settings) if names else [""], strict=True))
        units = [name_and_unit(key)[1] for key in numeric]
        axes = tuple(
            Axis(key, tuple(sorted({row[key] for row in rows})), units.count(unit) == 1)
            for key, unit in zip(numeric, units, strict=True)
        )
        every = columns_of(groups)
        known = [column for column in every if column.known]
        first = next((column for column in known if column.has_best), (known or every)[0])
        # Why a combination has nothing is said once.
        said = {group: "-" for group, why in first.missing.items() if why}
        rest = (
            replace(column, missing={g: why and said.get(g, why) for g, why in own.items()})
            for column in known
            if column is not first and not column.is_flat
            for own in [column.missing]
        )
        return cls(
            axes,
            names,
            {group: values[group] for group in groups},
            {group: label[named[group]] for group in groups},
            (first, *rest),
        )

    @property
    def first(self) -> FigureColumn:
        """The figure by which the sweep is judged."""
        return self.columns[0]

    @property
    def groups(self) -> list[str]:
        """The combinations, in order."""
        return [*self.combinations]

    @cached_property
    def by_label(self) -> dict[str, list[str]]:
        """The combinations of each name, in order; all of them where there are no names."""
        found: dict[str, list[str]] = {}
        for group, label in self.labels.items():
            found.setdefault(label, []).append(group)
        return found

    @property
    def is_line(self) -> bool:
        """Whether there is one number: a curve, or one of each name."""
        return len(self.axes) == 1

    @property
    def is_map(self) -> bool:
        """Whether there are two numbers and nothing else."""
        return len(self.axes) == 2 and not self.names

    @property
    def wide(self) -> list[Axis]:
        """The axes, those with the most values first."""
        return sorted(self.axes, key=lambda axis: -len(axis.values))

    @property
    def ranked(self) -> list[str]:
        """The combinations, the best first."""
        return sorted(self.groups, key=lambda group: -self.first.merit(group))

    def along(self, axis: Axis, groups: Iterable[str]) -> list[float]:
        """Return the values of an axis at some combinations."""
        return [self.combinations[group][axis.key] for group in groups]

    def where(self, group: str) -> str:
        """Name a combination: "600 km and 40 degrees", behind its name where it has one."""
        numbers = [axis.text(self.combinations[group][axis.key]) for axis in self.axes]
        return listed([name for name in (self.labels[group], *numbers) if name])

    def ranges_of(self, groups: Iterable[str]) -> list[tuple[str, str]]:
        """Return the runs of neighbours among some combinations, by their ends."""
        index = {group: n for n, group in enumerate(self.groups)}
        found: list[tuple[str, str]] = []
        for group in groups:
            if found and index[group] == index[found[-1][1]] + 1:
                found[-1] = (found[-1][0], group)
            else:
                found.append((group, group))
        return found


def headline_of(found: NumericSweep) -> str:
    """Return what was found in one sentence, without a full stop."""
    column = found.first
    if not column.known:
        return ""
    name = column.figure.name
    if column.is_flat:
        first, *others = column.known
        where = f"all {counted(len(column.known), 'value')}" if others else found.where(first)
        return f"{capital(name)}: {column.with_unit(first)} at {where}"
    what = capital(f"{column.figure.best} {name}".strip())
    if found.is_line and found.names:
        return fitted_headline(f"{what}: ", _of_names(found))
    best, last = column.best(), column.last()
    ends = [f"{column.with_unit(own[0])} at {_where(found, own)}" for own in (best, last)]
    return f"{what}: {'; '.join(dict.fromkeys(ends))}"


def _of_names(found: NumericSweep) -> dict[str, int]:
    """Say what each name has at its best value, the best name first; equal ones together."""
    column = found.first
    best = {label: column.best(groups) for label, groups in found.by_label.items()}
    reached = sorted(filter(best.get, best), key=lambda label: -column.merit(best[label][0]))
    alike: dict[str, list[str]] = {}
    for label in reached:
        where = _on_axis(found, best[label])
        alike.setdefault(f"{column.with_unit(best[label][0])} at {where}", []).append(label)
    for label in (label for label in best if not best[label]):
        alike.setdefault(column.with_unit(found.by_label[label][0]), []).append(label)
    return {f"{own} with {listed(labels)}": len(labels) for own, labels in alike.items()}


def _on_axis(found: NumericSweep, groups: Sequence[str]) -> str:
    """Name values along the one number: "750 to 900 km and 1,150 km"."""
    [axis] = found.axes
    return listed([axis.text(*found.along(axis, ends)) for ends in found.ranges_of(groups)])


def _where(found: NumericSweep, groups: Sequence[str]) -> str:
    """Name some combinations, or the first of them."""
    if found.is_line and not found.names:
        return _on_axis(found, groups)
    return some([*map(found.where, groups)], 1, "; ")


def notes_on_numbers(found: NumericSweep) -> Iterator[str]:
    """Yield what would change the answer, a sentence each; the most important first."""
    first = found.first
    if first.has_best:
        best = first.best()
        for axis in () if found.names else found.axes:
            values = {*found.along(axis, best)}
            ends = {axis.values[0]: "least", axis.values[-1]: "greatest"}
            if len(values) == 1 and (end := ends.get(*values)):
                text = capital(axis.text(*values))
                yield f"{text} is the {end} value that was tried: a better one may lie beyond it."
        seeds = len(first.seeds[best[0]])
        words = first.verdicts
        level = [g for g in found.groups if words.get(g) == Verdict.NO_DIFFERENCE]
        if seeds > 1 and (others := [group for group in level if group not in best]):
            yield f"No difference found from {_where(found, others)} ({seeds} seeds)."
    for why in dict.fromkeys(filter(None, first.missing.values())):
        which = _where(found, [group for group, own in first.missing.items() if own == why])
        yield f"{capital(why)}: {which}."


def numeric_table(found: NumericSweep, *, in_full: bool = False) -> list[str]:
    """Return the table, and lines below it: what its marks are, and where the rest is.

    ``in_full`` has a row for each combination, and all figures, below each other too.
    """
    if not in_full and (found.is_map or (found.is_line and found.names)):
        return _matrix(found)
    groups = found.groups if in_full else _some_groups(found)
    keys = _keys(found, groups)
    first, *others = found.columns
    columns = [_cells(first, groups)]
    has_dots = found.is_line and not in_full and not first.is_flat
    if has_dots:
        unit = first.shown.unit
        columns.append(dots([[value / unit for value in first.seeds[group]] for group in groups]))
    columns += [_cells(column, groups) for column in others]
    lines: list[str] = []
    while columns and (in_full or not lines):
        part, held = block([*keys, *columns], fixed=len(keys) + 1)
        lines += [*([""] if lines else []), *part]
        columns = columns[held - len(keys) :]
    below = ["* best"] if any(column.has_best for column in found.columns) else []
    if has_dots and max(map(len, first.seeds.values())) > 1:
        below.append(f"{marks()[0]} a seed")
    return _with(lines, below, len(found.groups) - len(groups), len(columns))


def _some_groups(found: NumericSweep) -> list[str]:
    """Return the combinations of a short table: by value, or the best first."""
    if found.is_line and not found.names:
        return some_of(found.groups, MOST_VALUES, found.first.best()[:1])
    return found.ranked[:MOST_BEST]


def some_of(values: Sequence[Any], most: int, kept: Sequence[Any]) -> list[Any]:
    """Return at most so many of some values in order, even, with both ends and those kept."""
    count = len(values)
    if count <= most:
        return [*values]
    indices = {values.index(value) for value in kept}
    ends = {*np.linspace(0, count - 1, max(2, most)).round().astype(int).tolist()}
    if not indices <= ends:
        fewer = max(2, most - len(indices))
        ends = {*np.linspace(0, count - 1, fewer).round().astype(int).tolist(), *indices}
    return [values[index] for index in sorted(ends)]


def _cells(column: FigureColumn, groups: Sequence[str]) -> ScreenColumn:
    best = column.best() if column.has_best else []
    return ScreenColumn(
        column.shown.head,
        [column.text(group) for group in groups],
        best=[row for row, group in enumerate(groups) if group in best],
    )


def page_table(found: NumericSweep) -> tuple[str, list[ScreenColumn], str]:
    """Return the title and columns of the rows that a page has, and where the others are.

    Rows are by value over one number, else the best combinations.
    """
    groups = _some_groups(found)
    keys = _keys(found, groups)
    columns = [_cells(column, groups) for column in found.columns[: MOST_PAGE_COLUMNS - len(keys)]]
    count, by_value = len(found.groups), found.is_line and not found.names
    title = f"All {count} {'values' if by_value else 'combinations'}"
    if len(groups) < count:
        title = f"{'' if by_value else 'The best '}{len(groups)} of {title.removeprefix('All ')}"
    less = len(groups) < count or len(columns) < len(found.columns)
    more = f"All combinations are below, and all points in {ROWS}." if less else ""
    return title, [*keys, *columns], more


def _matrix(found: NumericSweep) -> list[str]:
    """Show the first figure by two keys: a row a value of the longer axis."""
    column = found.first
    rows_of, *rest = found.wide
    up = rest[0] if rest else None
    heads = {
        group: found.labels[group] if up is None else number(values[up.key])
        for group, values in found.combinations.items()
    }
    order = [*dict.fromkeys(heads.values())] if up is None else [*map(number, up.values)]
    at = {(own[rows_of.key], heads[group]): group for group, own in found.combinations.items()}
    best = column.best()
    rows = some_of(rows_of.values, MOST_VALUES, found.along(rows_of, best[:1]))
    marked: set[str] = set()
    if column.has_best:  # each name has a best of its own
        parts = found.by_label.values() if up is None else [found.groups]
        marked = {group for own in parts for group in column.best(own)}
    for most in range(len(order), 0, -1):
        shown = some_of(order, most, [heads[group] for group in best[:1]])
        columns = [ScreenColumn(rows_of.head, [*map(number, rows)])]
        for head in shown:
            own = [at.get((value, head)) for value in rows]
            cells = ["" if group is None else column.text(group) for group in own]
            best_rows = [row for row, group in enumerate(own) if group in marked]
            columns.append(ScreenColumn(cut(head), cells, best=best_rows))
        lines, held = block(columns)
        if held == len(columns):
            break
    name = "" if up is None else f", by {up.head}"
    below = ["* best" if up is not None else "* best of each"] if marked else []
    left = len(found.groups) - len(rows) * len(shown)
    return _with([f"{column.shown.head}{name}", *lines], below, left, len(found.columns) - 1)


def _with(lines: list[str], below: Sequence[str], rows: int, figures: int) -> list[str]:
    """Return a table and the line below it, which says how many rows and figures are left out."""
    more = [f"{rows} more in {ROWS}"] if rows > 0 else []
    more += [f"{counted(figures, 'more figure')}: --all"] if figures else []
    said = "   ".join([*below, *more])
    return [*lines, "", said] if said else lines


def _keys(found: NumericSweep, groups: Sequence[str]) -> list[ScreenColumn]:
    """Return the columns of the keys at some combinations: names as words, then numbers."""
    most = LONGEST_HEAD // max(1, len(found.names))
    columns = [
        ScreenColumn(
            ending(key, found.names).replace("_", " "),
            [cut(as_yaml(found.combinations[group][key]), most) for group in groups],
            left=True,
        )
        for key in found.names
    ]
    return columns + [
        ScreenColumn(axis.head, [*map(number, found.along(axis, groups))]) for axis in found.axes
    ]
