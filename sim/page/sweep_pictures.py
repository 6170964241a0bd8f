"""Pictures of what is compared: a curve over one number, a map of two, dots of names."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib import rcParams
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis as Ticked
from matplotlib.ticker import MaxNLocator

from sim.analysis.comparison import Comparison
from sim.analysis.comparison_text import Shown, shown_figures
from sim.analysis.figures import Figure
from sim.analysis.screen import round_ends
from sim.draw.canvas import LETTER, behind, new_axes, room_of
from sim.draw.colours import COLOURS, HEAT, PAPER, QUIET, ink, looks_of
from sim.draw.names import legend, name, name_ticks
from sim.draw.shapes import matrix
from sim.formatting import capital, count
from sim.page.chart import MOST_GROUPS
from sim.page.figures import sentence
from sim.sweep.axis import Course, OverNumbers, number
from statements.arrays import Floats

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
    for course in found.courses[: MOST_SMALL + 1]:
        small = course is not found.first
        called = f"{course.column} over {axis.name}"
        words = f"{course.shown.head} over {axis.head}"
        draw = partial(curve, found=found, course=course)
        yield Drawing(called, words, draw, 190 if small else 340, small)


def _maps(found: OverNumbers) -> Iterator[Drawing]:
    across, up = found.wide[:2]
    parts = _parts(found)
    for course in found.courses[: MOST_SMALL + 1 if "" in parts else 1]:
        for label, places in parts.items():
            small = course is not found.first or bool(label)
            tall = max(len(up.values), 2) * (FIELD * 2 // 3 if small else FIELD + 6)
            title = f"{course.shown.head}, {label}" if label else ""
            called = f"{course.column} by {across.name} and {up.name} {label}"
            words = f"{title or course.shown.head} by {across.head} and {up.head}"
            draw = partial(heat_map, found, course, places, title=title)
            yield Drawing(called, words, draw, tall + 80, small)


def _parts(found: OverNumbers) -> dict[str, list[int]]:
    """Return the spots of each map, by what other keys are: of many, those with the best ones."""
    parts: dict[str, list[int]] = {}
    for place in found.ranked:
        values = found.spots[place].values
        numbers = [axis.text(values[axis.key]) for axis in found.wide[2:]]
        label = ", ".join(filter(None, [found.labels[place], *numbers]))
        parts.setdefault(label, []).append(place)
    return dict([*parts.items()][:MOST_SMALL])


MOST_LINES = 6
"""Names of which there is a curve each; of more, the best ones."""
MANY = 40
"""Values from which on marks are small."""


def curve(found: OverNumbers, course: Course, axes: Axes | None = None) -> Axes:
    """Draw a figure over the one number of a sweep, a line a name: see :func:`names_drawn`.

    Dots are means over seeds, thin lines reach from the least to the greatest. Rings are the best,
    all that print the same.
    """
    axes = axes or new_axes()
    [axis] = found.axes
    lines = names_drawn(found, course)
    looks = looks_of([None] * len(lines))
    x = np.array([spot.values[axis.key] for spot in found.spots], float)
    y = np.array([np.nan if mean is None else mean for mean in course.means]) / course.shown.unit
    if axis.is_logarithmic:
        axes.set_xscale("log")
    drawn: list[Artist] = []
    for label, look in zip(lines, looks, strict=True):
        places = found.by_label[label]
        hue = COLOURS[look.hue]
        known = [place for place in places if course.means[place] is not None]
        _seeds(axes, x, course, known, hue)
        steps = "steps-mid" if course.shown.form is count and not axis.is_logarithmic else "default"
        drawn += axes.plot(x[places], y[places], drawstyle=steps, lw=1.8, **look.line)
        few = len(axis.values) <= MANY
        axes.plot(x[known], y[known], "o", color=hue, ms=4 if few else 2)
        if course.has_best:
            best = course.best(places)
            axes.plot(
                x[best], y[best], "o", color=PAPER, mec=hue, mew=2 if few else 1, ms=8 if few else 4
            )
        behind(
            axes,
            figure=course.shown.head,
            **({"name": label} if label else {}),
            **{axis.key: x[places], "mean": y[places]},
        )
    if found.names:
        legend(axes, drawn, lines, name(capital(course.shown.head), 60))
    else:
        _title(axes, course.shown)
    if axis.is_logarithmic:
        axes.minorticks_off()
    name_ticks(axes, "x", axis.values, [*map(number, axis.values)])
    axes.set_xlabel(name(axis.head, 40), color=QUIET)
    _tick_figure(axes.yaxis, course.shown)
    return axes


def names_drawn(found: OverNumbers, course: Course) -> list[str]:
    """Return the names of which there are lines: the best ones of many, in their order."""

    def merit(label: str) -> float:
        return max(map(course.merit, found.by_label[label]))

    best = sorted(found.by_label, key=merit, reverse=True)[:MOST_LINES]
    return [label for label in found.by_label if label in best]


def _title(axes: Axes, shown: Figure, longest: int = 60) -> None:
    title = shown.head
    axes.set_title(name(capital(title), longest), loc="left", fontweight="bold")


def _seeds(axes: Axes, x: Floats, course: Course, known: Sequence[int], hue: str) -> None:
    for place in known:
        values = np.array(course.each[place]) / course.shown.unit
        if len(values) > 1:
            axes.plot([x[place]] * 2, [values.min(), values.max()], color=hue, lw=1)
            axes.plot([x[place]] * len(values), values, "o", color=hue, ms=2.5)


def _tick_figure(along: Ticked, shown: Figure, most: int = 5) -> None:
    """Write some values of a figure along an axis, all with as many digits."""
    ticks = MaxNLocator(min(most, 5), steps=[1, 2, 5, 10], integer=shown.form is count)
    step = np.diff(ticks.tick_values(*along.get_view_interval()))[0]
    digits = max(0, -int(np.floor(np.log10(step) + 1e-9)))
    along.set_major_locator(ticks)
    along.set_major_formatter(lambda value, _: f"{value:,.{digits}f}")


def dots(
    one: Shown, seeds: Mapping[str, Sequence[float]], most: int, axes: Axes | None = None
) -> Axes:
    """Draw a figure of groups, a row each, the best ``most`` of them first: as terminals show it.

    Dots are means over ``seeds``, small ones seeds, thin lines reach from the least to the
    greatest. Beside them stands the mean, or why there is none; the best have rings and are bold.
    """
    axes = axes or new_axes()
    letters, _ = room_of(axes)
    _title(axes, one.figure, min(60, int(0.6 * letters)))
    groups = [*one.cells][:most]
    hue = COLOURS[0]
    texts_pt = LETTER * rcParams["font.size"] * max(len(one.cells[group]) for group in groups)
    every: list[float] = []
    for place, group in enumerate(groups):
        is_best = group in one.best
        mean = one.means[group]
        values = np.array(seeds.get(group, ())) / one.figure.unit
        values = np.sort(values[~np.isnan(values)])
        axes.plot(values, [place] * len(values), "o-", color=hue, lw=1, ms=2.5, clip_on=False)
        axes.plot([mean], [place], "o", color=hue, ms=5, clip_on=False)
        if is_best:
            axes.plot(
                [mean], [place], "o", color=PAPER, mec=hue, mew=2, ms=8, clip_on=False, zorder=3
            )
        axes.annotate(
            name(one.cells[group]),
            (1.0, place),
            (8 + texts_pt, 0),
            axes.get_yaxis_transform(),
            "offset points",
            ha="right",
            va="center",
            fontweight="bold" if is_best else "normal",
        )
        every += [*values]
        behind(axes, figure=one.figure.head, group=group, mean=mean, value=values)
    low, high, _ = round_ends(min(every), max(every))
    axes.set(xlim=(low, high), ylim=(len(groups) - 0.4, -0.6))
    names = [name(group, int(letters / 3)) for group in groups]
    axes.set_yticks(range(len(groups)), names, color=ink())
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x")
    _tick_figure(axes.xaxis, one.figure, int(letters / 2 / (len(number(high)) + 2)))
    return axes


def heat_map(
    found: OverNumbers,
    course: Course,
    places: Sequence[int],
    axes: Axes | None = None,
    title: str = "",
) -> Axes:
    """Draw a figure at some spots over the two numbers with the most values, a field each.

    Colours span the values of all spots, the strongest the best; bold is the best of these.
    """
    axes = axes or new_axes()
    across, up = found.wide[:2]
    columns = {value: n for n, value in enumerate(across.values)}
    rows = {value: n for n, value in enumerate(up.values)}
    field = {
        place: (
            rows[found.spots[place].values[up.key]],
            columns[found.spots[place].values[across.key]],
        )
        for place in places
    }
    steps = _steps(course)
    stepped = np.full((len(rows), len(columns)), -1)
    for place, corner in field.items():
        stepped[corner] = steps[place]
    texts = {
        corner: course.text(place) if course.means[place] is not None else "-"
        for place, corner in field.items()
    }
    bold = [field[place] for place in course.best(places)] if course.has_best else []
    matrix(axes, stepped, texts, bold)
    if title:
        axes.set_title(name(title, 50), loc="left", fontweight="bold")
    else:
        _title(axes, course.shown)
    for which, axis in (("x", across), ("y", up)):
        name_ticks(axes, which, range(len(axis.values)), [*map(number, axis.values)])
    axes.set_xlabel(name(across.head, 40), color=QUIET)
    axes.set_ylabel(name(up.head, 40), color=QUIET)
    values = np.array(
        [np.nan if course.means[p] is None else course.means[p] for p in places], float
    )
    own = {
        axis.key: np.array([found.spots[p].values[axis.key] for p in places]) for axis in found.axes
    }
    behind(axes, figure=course.shown.head, **own, mean=values / course.shown.unit)
    return axes


def _steps(course: Course) -> list[int]:
    """Return the step of each spot's colour: the last for the best; -1 for what is not ranked."""
    known = [place for place in course.known if course.merit(place) > -math.inf]
    merits = [course.merit(place) for place in known] or [0.0]
    low, span = min(merits), max(merits) - min(merits)
    steps = [-1] * len(course.means)
    for place in known:
        share = (course.merit(place) - low) / span if span else 0.5
        steps[place] = min(int(share * len(HEAT)), len(HEAT) - 1)
    return steps
