"""Bars in lanes, and fields of a matrix: each look is one path, however many there are."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from sim.draw.canvas import BESIDE, room_of
from sim.draw.colours import HEAT, ON_HEAT, PAPER, QUIET
from statements.arrays import Floats, Ints

Field = tuple[int, int]
"""Row and column."""


def rectangles(axes: Axes, left: Floats, right: Floats, low: Any, high: Any, **look: Any) -> None:
    """Add rectangles (N,) between some ends as one path, if there are any."""
    corners = ((left, low), (right, low), (right, high), (left, high), (left, low))
    points = np.empty((len(left), len(corners), 2))
    for number, (x, y) in enumerate(corners):
        points[:, number, 0], points[:, number, 1] = x, y
    codes = np.tile([Path.MOVETO, *[Path.LINETO] * 3, Path.CLOSEPOLY], len(left))
    axes.add_patch(PathPatch(Path(points.reshape(-1, 2), codes), **look))


def fields(axes: Axes, drawn: Ints, **look: Any) -> None:
    """Add fields (N, 2) of a matrix, whose middles are their rows and columns."""
    row, column = drawn.astype(float).T
    rectangles(axes, column - 0.5, column + 0.5, row - 0.5, row + 0.5, **look)


def matrix(
    axes: Axes, steps: Ints, texts: Mapping[Field, str], bold: Collection[Field] = ()
) -> None:
    """Draw fields (R, C) in steps of :data:`HEAT` (-1: none), the last one the strongest.

    Their ``texts`` stand in them where all have room.
    """
    for step, colour in enumerate(HEAT):
        look: dict[str, Any] = {"facecolor": colour, "edgecolor": PAPER, "linewidth": 1}
        fields(axes, np.argwhere(steps == step), **look)
    rows, columns = steps.shape
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(-0.5, rows - 0.5))
    letters, lines = room_of(axes)
    longest = max(map(len, texts.values()), default=0) + 1
    if longest * columns > BESIDE * letters or rows > BESIDE * lines:
        return
    for (row, column), text in texts.items():
        step = steps[row, column]
        weight = "bold" if (row, column) in bold else "normal"
        ink = ON_HEAT[step] if step >= 0 else QUIET
        axes.text(column, row, text, color=ink, fontweight=weight, ha="center", va="center")


def shade_steps(shares: Floats) -> Ints:
    """Return the step of each share (R, C) of the strongest: -1 for none."""
    steps: Ints = np.minimum((len(HEAT) * shares).astype(np.int64), len(HEAT) - 1)
    return np.where(shares > 0.0, steps, -1)


def shaded(axes: Axes, values: Floats, text: Callable[[float], str]) -> None:
    """Draw values (R, C), the first row above, shaded by their shares of the largest.

    What is more than 0 has its ``text``, where all have room.
    """
    steps = shade_steps(values / max(float(np.max(values, initial=0.0)), 1e-12))
    texts = {(row, column): text(values[row, column]) for row, column in np.argwhere(values > 0.0)}
    matrix(axes, steps, texts)
    axes.invert_yaxis()
