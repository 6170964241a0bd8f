"""Figures of the points of a sweep, as pictures and as a table."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from sim.analysis.figures import Figure, figure_of, in_column
from sim.analysis.judged import Judged, judged_together
from sim.formatting import as_yaml, last_parts
from sim.report.sweep_pictures import curve, heat_map
from sim.sweep.axis import BESIDE, Course, OverNumbers

LISTED = (*BESIDE, "round_mean_s", "hours", "wall_s")
"""Figures of which the table of points has columns, behind what was learnt."""
WIDE, NARROW, SMALL = 1152, 358, 360
"""Widths of pictures in pixels: of the first one on a screen and on a phone, and of others."""
MOST_SMALL = 6
"""Pictures beside the first one, and maps of one figure."""
FIELD = 30
"""Height of a field of a map in pixels; of a small one two thirds."""


def figures(rows: pa.Table, target: str | None, asked: Sequence[str]) -> dict[str, Figure]:
    """Return the figures of which some row has a value, by their columns, each in one unit.

    Those that points are compared by, which are ``asked`` for, come first.
    """
    judging = {"judged_by", *(f"{judged}_final" for judged in Judged)} & {*rows.column_names}
    every_row = rows.select(sorted(judging)).to_pylist()
    judged = judged_together(every_row)
    tokens = any(row.get("accuracy_final") is not None for row in every_row)
    first = (f"{judged}_final", "accuracy_final", "loss_final", f"hours_to_{target}")
    every = dict.fromkeys((*asked, *first, *LISTED))
    known = {name for name in rows.column_names if rows[name].null_count < len(rows)}
    found = {}
    for name in (one for one in every if one in known):
        figure = in_column(figure_of(name, judged, tokens=tokens), rows[name].to_pylist())
        if name == f"hours_to_{target}":
            figure = figure._replace(head=f"{figure.head} to {target} accuracy")
        found[name] = figure
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
    for course in found.courses[: MOST_SMALL + 1]:
        small = course is not found.first
        words = f"{course.shown.head} over {axis.head}"
        draw = partial(curve, found=found, course=course)
        yield Drawing(
            f"{course.measure.column} over {axis.name}", words, draw, 190 if small else 340, small
        )


def _maps(found: OverNumbers) -> Iterator[Drawing]:
    across, up = found.wide[:2]
    parts = _parts(found)
    for course in found.courses[: MOST_SMALL + 1] if len(parts) == 1 else found.courses[:1]:
        for label, places in parts.items():
            small = course is not found.first or len(parts) > 1
            tall = max(len(up.values), 2) * (FIELD * 2 // 3 if small else FIELD + 6)
            words = f"{course.shown.head} by {across.head} and {up.head}"
            yield Drawing(
                " ".join(
                    filter(None, [course.measure.column, "by", across.name, "and", up.name, label])
                ),
                f"{words}; {label}" if label else words,
                partial(_map, found=found, course=course, places=places, label=label),
                tall + 80,
                small,
            )


def _map(axes: Any, found: OverNumbers, course: Course, places: Sequence[int], label: str) -> None:
    heat_map(found, course, places, axes)
    if label:
        axes.set_title(label, loc="left", fontweight="bold")


def _parts(found: OverNumbers) -> dict[str, list[int]]:
    """Return the spots of each map, by what other keys are: of many, those with the best maps."""
    keys = [*found.names, *(axis.key for axis in found.wide[2:])]
    parts: dict[str, list[int]] = {}
    for place, spot in enumerate(found.spots):
        pairs = zip(last_parts(keys), (as_yaml(spot.values[key]) for key in keys), strict=True)
        parts.setdefault(", ".join(f"{head} {own}" for head, own in pairs), []).append(place)

    def merit(label: str) -> float:
        return max(map(found.first.merit, parts[label]))

    best = {*sorted(parts, key=merit, reverse=True)[:MOST_SMALL]}
    return {label: own for label, own in parts.items() if label in best and found.is_dense(own)}


MOST_ROWS = 1000
"""Points that the page lists."""

Cells = list[list[str]]


def points(
    rows: pa.Table, keys: Sequence[str], target: str | None, asked: Sequence[str]
) -> tuple[list[str], Cells]:
    """Return heads and rows of the points; columns in which nothing is known are left out."""
    known = figures(rows, target, asked)
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
