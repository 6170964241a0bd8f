"""What a sweep over numbers has found, as sentences, and as a table of at most 79 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from sim.analysis.comparison import fitted
from sim.analysis.labels import ending
from sim.analysis.screen import LONGEST_NAME, Column, block, cut, dots, marks
from sim.formatting import as_yaml, capital, counted, listed, some
from sim.sweep.axis import Course, OverNumbers, number, ranges_of
from sim.sweep.folder import ROWS


def headline(found: OverNumbers) -> str:
    """Return what was found in one sentence, without a full stop."""
    course = found.first
    if not course.known:
        return ""
    name = course.figure.name
    if course.flat:
        many = course.known[1:]
        where = (
            f"all {counted(len(course.known), 'value')}" if many else found.where(course.known[0])
        )
        return f"{capital(name)}: {course.said(course.known[0])} at {where}"
    what = capital(f"{course.figure.best} {name}".strip())
    if found.is_line and found.names:
        return fitted(f"{what}: ", _of_names(found))
    best, last = course.best(), course.last()
    ends = [f"{course.said(own[0])} at {_places(found, own)}" for own in (best, last)]
    return f"{what}: {'; '.join(dict.fromkeys(ends))}"


def _of_names(found: OverNumbers) -> dict[str, int]:
    """Say what each name has at its best value, the best name first; equal ones together."""
    course = found.first
    each = {label: course.best(places) for label, places in found.by_label.items()}
    reached = sorted(filter(each.get, each), key=lambda label: -course.merit(each[label][0]))
    alike: dict[str, list[str]] = {}
    for label in reached:
        where = _on_axis(found, each[label])
        alike.setdefault(f"{course.said(each[label][0])} at {where}", []).append(label)
    for label in (label for label in each if not each[label]):
        alike.setdefault(course.said(found.by_label[label][0]), []).append(label)
    return {f"{own} with {listed(labels)}": len(labels) for own, labels in alike.items()}


def _on_axis(found: OverNumbers, places: Sequence[int]) -> str:
    """Name values along the one number: "750 to 900 km and 1,150 km"."""
    [axis] = found.axes
    ends = ([found.spots[place].values[axis.key] for place in own] for own in ranges_of(places))
    return listed([axis.text(*own) for own in ends])


def _places(found: OverNumbers, places: Sequence[int]) -> str:
    """Name some spots, or the first of them."""
    if found.is_line and not found.names:
        return _on_axis(found, places)
    return some([found.where(place) for place in places], 1, "; ")


def notes(found: OverNumbers) -> Iterator[str]:
    """Yield what would change the answer, a sentence each; the most important first."""
    first = found.first
    if first.has_best:
        best = first.best()
        for axis in () if found.names else found.axes:
            values = {found.spots[place].values[axis.key] for place in best}
            ends = {axis.values[0]: "least", axis.values[-1]: "greatest"}
            if len(values) == 1 and (end := ends.get(*values)):
                text = capital(axis.text(*values))
                yield f"{text} is the {end} value that was tried: a better one may lie beyond it."
        seeds = len(first.each[best[0]])
        level = [place for place in first.level if place not in best]
        if seeds > 1 and level:
            yield f"No difference found from {_places(found, level)} ({seeds} seeds)."
    for why in dict.fromkeys(filter(None, first.lacking)):
        which = _places(found, [place for place, own in enumerate(first.lacking) if own == why])
        yield f"{capital(why)}: {which}."


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
    places = range(len(found.spots)) if in_full else _some_places(found)
    keys = _keys(found, places)
    first, *others = found.courses
    columns = [_figure(first, places)]
    has_dots = found.is_line and not in_full and not first.flat
    if has_dots:
        unit = first.shown.unit
        columns.append(dots([[value / unit for value in first.each[place]] for place in places]))
    columns += [_figure(course, places) for course in others]
    lines: list[str] = []
    while columns and (in_full or not lines):
        part, held = block([*keys, *columns], fixed=len(keys) + 1)
        lines += [*([""] if lines else []), *part]
        columns = columns[held - len(keys) :]
    below = ["* best"] if any(course.has_best for course in found.courses) else []
    if has_dots and max(map(len, first.each)) > 1:
        below.append(f"{marks()[0]} a seed")
    return _with(lines, below, len(found.spots) - len(places), len(columns))


def _some_places(found: OverNumbers) -> list[int]:
    """Return the spots of a short table: by value, or the best first."""
    if found.is_line and not found.names:
        return some_of(len(found.spots), MOST_ROWS, found.first.best()[:1])
    return found.ranked[:MOST_BEST]


def some_of(count: int, most: int, kept: Sequence[int]) -> list[int]:
    """Return at most so many of some places in order, even, with both ends and those kept."""
    if count <= most:
        return list(range(count))
    ends = np.linspace(0, count - 1, max(2, most)).round().astype(int).tolist()
    if not {*kept} <= {*ends}:
        fewer = max(2, most - len(kept))
        ends = [*np.linspace(0, count - 1, fewer).round().astype(int).tolist(), *kept]
    return sorted({*ends})


def _figure(course: Course, places: Sequence[int]) -> Column:
    best = course.best() if course.has_best else []
    return Column(
        course.shown.head,
        [course.text(place) for place in places],
        best=[row for row, place in enumerate(places) if place in best],
    )


class Shown(NamedTuple):
    """A table of a page: its title, its columns, and where the others are."""

    title: str
    columns: Sequence[Column]
    more: str


def rows_shown(found: OverNumbers) -> Shown:
    """Return the rows that a page has: by value over one number, else the best combinations."""
    places = _some_places(found)
    keys = _keys(found, places)
    columns = [_figure(course, places) for course in found.courses[: MOST_COLUMNS - len(keys)]]
    count, by_value = len(found.spots), found.is_line and not found.names
    title = f"All {count} {'values' if by_value else 'combinations'}"
    if len(places) < count:
        title = f"{'' if by_value else 'The best '}{len(places)} of {title.removeprefix('All ')}"
    less = len(places) < count or len(columns) < len(found.courses)
    more = f"All combinations are below, and all points in {ROWS}." if less else ""
    return Shown(title, [*keys, *columns], more)


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
    kept_rows = [rows_of.values.index(found.spots[best[0]].values[rows_of.key])] if best else []
    rows = [rows_of.values[n] for n in some_of(len(rows_of.values), MOST_ROWS, kept_rows)]
    marked: set[int] = set()
    if course.has_best:  # each name has a best of its own
        parts = found.by_label.values() if up is None else [places]
        marked = {place for own in parts for place in course.best(own)}
    kept = [order.index(heads[place]) for place in best[:1]]
    for most in range(len(order), 0, -1):
        shown = [order[n] for n in some_of(len(order), most, kept)]
        columns = [Column(rows_of.head, [number(value) for value in rows])]
        for head in shown:
            own = [at.get((value, head)) for value in rows]
            cells = ["" if place is None else course.text(place) for place in own]
            best_rows = [row for row, place in enumerate(own) if place in marked]
            columns.append(Column(cut(head), cells, best=best_rows))
        lines, held = block(columns)
        if held == len(columns):
            break
    name = "" if up is None else f", by {up.head}"
    below = ["* best" if up is not None else "* best of each"] if marked else []
    left = len(found.spots) - len(rows) * len(shown)
    return _with([f"{course.shown.head}{name}", *lines], below, left, len(found.courses) - 1)


def _with(lines: list[str], below: Sequence[str], spots: int, figures: int) -> list[str]:
    """Return a table and the line below it, which says how many spots and figures are left out."""
    more = [f"{spots} more in {ROWS}"] if spots > 0 else []
    more += [f"{counted(figures, 'more figure')}: --all"] if figures else []
    said = "   ".join([*below, *more])
    return [*lines, "", said] if said else lines


def _keys(found: OverNumbers, places: Sequence[int]) -> list[Column]:
    """Return the columns of the keys at some spots: names as words, then numbers."""
    most = LONGEST_NAME // max(1, len(found.names))
    columns = [
        Column(
            ending(key, found.names).replace("_", " "),
            [cut(as_yaml(found.spots[place].values[key]), most) for place in places],
            left=True,
        )
        for key in found.names
    ]
    return columns + [
        Column(axis.head, [number(found.spots[place].values[axis.key]) for place in places])
        for axis in found.axes
    ]
