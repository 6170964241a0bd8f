"""What a sweep over numbers has found, as sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from sim.formatting import capital, counted, listed
from sim.sweep.axis import Axis, OverNumbers, ranges_of

LONGEST = 90
"""Letters of a headline at most."""
MOST_OTHERS = 2
"""Other figures of which a sentence says where they are best."""
MOST_SPANS = 2
"""Ranges of values that a sentence names."""


def headline(found: OverNumbers) -> str:
    """Return what was found in one sentence, without a full stop."""
    course = found.first
    name = course.figure.name
    if not course.known:
        return ""
    if course.flat:
        count = len(course.known)
        if count == 1:
            return (
                f"{capital(name)}: {course.said(course.known[0])} {_at_some(found, course.known)}"
            )
        own = f"{capital(name)}: {course.said(course.known[0])} at all {count}"
        if not found.is_line or found.names:
            return f"{own} combinations"
        ends = _values(found.axes[0], found, (course.known[0], course.known[-1]))
        return f"{own} values from {found.axes[0].text(*ends)}"
    best = f"{capital(course.figure.best)} {name}"
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
    if not math.isfinite(course.figure.most) and text.rpartition(" ")[0] and high > 0 < low:
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
        elif not found.names:
            yield from _at_ends(found)
        yield from _of_seeds(found)
    yield from _other_bests(found)
    lacking = found.first.lacking
    for why in dict.fromkeys(filter(None, lacking)):
        which = _which(found, [place for place, own in enumerate(lacking) if own == why])
        yield f"{capital(why)}: {which}."


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
        yield f"{capital(_spans(ranges_of(near), axis, found))} are within 2 % of it."


def _at_ends(found: OverNumbers) -> Iterator[str]:
    """Say of which numbers the best value is the least or the greatest that was tried."""
    for axis in found.axes:
        values = {found.spots[place].values[axis.key] for place in found.first.best()}
        if len(values) == 1 and (end := _end_of(axis, *values)):
            text = capital(axis.text(*values))
            yield f"{text} is the {end} value that was tried: a better one may lie beyond it."


def _end_of(axis: Axis, value: float) -> str:
    """Return whether a value is the least or the greatest that was tried; empty for others."""
    return {axis.values[0]: "least", axis.values[-1]: "greatest"}.get(value, "")


def _of_seeds(found: OverNumbers) -> Iterator[str]:
    """Say which spots no test tells from the best one."""
    first = found.first
    seeds = len(first.each[first.best()[0]])
    level = [place for place in first.level if place not in first.best()]
    if seeds > 1 and level:
        yield f"No difference found from {_which(found, level)} ({seeds} seeds)."


def _other_bests(found: OverNumbers) -> Iterator[str]:
    """Say where other figures are best, if that is elsewhere: the first of them."""
    best = {*found.first.best()} if found.first.has_best else set()
    others = [] if found.names else [one for one in found.courses[1:] if one.has_best]
    for other in [one for one in others if best.isdisjoint(one.best())][:MOST_OTHERS]:
        its = other.best()
        where = _at(found.axes[0], found, its) if found.is_line else _at_some(found, its)
        called = other.figure.best
        yield f"{capital(other.figure.name)}: {called} {where}, {other.said(its[0])}."


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
            yield f"{capital(axis.name)} changes nothing."
        elif common:
            end = _end_of(axis, min(common))
            tried = f", the {end} tried," if end else ""
            yield f"{axis.text(min(common))}{tried} is best at every {other.name}."
        elif max(every) < axis.values[-1] or min(every) > axis.values[0]:
            ends = axis.text(min(every), max(every))
            tried = " or beyond" if any(_end_of(axis, value) for value in every) else ""
            yield f"The best {axis.name} is {ends.removeprefix(f'{axis.name} ')}{tried}."
