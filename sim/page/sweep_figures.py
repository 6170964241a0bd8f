"""Figures of the points of a sweep, as pictures and as a table."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from sim.analysis.figures import Figure, figure_of, in_column
from sim.analysis.judged import Judged, judged_together
from sim.draw.names import name
from sim.formatting import as_yaml
from sim.page.sweep_pictures import curve, heat_map
from sim.sweep.axis import BESIDE, Course, OverNumbers

LISTED = (*BESIDE, "round_mean_s", "hours", "wall_s")
"""Figures of which the table of points has columns, behind what was learnt."""
SMALL = 360
"""Width of pictures beside the first one in pixels."""
MOST_SMALL = 6
"""Pictures beside the first one, and maps of one figure."""
FIELD = 30
"""Height of a field of a map in pixels; of a small one two thirds."""


def figures(rows: pa.Table, asked: Sequence[str]) -> dict[str, Figure]:
    """Return the figures of which some row has a value but 0, by their columns, each in one unit.

    Those that points are compared by, which are ``asked`` for, come first.
    """
    judging = {"judged_by", *(f"{judged}_final" for judged in Judged)} & {*rows.column_names}
    every_row = rows.select(sorted(judging)).to_pylist()
    judged = judged_together(every_row)
    tokens = any(row.get("accuracy_final") is not None for row in every_row)
    first = (f"{judged}_final", "accuracy_final", "loss_final")
    every = dict.fromkeys((*asked, *first, *LISTED))
    known = {name for name in every if name in rows.column_names and any(rows[name].to_pylist())}
    found = {}
    for column in (one for one in every if one in known):
        figure = figure_of(column, judged, tokens=tokens)
        found[column] = in_column(figure, rows[column].to_pylist())
    return found


@dataclass(frozen=True)
class Drawing:
    """A picture of a sweep: what draws it, the name of its files, and what is seen in it."""

    name: str
    words: str
    draw: Callable[..., object]
    height: int
    small: bool = True


def drawings(found: OverNumbers) -> list[Drawing]:
    """Return the pictures of a sweep over numbers; the first one answers, others are small.

    None where random values of several keys would leave a map empty.
    """
    if found.is_line:
        return list(_curves(found))
    return list(_maps(found))


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
    few = list(parts.items())[:MOST_SMALL]
    return {label: own for label, own in few if found.is_dense(own)}


MOST_ROWS = 1000
"""Points that the page lists."""

Cells = list[list[str]]


def points(rows: pa.Table, keys: Sequence[str], asked: Sequence[str]) -> tuple[list[str], Cells]:
    """Return heads and rows of the points; columns in which nothing is known are left out."""
    known = figures(rows, asked)
    keys = [key for key in keys if key != "seed"]
    heads = ["point", *keys, "seed", "status", *(figure.head for figure in known.values())]
    cells = [
        [
            str(row["point"]),
            *(as_yaml(row[key]) for key in keys),
            str(row["seed"]),
            row["status"],
            *(
                "-" if row[name] is None else one.form(row[name] / one.unit)
                for name, one in known.items()
            ),
        ]
        for row in rows.slice(0, MOST_ROWS).to_pylist()
    ]
    return heads, cells
