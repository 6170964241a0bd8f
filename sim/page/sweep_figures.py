"""The pictures of a sweep, and of groups beside each other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sim.analysis.comparison import Comparison
from sim.analysis.comparison_text import shown_figures
from sim.draw.names import name
from sim.page.chart import MOST_GROUPS
from sim.page.figures import sentence
from sim.page.sweep_pictures import curve, dots, heat_map
from sim.sweep.axis import Course, OverNumbers

SMALL = 360
"""Width of pictures beside the first one in pixels."""
MOST_SMALL = 6
"""Pictures beside the first one, and maps of one figure."""
FIELD = 30
"""Height of a field of a map in pixels; of a small one two thirds."""


@dataclass(frozen=True)
class Drawing:
    """A picture of what is compared: what draws it, the name of its files, and what is seen."""

    name: str
    words: str
    draw: Callable[..., object]
    height: int
    small: bool = True


def drawings(found: OverNumbers) -> list[Drawing]:
    """Return the pictures of a sweep over numbers; the first one answers, others are small."""
    return list(_curves(found) if found.is_line else _maps(found))


def drawings_of_groups(found: Comparison) -> list[Drawing]:
    """Return the picture of the figure that the headline of a comparison is on.

    There is none of one group, and where no figure is known.
    """
    return [
        Drawing(
            f"{one.column} by group",
            f"{one.figure.head} by group",
            partial(dots, one=one, seeds=found.seeds_of(one.column), most=MOST_GROUPS),
            72 + 26 * min(len(one.cells), MOST_GROUPS),
            small=False,
        )
        for one in shown_figures(found)
        if one.column == found.telling and len(one.cells) > 1
    ]


def reading_of_groups(found: Comparison) -> str:
    """Say how their picture is read."""
    several = bool((found.rows["seeds"] > 1).any())
    words = ["small dots are seeds, large ones their means" if several else "dots are what was run"]
    words += ["a ring is the best"] if found.leaders(found.telling) else []
    more = len(found.groups) - MOST_GROUPS
    words += [f"the first {MOST_GROUPS} of {len(found.groups)} groups"] if more > 0 else []
    return f"{sentence('; '.join(words))} The axis need not begin at 0."


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
