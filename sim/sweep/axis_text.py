"""What a sweep over numbers has found, as sentences and as a table of at most 79 columns."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np

from sim.files import from_here
from sim.formatting import as_yaml, counted, last_parts, listed
from sim.sweep.axis import Axis, Course, OverNumbers, number, ranges_of
from sim.sweep.folder import ROWS, Sweep

WIDTH = 79
"""Columns of a terminal that a screen fills at most."""
LONGEST = 90
"""Letters of a headline at most."""
MOST_ROWS = 12
"""Rows of a table on a screen; what is more is said, and stands behind ``--all``."""
MOST_BEST = 10
"""Combinations of more than two keys that a screen shows, the best ones."""
MOST_COLUMNS = 9
"""Columns of a table on a page."""
MOST_OTHERS = 2
"""Other figures of which a sentence says where they are best."""
MOST_SPANS = 2
"""Ranges of values that a sentence names."""
DOTS = 21
"""Places of the axis on which a table shows its first figure."""
LONGEST_NAME = 24
"""Letters of a name above a column, or of the names of a row together."""


# -- sentences


def headline(found: OverNumbers) -> str:
    """Return what was found in one sentence, without a full stop."""
    course = found.first
    name = course.measure.name
    if not course.known:
        return ""
    if course.flat:
        count = len(course.known)
        own = f"{_upper(name)}: {course.said(course.known[0])} at all {count}"
        if not found.is_line or found.names:
            return f"{own} combinations"
        ends = _values(found.axes[0], found, (course.known[0], course.known[-1]))
        return f"{own} values from {found.axes[0].text(*ends)}"
    best = f"{_upper(course.measure.figure.best)} {name}"
    if found.is_line and found.names:
        return _of_names(found, best)
    places = course.best()
    where = _at(found.axes[0], found, places) if found.is_line else _at_some(found, places)
    said = f"{best} {where}: {course.said(places[0])}"
    longer = f"{said}; {_rest(found)}"
    return longer if _rest(found) and len(longer) <= LONGEST else said


def _of_names(found: OverNumbers, best: str) -> str:
    """Say what each name has at its best value, the best name first; equal ones together."""
    course, [axis] = found.first, found.axes
    each = {label: course.best(places) for label, places in found.by_label.items()}
    reached = sorted(filter(each.get, each), key=lambda label: -course.merit(each[label][0]))
    alike: dict[str, list[str]] = {}
    for label in reached:
        own = f"{course.said(each[label][0])} {_at(axis, found, each[label])}"
        alike.setdefault(own, []).append(label)
    for label in (label for label in each if not each[label]):
        alike.setdefault(course.lacking[found.by_label[label][0]], []).append(label)
    parts = [f"{listed(labels)} {own}" for own, labels in alike.items()]
    said = f"{best}: {parts[0]}"
    for count, part in enumerate(parts[1:], start=1):
        others = f"; and {counted(len(parts) - count, 'other')}"
        room = LONGEST - (len(others) if count < len(parts) - 1 else 0)
        if len(f"{said}; {part}") > room:
            return f"{said}{others}"
        said = f"{said}; {part}"
    return said


def _rest(found: OverNumbers) -> str:
    """Say what the last have, if it can be as a share of the best: "1,200 km has 12 % less"."""
    course = found.first
    last, best = course.last(), course.best()
    if found.is_line:
        which, several = _spans(ranges_of(last), found.axes[0], found), len(ranges_of(last)) > 1
    elif len(last) == 1:
        which, several = found.where(last[0]), False
    else:
        which, several = f"{len(last)} others", True
    low, high = course.means[last[0]] or 0.0, course.means[best[0]] or 0.0
    text = course.said(last[0])
    if not math.isfinite(course.measure.figure.most) and text.rpartition(" ")[0] and high > 0 < low:
        share = low / high - 1.0
        if abs(share) < 0.005:
            return ""
        text = (
            f"{1.0 + share:.1f} times as much"
            if share >= 1.0
            else f"{abs(100 * share):.0f} % {'less' if share < 0 else 'more'}"
        )
    return f"{which} {'have' if several else 'has'} {text}"


def _spans(ranges: Sequence[tuple[int, int]], axis: Axis, found: OverNumbers) -> str:
    """Name ranges of the one number: the first few, or the longest and how many other values."""
    shown = ranges
    if len(ranges) > MOST_SPANS:
        shown = [max(ranges, key=lambda ends: ends[1] - ends[0])]
    own = [_values(axis, found, ends) for ends in shown]
    names = [axis.text(*ends) for ends in own]
    if axis.named:  # which the first one says for all
        names[1:] = [name.removeprefix(f"{axis.name} ") for name in names[1:]]
    others = sum(high - low + 1 for low, high in ranges if (low, high) not in shown)
    return " and ".join([*names, *([counted(others, "other value")] if others else [])])


def _values(axis: Axis, found: OverNumbers, ends: tuple[int, int]) -> tuple[float, float]:
    low, high = (found.spots[place].values[axis.key] for place in ends)
    return low, high


def _at(axis: Axis, found: OverNumbers, places: Sequence[int]) -> str:
    """Say where along the one number: "from 750 to 900 km and at 1,150 km"."""
    ranges = ranges_of(places)
    if len(ranges) > MOST_SPANS or axis.named:
        where = _spans(ranges, axis, found)
        return f"{'at' if axis.named or ' to ' not in where else 'from'} {where}"
    parts = []
    for ends in ranges:
        text = axis.text(*_values(axis, found, ends))
        parts.append(f"{'from' if ends[0] != ends[1] else 'at'} {text}")
    return " and ".join(parts)


def _at_some(found: OverNumbers, places: Sequence[int]) -> str:
    """Say at which combinations: the one, or how many and the first of them."""
    if len(places) == 1:
        return f"at {found.where(places[0])}"
    which = f"{len(places)} of {len(found.spots)} combinations"
    return f"at {which}, such as {found.where(places[0])}"


def notes(found: OverNumbers) -> Iterator[str]:
    """Yield what would change the answer, a sentence each; the most important first."""
    if found.first.has_best:
        if found.is_line and not found.names:
            yield from _how_flat(found)
        if found.is_map:
            yield from _deciding(found)
        yield from _of_seeds(found)
    yield from _other_bests(found)
    lacking = found.first.lacking
    for why in dict.fromkeys(filter(None, lacking)):
        which = _which(found, [place for place, own in enumerate(lacking) if own == why])
        yield f"{_upper(why)}: {which}."


def _which(found: OverNumbers, places: Sequence[int]) -> str:
    """Name some spots, or the first of them."""
    if found.is_line and not found.names:
        return _spans(ranges_of(places), found.axes[0], found)
    others = f"; and {counted(len(places) - 1, 'other')}" if places[1:] else ""
    return f"{found.where(places[0])}{others}"


def _how_flat(found: OverNumbers) -> Iterator[str]:
    course, [axis] = found.first, found.axes
    best, near = course.best(), course.near()
    if len(near) == len(found.spots):
        yield "All values are within 2 % of it."
    elif len(near) > len(best):
        yield f"{_upper(_spans(ranges_of(near), axis, found))} are within 2 % of it."
    end = {0: "least", len(found.spots) - 1: "greatest"}.get(best[0])
    if end and len(best) == 1:
        value = axis.text(found.spots[best[0]].values[axis.key])
        yield f"{_upper(value)} is the {end} value that was tried: a better one may lie beyond it."


def _of_seeds(found: OverNumbers) -> Iterator[str]:
    """Say of which spots the seeds are as good as the best one's, where there are several."""
    seeds = len(found.first.each[found.first.best()[0]])
    if seeds < 2:
        return
    if alike := found.first.overlapping():
        yield f"{seeds} seeds each: those of {_which(found, alike)} overlap with the best."
    else:
        yield f"{seeds} seeds each: those of no other value reach the best."


def _other_bests(found: OverNumbers) -> Iterator[str]:
    """Say where other figures are best, if that is elsewhere: the first of them."""
    best = {*found.first.best()} if found.first.has_best else set()
    others = [] if found.names else [one for one in found.courses[1:] if one.has_best]
    for other in [one for one in others if best.isdisjoint(one.best())][:MOST_OTHERS]:
        its = other.best()
        where = _at(found.axes[0], found, its) if found.is_line else _at_some(found, its)
        called = other.measure.figure.best
        yield f"{_upper(other.measure.name)}: {called} {where}, {other.said(its[0])}."


def _deciding(found: OverNumbers) -> Iterator[str]:
    """Say of each of two numbers where it is best whatever the other one is."""
    for axis in found.axes:
        [other] = [one for one in found.axes if one is not axis]
        rows: dict[float, list[int]] = {}
        for place, spot in enumerate(found.spots):
            rows.setdefault(spot.values[other.key], []).append(place)
        sets = [
            {found.spots[place].values[axis.key] for place in found.first.best(places)}
            for places in rows.values()
        ]
        sets = [own for own in sets if own]
        common = set.intersection(*sets)
        every = set.union(*sets)
        if len(common) == len(axis.values):
            yield f"{_upper(axis.name)} changes nothing."
        elif common:
            yield f"{axis.text(min(common), None)} is best at every {other.name}."
        elif max(every) < axis.values[-1] or min(every) > axis.values[0]:
            ends = axis.text(min(every), max(every))
            yield f"The best {axis.name} is {ends.removeprefix(f'{axis.name} ')}."


def _upper(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


# -- a screen


@dataclass(frozen=True)
class Marks:
    """What a table draws with: a seed or value, between seeds, an empty place."""

    dot: str = "●"
    between: str = "─"
    empty: str = "·"


PLAIN = Marks("o", "-", ".")


def marks() -> Marks:
    """Return what the terminal can write."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        "●─·".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return PLAIN
    return Marks()


@dataclass(frozen=True)
class Column:
    """A column of text: its head, and its cells; words and pictures stand to the left of it."""

    head: str
    cells: Sequence[str]
    left: bool = False

    @property
    def heads(self) -> tuple[str, str]:
        """The head in two lines, as narrow as it can be."""
        if "\n" in self.head:
            first, second = self.head.split("\n")
            return first, second
        for width in range(max(map(len, self.cells), default=1), len(self.head) + 1):
            lines = wrap(self.head, max(width, 1), break_long_words=False)
            if len(lines) <= 2 and max(map(len, lines)) <= max(width, 1):
                return ("", *lines)[-2], lines[-1]
        return "", self.head

    @property
    def width(self) -> int:
        """Letters of its longest line."""
        return max(map(len, [*self.heads, *self.cells]))

    def lines(self) -> list[str]:
        """Its lines, all as wide."""
        aligned = str.ljust if self.left else str.rjust
        return [aligned(text, self.width) for text in (*self.heads, *self.cells)]


def block(columns: Sequence[Column], fixed: int = 1) -> tuple[list[str], int]:
    """Return as many columns side by side as a screen holds, and how many that are.

    The first ``fixed`` ones stand there in any case.
    """
    room = WIDTH + 2
    held = 0
    for column in columns:
        room -= column.width + 2
        if room < 0 and held >= fixed:
            break
        held += 1
    lines = [
        "  ".join(parts).rstrip()
        for parts in zip(*(c.lines() for c in columns[:held]), strict=True)
    ]
    return (lines if lines[0] else lines[1:]), held


def screen(found: OverNumbers, *, in_full: bool = False) -> list[str]:
    """Return the table, and lines below it: what its marks are, and where the rest is.

    ``in_full`` has a row for each combination, and all figures.
    """
    if in_full:
        return _combinations(found, range(len(found.spots)), in_full=True)
    if found.is_line and not found.names:
        return _line(found)
    if found.is_line or found.is_map:
        return _matrix(found)
    return _combinations(found, found.ranked[:MOST_BEST])


def _line(found: OverNumbers) -> list[str]:
    [axis] = found.axes
    groups = _grouped(found)
    first, *others = found.courses
    columns = [Column(axis.head, _values_of(found, groups)), _figure(first, groups)]
    if not first.flat:
        columns.append(_dots(first, groups))
    columns += [_figure(course, groups) for course in others]
    lines, held = block(columns, fixed=2)
    shown = sum(map(len, groups))
    below = ["* best"] if any(course.has_best for course in found.courses) else []
    if not first.flat and max(map(len, first.each)) > 1:
        below.append(f"{marks().dot} a seed")
    if len(groups) < len(found.spots) == shown:
        below.append(f"{len(found.spots)} values; neighbours that are equal share a row")
    elif shown < len(found.spots):
        below.append(f"{len(found.spots) - shown} more values in {ROWS}")
    left = len(columns) - held
    below += [f"{counted(left, 'more figure')}: --all"] if left else []
    return _with(lines, below)


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
    count = len(found.spots)
    if found.is_line and not found.names:
        groups = _grouped(found)
        keys = [Column(found.axes[0].head, _values_of(found, groups))]
        shown, kind = sum(map(len, groups)), f"{found.axes[0].name}s"
        title = f"{shown} of {count} {kind}" if shown < count else f"All {count} {kind}"
        if len(groups) < count == shown:
            title = f"{title}; neighbours that are equal share a row"
    else:
        places = found.ranked[:MOST_BEST]
        groups = [[place] for place in places]
        keys = _keys(found, places)
        shown = len(places)
        title = f"The best {shown} of {count} combinations" if shown < count else "All combinations"
    columns = [[Cell(text, word=column.left) for text in column.cells] for column in keys]
    courses = found.courses[: MOST_COLUMNS - len(keys)]
    columns += [_figure_cells(course, groups) for course in courses]
    rows = [list(row) for row in zip(*columns, strict=True)]
    firsts = _figure_cells(found.first, groups)
    for row, first in zip(rows, firsts, strict=True):
        row[0] = row[0]._replace(best=first.best)
    heads = [*(column.head for column in keys), *(course.shown.head for course in courses)]
    less = shown < count or len(courses) < len(found.courses)
    more = f"All rows and figures are below, and in {ROWS}." if less else ""
    return Shown(title, heads, rows, more)


def _dots(course: Course, groups: Sequence[Sequence[int]]) -> Column:
    """Draw each row's values on an axis: a dot a seed, and a line from least to greatest."""
    unit = course.shown.unit
    own = [[v / unit for place in group for v in course.each[place]] for group in groups]
    values = [value for row in own for value in row]
    low, high, digits = _round_ends(min(values), max(values))
    draw = marks()
    cells = []
    for row in own:
        places = sorted(round((value - low) / (high - low) * (DOTS - 1)) for value in row)
        cells.append(
            "".join(
                draw.dot
                if n in places
                else draw.between
                if places and places[0] < n < places[-1]
                else draw.empty
                for n in range(DOTS)
            )
        )
    ends = f"{low:,.{digits}f}", f"{high:,.{digits}f}"
    gap = DOTS - len(ends[0]) - len(ends[1])
    return Column(f"{ends[0]}{' ' * gap}{ends[1]}\n|{' ' * (DOTS - 2)}|", cells, left=True)


def _round_ends(low: float, high: float) -> tuple[float, float, int]:
    """Return round numbers about two values, and their digits behind the point."""
    raw = (high - low or abs(high) or 1.0) / 4
    if float(low).is_integer() and float(high).is_integer():  # of counts
        raw = max(raw, 1.0)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= raw * 0.999)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return first * step, max(last, first + 1) * step, digits


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
            columns.append(Column(_cut(head), cells))
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


def _cut(name: str, most: int = LONGEST_NAME) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _combinations(found: OverNumbers, places: Sequence[int], *, in_full: bool = False) -> list[str]:
    """Show some combinations, a row each; ``in_full``, figures stand below each other too."""
    keys = _keys(found, places)
    left = [_figure(course, [[place] for place in places]) for course in found.courses]
    lines: list[str] = []
    while left and (in_full or not lines):
        part, held = block([*keys, *left], fixed=len(keys) + 1)
        lines += [*([""] if lines else []), *part]
        left = left[held - len(keys) :]
    more = len(found.spots) - len(places)
    below = ["* best"] if any(course.has_best for course in found.courses) else []
    below += [f"{more} more combinations in {ROWS}"] if more else []
    below += [f"{counted(len(left), 'more figure')}: --all"] if left else []
    return _with(lines, below)


def _with(lines: list[str], below: Sequence[str]) -> list[str]:
    """Return a table and the line below it."""
    return [*lines, "", "   ".join(below)] if below else lines


def _keys(found: OverNumbers, places: Sequence[int]) -> list[Column]:
    """Return the columns of the keys at some spots: names as words, then numbers."""
    most = LONGEST_NAME // max(1, len(found.names))
    columns = [
        Column(
            head.replace("_", " "),
            [_cut(as_yaml(found.spots[place].values[key]), most) for place in places],
            left=True,
        )
        for key, head in zip(found.names, last_parts(found.names), strict=True)
    ]
    return columns + [
        Column(axis.head, [number(found.spots[place].values[axis.key]) for place in places])
        for axis in found.axes
    ]


def next_steps(sweep: Sweep, found: OverNumbers, *, in_full: bool = False) -> list[str]:
    """Return commands that go on from here, with what each gives."""
    place = shlex.quote(str(from_here(sweep.folder)))
    steps = [(f"leomix report {place}", "the pictures of all figures")]
    if finer := _finer(sweep.about, found):
        steps.append((finer, "finer there"))
    if not in_full:
        steps.append((f"leomix compare {place} --all", "every row and figure"))
    held = [len(command) for command, said in steps if len(command) + len(said) + 4 <= WIDTH]
    wide = max(held, default=0)
    lines = []
    for command, said in steps:
        if len(command) + len(said) + 4 > WIDTH:
            lines += [f"  {command}", f"      {said}"]
        elif wide + len(said) + 4 <= WIDTH:
            lines.append(f"  {command:<{wide}}  {said}")
        else:
            lines.append(f"  {command}  {said}")
    return lines


def _finer(about: Mapping[str, Any], found: OverNumbers) -> str:
    """Return the sweep of values about the only best one; nothing where it is long to write."""
    course = found.first
    best = course.best()
    if not found.is_line or found.names or not course.has_best or len(best) > 1:
        return ""
    [axis] = found.axes
    place = best[0]
    if not 0 < place < len(axis.values) - 1:
        return ""
    low, middle, high = axis.values[place - 1 : place + 2]
    if axis.is_logarithmic:
        spec = f"{math.sqrt(low * middle):.1g},{math.sqrt(middle * high):.1g}"
    else:
        spec = f"{low:g}:{high:g}:{float(f'{(high - low) / 8:.1g}'):g}"
    fixed = [f"{key}={as_yaml(value)}" for key, value in (about.get("set") or {}).items()]
    line = ["leomix sweep", shlex.quote(str(about["scenario"])), f"-p {axis.key}={spec}"]
    line += [f"--set {shlex.quote(one)}" for one in fixed]
    if about.get("replications", 1) > 1:
        line.append(f"--replications {about['replications']}")
    text = " ".join(line)
    return text if len(text) + 2 <= WIDTH else ""


def wrapped(sentences: Iterable[str]) -> list[str]:
    """Return sentences as lines of a screen."""
    return wrap(" ".join(sentences), WIDTH, break_long_words=False, break_on_hyphens=False)
