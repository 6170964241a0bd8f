"""What a sweep over numbers has found, as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sim.analysis.comparison import fitted
from sim.formatting import capital, counted, listed, some
from sim.sweep.axis import OverNumbers, ranges_of


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
    return f"{what}: {'; '.join(ends)}"


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
        alike.setdefault(course.lacking[found.by_label[label][0]], []).append(label)
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
