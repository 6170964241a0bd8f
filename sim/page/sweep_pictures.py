"""Pictures of what is compared: a curve over one number, a map of two, dots of names."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib import rcParams
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis as Ticked
from matplotlib.ticker import MaxNLocator

from sim.analysis.comparison import Comparison
from sim.analysis.figure_column import FigureColumn
from sim.analysis.figures import Figure
from sim.analysis.numeric import Axis, NumericSweep, number
from sim.analysis.screen import round_ends
from sim.draw.canvas import LETTER, behind, new_axes, room_of
from sim.draw.colours import COLOURS, HEAT, PAPER, QUIET, ink, looks_of
from sim.draw.names import legend, name, name_ticks
from sim.draw.shapes import matrix
from sim.formatting import capital, count
from sim.page.chart import MOST_GROUPS
from sim.page.figures import as_sentence
from statements.arrays import Floats

SMALL_WIDTH = 360
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


def drawings(found: NumericSweep) -> list[Drawing]:
    """Return the pictures of a sweep over numbers; the first one answers, others are small."""
    return list(_curves(found) if found.is_line else _maps(found))


def drawings_of_groups(found: Comparison) -> list[Drawing]:
    """Return the picture of the figure that the headline of a comparison is on.

    There is none of one group, and where no figure is known.
    """
    if not found.telling or len(found.by(found.telling)) < 2:
        return []
    column = found.column(found.telling)
    words = f"{column.shown.head} by group"
    draw = partial(dot_plot, column=column, most=MOST_GROUPS)
    height = 72 + 26 * min(len(column.means), MOST_GROUPS)
    return [Drawing(f"{column.column} by group", words, draw, height, small=False)]


def reading_of_groups(found: Comparison) -> str:
    """Say how their picture is read."""
    several = bool((found.rows["seeds"] > 1).any())
    words = ["small dots are seeds, large ones their means" if several else "dots are what was run"]
    words += ["a ring is the best"] if found.leaders(found.telling) else []
    more = len(found.groups) - MOST_GROUPS
    words += [f"the first {MOST_GROUPS} of {len(found.groups)} groups"] if more > 0 else []
    return f"{as_sentence('; '.join(words))} The axis need not begin at 0."


def _curves(found: NumericSweep) -> Iterator[Drawing]:
    [axis] = found.axes
    for column in found.columns[: MOST_SMALL + 1]:
        small = column is not found.first
        name = f"{column.column} over {axis.name}"
        words = f"{column.shown.head} over {axis.head}"
        draw = partial(curve, found=found, column=column)
        yield Drawing(name, words, draw, 190 if small else 340, small)


def _maps(found: NumericSweep) -> Iterator[Drawing]:
    across, up = found.wide[:2]
    parts = _parts(found)
    for column in found.columns[: MOST_SMALL + 1 if "" in parts else 1]:
        for label, groups in parts.items():
            small = column is not found.first or bool(label)
            tall = max(len(up.values), 2) * (FIELD * 2 // 3 if small else FIELD + 6)
            title = f"{column.shown.head}, {label}" if label else ""
            name = f"{column.column} by {across.name} and {up.name} {label}"
            words = f"{title or column.shown.head} by {across.head} and {up.head}"
            draw = partial(heat_map, found, column, groups, title=title)
            yield Drawing(name, words, draw, tall + 80, small)


def _parts(found: NumericSweep) -> dict[str, list[str]]:
    """Return the combinations of each map, by other keys: of many, those with the best ones."""
    parts: dict[str, list[str]] = {}
    for group in found.ranked:
        values = found.combinations[group]
        numbers = [axis.text(values[axis.key]) for axis in found.wide[2:]]
        label = ", ".join(filter(None, [found.labels[group], *numbers]))
        parts.setdefault(label, []).append(group)
    return dict([*parts.items()][:MOST_SMALL])


MOST_CURVES = 6
"""Names of which there is a curve each; of more, the best ones."""
MOST_LARGE_MARKS = 40
"""Values up to which marks are large."""


def curve(found: NumericSweep, column: FigureColumn, axes: Axes | None = None) -> Axes:
    """Draw a figure over the one number of a sweep, a line a name: see :func:`names_drawn`.

    Dots are means over seeds, thin lines reach from the least to the greatest. Rings are the best,
    all that print the same.
    """
    axes = axes or new_axes()
    [axis] = found.axes
    lines = names_drawn(found, column)
    looks = looks_of([None] * len(lines))

    def xy(groups: Sequence[str]) -> tuple[Floats, Floats]:
        return np.array(found.along(axis, groups), float), _scaled(column, groups)

    if axis.is_logarithmic:
        axes.set_xscale("log")
    drawn: list[Artist] = []
    for label, look in zip(lines, looks, strict=True):
        groups = found.by_label[label]
        hue = COLOURS[look.hue]
        known = [group for group in groups if group in column.known]
        _seeds(axes, found, column, known, hue)
        steps = "steps-mid" if column.shown.form is count and not axis.is_logarithmic else "default"
        drawn += axes.plot(*xy(groups), drawstyle=steps, lw=1.8, **look.line)
        few = len(axis.values) <= MOST_LARGE_MARKS
        axes.plot(*xy(known), "o", color=hue, ms=4 if few else 2)
        if column.has_best:
            [ring] = axes.plot(*xy(column.best(groups)), "o", color=PAPER, mec=hue)
            ring.set(markeredgewidth=2 if few else 1, markersize=8 if few else 4)
        x, mean = xy(groups)
        named = {"name": label} if label else {}
        behind(axes, figure=column.shown.head, **named, **{axis.key: x, "mean": mean})
    if found.names:
        legend(axes, drawn, lines, name(capital(column.shown.head), 60))
    else:
        _title(axes, column.shown)
    if axis.is_logarithmic:
        axes.minorticks_off()
    name_ticks(axes, "x", axis.values, [*map(number, axis.values)])
    axes.set_xlabel(name(axis.head, 40), color=QUIET)
    _tick_figure(axes.yaxis, column.shown)
    return axes


def names_drawn(found: NumericSweep, column: FigureColumn) -> list[str]:
    """Return the names of which there are lines: the best ones of many, in their order."""

    def merit(label: str) -> float:
        return max(map(column.merit, found.by_label[label]))

    best = sorted(found.by_label, key=merit, reverse=True)[:MOST_CURVES]
    return [label for label in found.by_label if label in best]


def _scaled(column: FigureColumn, groups: Sequence[str]) -> Floats:
    """Return the means of some groups in the unit of the column (N,); nan where there is none."""
    return np.array([*map(column.scaled, groups)], float)


def _title(axes: Axes, shown: Figure, longest: int = 60) -> None:
    title = shown.head
    axes.set_title(name(capital(title), longest), loc="left", fontweight="bold")


def _seeds(
    axes: Axes, found: NumericSweep, column: FigureColumn, groups: Sequence[str], hue: str
) -> None:
    for group, x in zip(groups, found.along(found.axes[0], groups), strict=True):
        values = np.array(column.seeds[group]) / column.shown.unit
        if len(values) > 1:
            axes.plot([x] * 2, [values.min(), values.max()], color=hue, lw=1)
            axes.plot([x] * len(values), values, "o", color=hue, ms=2.5)


def _tick_figure(along: Ticked, shown: Figure, most: int = 5) -> None:
    """Write some values of a figure along an axis, all with as many digits."""
    ticks = MaxNLocator(min(most, 5), steps=[1, 2, 5, 10], integer=shown.form is count)
    step = np.diff(ticks.tick_values(*along.get_view_interval()))[0]
    digits = max(0, -int(np.floor(np.log10(step) + 1e-9)))
    along.set_major_locator(ticks)
    along.set_major_formatter(lambda value, _: f"{value:,.{digits}f}")


def dot_plot(column: FigureColumn, most: int, axes: Axes | None = None) -> Axes:
    """Draw a figure of groups, a row each, the best ``most`` of them first: as terminals show it.

    Dots are means over seeds, small ones seeds, thin lines reach from the least to the
    greatest. Beside them stands the mean, or why there is none; the best have rings and are bold.
    """
    axes = axes or new_axes()
    letters, _ = room_of(axes)
    _title(axes, column.shown, min(60, int(0.6 * letters)))
    groups = [*column.means][:most]
    hue = COLOURS[0]
    texts_pt = LETTER * rcParams["font.size"] * max(len(column.text(group)) for group in groups)
    every: list[float] = []
    for place, group in enumerate(groups):
        is_best = group in column.starred
        mean = column.scaled(group)
        values = np.array(column.seeds[group]) / column.shown.unit
        values = np.sort(values[~np.isnan(values)])
        axes.plot(values, [place] * len(values), "o-", color=hue, lw=1, ms=2.5, clip_on=False)
        axes.plot([mean], [place], "o", color=hue, ms=5, clip_on=False)
        if is_best:
            axes.plot(
                [mean], [place], "o", color=PAPER, mec=hue, mew=2, ms=8, clip_on=False, zorder=3
            )
        axes.annotate(
            name(column.text(group)),
            (1.0, place),
            (8 + texts_pt, 0),
            axes.get_yaxis_transform(),
            "offset points",
            ha="right",
            va="center",
            fontweight="bold" if is_best else "normal",
        )
        every += [*values]
        behind(axes, figure=column.shown.head, group=group, mean=mean, value=values)
    low, high, _ = round_ends(min(every), max(every))
    axes.set(xlim=(low, high), ylim=(len(groups) - 0.4, -0.6))
    names = [name(group, int(letters / 3)) for group in groups]
    axes.set_yticks(range(len(groups)), names, color=ink())
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x")
    _tick_figure(axes.xaxis, column.shown, int(letters / 2 / (len(number(high)) + 2)))
    return axes


def heat_map(
    found: NumericSweep,
    column: FigureColumn,
    groups: Sequence[str],
    axes: Axes | None = None,
    title: str = "",
) -> Axes:
    """Draw a figure of some combinations over the two numbers with the most values, a field each.

    Colours span the values of all combinations, the strongest the best; bold is the best of these.
    """
    axes = axes or new_axes()
    across, up = found.wide[:2]

    def indices(axis: Axis) -> list[int]:
        return [axis.values.index(value) for value in found.along(axis, groups)]

    field = dict(zip(groups, zip(indices(up), indices(across), strict=True), strict=True))
    steps = _steps(column)
    stepped = np.full((len(up.values), len(across.values)), -1)
    for group, corner in field.items():
        stepped[corner] = steps[group]
    texts = {
        corner: "-" if column.missing[group] else column.text(group)
        for group, corner in field.items()
    }
    bold = [field[group] for group in column.best(groups)] if column.has_best else []
    matrix(axes, stepped, texts, bold)
    if title:
        axes.set_title(name(title, 50), loc="left", fontweight="bold")
    else:
        _title(axes, column.shown)
    for which, axis in (("x", across), ("y", up)):
        name_ticks(axes, which, range(len(axis.values)), [*map(number, axis.values)])
    axes.set_xlabel(name(across.head, 40), color=QUIET)
    axes.set_ylabel(name(up.head, 40), color=QUIET)
    own = {axis.key: np.array(found.along(axis, groups)) for axis in found.axes}
    behind(axes, figure=column.shown.head, **own, mean=_scaled(column, groups))
    return axes


def _steps(column: FigureColumn) -> dict[str, int]:
    """Return the step of each group's colour: the last for the best; -1 for what is not ranked."""
    merits = {group: column.merit(group) for group in column.means}
    ranked = [merit for merit in merits.values() if merit > -math.inf] or [0.0]
    low, span = min(ranked), max(ranked) - min(ranked)
    steps = dict.fromkeys(merits, -1)
    for group, merit in merits.items():
        if merit > -math.inf:
            share = (merit - low) / span if span else 0.5
            steps[group] = min(int(share * len(HEAT)), len(HEAT) - 1)
    return steps
