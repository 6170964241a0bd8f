"""What a sweep over numbers has found, as a table of at most 79 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from sim.analysis.screen import LONGEST_NAME, Column, block, cut, dots, marks
from sim.formatting import as_yaml, counted, last_parts
from sim.sweep.axis import Course, OverNumbers, number
from sim.sweep.folder import ROWS

MOST_ROWS = 12
"""Rows of a table on a screen; what is more is said, and stands behind ``--all``."""
MOST_BEST = 10
"""Combinations of more than two keys that a screen shows, the best ones."""
MOST_COLUMNS = 9
"""Columns of a table on a page."""


def screen(found: OverNumbers, *, in_full: bool = False) -> list[str]:
    """Return the table, and lines below it: what its marks are, and where the rest is.

    ``in_full`` has a row for each combination, and all figures, below each other too.
    """
    if not in_full and (found.is_map or (found.is_line and found.names)):
        return _matrix(found)
    keys, groups = _rows(found, in_full=in_full)
    first, *others = found.courses
    columns = [_figure(first, groups)]
    has_dots = found.is_line and not in_full and not first.flat
    if has_dots:
        unit = first.shown.unit
        each = [[v / unit for place in own for v in first.each[place]] for own in groups]
        columns.append(dots(each))
    columns += [_figure(course, groups) for course in others]
    lines: list[str] = []
    while columns and (in_full or not lines):
        part, held = block([*keys, *columns], fixed=len(keys) + 1)
        lines += [*([""] if lines else []), *part]
        columns = columns[held - len(keys) :]
    below = ["* best"] if any(course.has_best for course in found.courses) else []
    if has_dots and max(map(len, first.each)) > 1:
        below.append(f"{marks()[0]} a seed")
    count, shown = len(found.spots), sum(map(len, groups))
    if shown < count:
        below.append(f"{count - shown} more {_kind(found)} in {ROWS}")
    elif len(groups) < count:
        below.append(f"{count} values; neighbours that are equal share a row")
    below += [f"{counted(len(columns), 'more figure')}: --all"] if columns else []
    return _with(lines, below)


def _kind(found: OverNumbers) -> str:
    return "values" if found.is_line and not found.names else "combinations"


def _rows(found: OverNumbers, *, in_full: bool = False) -> tuple[list[Column], list[list[int]]]:
    """Return the columns of the keys, and the spots of each row: by value, or the best first."""
    if found.is_line and not found.names and not in_full:
        groups = _grouped(found)
        return [Column(found.axes[0].head, _values_of(found, groups))], groups
    places = range(len(found.spots)) if in_full else found.ranked[:MOST_BEST]
    return _keys(found, places), [[place] for place in places]


def _values_of(found: OverNumbers, groups: Sequence[Sequence[int]]) -> list[str]:
    """Return the values of the one number in each row."""
    key = found.axes[0].key
    return [_ends(number(found.spots[place].values[key]) for place in own) for own in groups]


def _ends(texts: Iterable[str]) -> str:
    """Join the texts of neighbours: the one that all have, or both ends."""
    every = list(texts)
    return every[0] if len({*every}) == 1 else f"{every[0]} to {every[-1]}"


def _grouped(found: OverNumbers) -> list[list[int]]:
    """Return the spots of each row: one each, neighbours that are equal, or some of many."""
    every = range(len(found.spots))
    if len(every) <= MOST_ROWS:
        return [[place] for place in every]
    runs: list[list[int]] = []
    for place in every:
        if runs and found.first.text(runs[-1][-1]) == found.first.text(place):
            runs[-1].append(place)
        else:
            runs.append([place])
    if len(runs) <= MOST_ROWS:
        return runs
    best = found.first.best()[:1] if found.first.known else []
    return [[place] for place in some_of(len(every), MOST_ROWS, best)]


def some_of(count: int, most: int, kept: Sequence[int]) -> list[int]:
    """Return at most so many of some places in order, even, with both ends and those kept."""
    if count <= most:
        return list(range(count))
    ends = np.linspace(0, count - 1, max(2, most)).round().astype(int).tolist()
    if not {*kept} <= {*ends}:
        fewer = max(2, most - len(kept))
        ends = [*np.linspace(0, count - 1, fewer).round().astype(int).tolist(), *kept]
    return sorted({*ends})


class Cell(NamedTuple):
    """What stands in a table, whether it is the best of its column, and whether it is a word."""

    text: str
    best: bool = False
    word: bool = False


def _figure_cells(course: Course, groups: Sequence[Sequence[int]]) -> list[Cell]:
    best = {*course.best()} if course.has_best else set()
    cells = []
    for group in groups:
        known = [place for place in group if course.means[place] is not None]
        in_order = sorted(known, key=lambda place: course.means[place] or 0.0)
        text = _ends(course.text(place) for place in in_order or group)
        cells.append(Cell(text, not best.isdisjoint(group)))
    return cells


def _figure(course: Course, groups: Sequence[Sequence[int]]) -> Column:
    cells = _figure_cells(course, groups)
    other = " " if any(cell.best for cell in cells) else ""
    return Column(course.shown.head, [cell.text + ("*" if cell.best else other) for cell in cells])


class Shown(NamedTuple):
    """Rows of a page: title, heads, cells, and where the others are."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    more: str


def rows_shown(found: OverNumbers) -> Shown:
    """Return the rows that a page has: by value over one number, else the best combinations."""
    keys, groups = _rows(found)
    count, shown, kind = len(found.spots), sum(map(len, groups)), _kind(found)
    title = f"All {count} {kind}"
    if shown < count:
        title = f"{'' if kind == 'values' else 'The best '}{shown} of {count} {kind}"
    elif len(groups) < count:
        title = f"{title}; neighbours that are equal share a row"
    columns = [[Cell(text, word=column.left) for text in column.cells] for column in keys]
    courses = found.courses[: MOST_COLUMNS - len(keys)]
    columns += [_figure_cells(course, groups) for course in courses]
    rows = [list(row) for row in zip(*columns, strict=True)]
    firsts = _figure_cells(found.first, groups)
    for row, first in zip(rows, firsts, strict=True):
        row[0] = row[0]._replace(best=first.best)
    heads = [*(column.head for column in keys), *(course.shown.head for course in courses)]
    less = shown < count or len(courses) < len(found.courses)
    more = f"All combinations are below, and all points in {ROWS}." if less else ""
    return Shown(title, heads, rows, more)


def _matrix(found: OverNumbers) -> list[str]:
    """Show the first figure by two keys: a row a value of the longer axis."""
    course, places = found.first, range(len(found.spots))
    rows_of, *rest = found.wide
    up = rest[0] if rest else None
    heads = [
        found.labels[place] if up is None else number(found.spots[place].values[up.key])
        for place in places
    ]
    order = list(dict.fromkeys(heads)) if up is None else list(map(number, up.values))
    at = {(found.spots[p].values[rows_of.key], heads[p]): p for p in places}
    best = course.best()
    mine = {heads[place] for place in best}
    kept_rows = [rows_of.values.index(found.spots[best[0]].values[rows_of.key])] if best else []
    rows = [rows_of.values[n] for n in some_of(len(rows_of.values), MOST_ROWS, kept_rows)]
    if up is None:  # each name has a best of its own
        marked = {place for own in found.by_label.values() for place in course.best(own)}
    else:
        marked = {*best}
    marked = marked if course.has_best else set()
    kept = [n for n, head in enumerate(order) if head in mine][:1]
    for most in range(len(order), 0, -1):
        shown = [order[n] for n in some_of(len(order), most, kept)]
        columns = [Column(rows_of.head, [number(value) for value in rows])]
        for head in shown:
            own = [at.get((value, head)) for value in rows]
            other = " " if marked else ""
            cells = [
                "" if p is None else course.text(p) + ("*" if p in marked else other) for p in own
            ]
            columns.append(Column(cut(head), cells))
        lines, held = block(columns)
        if held == len(columns):
            break
    name = "" if up is None else f", by {up.head}"
    below = ["* best" if up is not None else "* best of each"] if marked else []
    left = len(found.spots) - len(rows) * len(shown)
    below += [f"{left} more in {ROWS}"] if left > 0 else []
    others = len(found.courses) - 1
    below += [f"{counted(others, 'more figure')}: --all"] if others else []
    return _with([f"{course.shown.head}{name}", *lines], below)


def _with(lines: list[str], below: Sequence[str]) -> list[str]:
    """Return a table and the line below it."""
    return [*lines, "", "   ".join(below)] if below else lines


def _keys(found: OverNumbers, places: Sequence[int]) -> list[Column]:
    """Return the columns of the keys at some spots: names as words, then numbers."""
    most = LONGEST_NAME // max(1, len(found.names))
    columns = [
        Column(
            head.replace("_", " "),
            [cut(as_yaml(found.spots[place].values[key]), most) for place in places],
            left=True,
        )
        for key, head in zip(found.names, last_parts(found.names), strict=True)
    ]
    return columns + [
        Column(axis.head, [number(found.spots[place].values[axis.key]) for place in places])
        for axis in found.axes
    ]
