"""The pictures of a sweep over numbers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sim.draw.names import name
from sim.page.sweep_pictures import curve, heat_map
from sim.sweep.axis import Course, OverNumbers

SMALL = 360
"""Width of pictures beside the first one in pixels."""
MOST_SMALL = 6
"""Pictures beside the first one, and maps of one figure."""
FIELD = 30
"""Height of a field of a map in pixels; of a small one two thirds."""


@dataclass(frozen=True)
class Drawing:
    """A picture of a sweep: what draws it, the name of its files, and what is seen in it."""

    name: str
    words: str
    draw: Callable[..., object]
    height: int
    small: bool = True


def drawings(found: OverNumbers) -> list[Drawing]:
    """Return the pictures of a sweep over numbers; the first one answers, others are small."""
    return list(_curves(found) if found.is_line else _maps(found))


def _curves(found: OverNumbers) -> Iterator[Drawing]:
    [axis] = found.axes
    for course in _drawn(found):
        small = course is not found.telling
        name = f"{course.column} over {axis.name}"
        words = f"{course.shown.head} over {axis.head}"
        draw = partial(curve, found=found, course=course)
        yield Drawing(name, words, draw, 190 if small else 340, small)


def _drawn(found: OverNumbers) -> list[Course]:
    """Return the figures that differ, what tells spots apart first."""
    rest = [one for one in found.courses if one is not found.telling and not one.flat]
    return [found.telling, *rest][: MOST_SMALL + 1]


def _maps(found: OverNumbers) -> Iterator[Drawing]:
    across, up = found.wide[:2]
    parts = _parts(found)
    for course in _drawn(found) if "" in parts else [found.telling]:
        for label, places in parts.items():
            small = course is not found.telling or bool(label)
            tall = max(len(up.values), 2) * (FIELD * 2 // 3 if small else FIELD + 6)
            title = f"{course.shown.head}, {label}" if label else ""
            name = f"{course.column} by {across.name} and {up.name} {label}"
            words = f"{title or course.shown.head} by {across.head} and {up.head}"
            draw = partial(_map, found=found, course=course, places=places, title=title)
            yield Drawing(name, words, draw, tall + 80, small)


def _map(axes: Any, found: OverNumbers, course: Course, places: Sequence[int], title: str) -> None:
    heat_map(found, course, places, axes)
    if title:
        axes.set_title(name(title, 50), loc="left", fontweight="bold")


def _parts(found: OverNumbers) -> dict[str, list[int]]:
    """Return the spots of each map, by what other keys are: of many, those with the best ones."""
    parts: dict[str, list[int]] = {}
    for place in found.ranked:
        values = found.spots[place].values
        numbers = [axis.text(values[axis.key]) for axis in found.wide[2:]]
        label = ", ".join(filter(None, [found.labels[place], *numbers]))
        parts.setdefault(label, []).append(place)
    return dict([*parts.items()][:MOST_SMALL])
