"""Pictures of a sweep, from a table with one row per point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes

from learning.requests.cluster import Floats, Ints
from sim.errors import InputError
from sim.plots.canvas import DASHES, colour, legend, name, name_ticks, new_axes

MARKERS = "os^Dvx+*"
"""One a line, of different shapes and open, as lines may coincide."""
FEW = 100
"""Fields up to which each value is written into its own."""


def heat_map(
    rows: pa.Table,
    x: str,
    y: str,
    value: str,
    axes: Axes | None = None,
    why: Callable[[Mapping[str, Any]], str] | None = None,
) -> Axes:
    """Draw the median of a column over all rows with the same x and y.

    Rows without a value do not count; a field in which there are some is hatched, and one with
    nothing else stays empty, or has what ``why`` says of its first row. Raises InputError for a
    column that the table does not have or that has no numbers.
    """
    across, up = _levels(rows, x), _levels(rows, y)
    column, row = _places(rows, x, across), _places(rows, y, up)
    values = _numbers(rows, value)
    place, places = row * len(across) + column, len(up) * len(across)
    fields = _quantiles(place, values, places, (0.5,)).reshape(len(up), len(across))
    axes = axes or new_axes()
    image = axes.imshow(fields, aspect="auto", origin="lower", interpolation="nearest")
    missing = np.zeros(fields.shape, bool)
    missing[row[np.isnan(values)], column[np.isnan(values)]] = True
    _hatch(axes, missing)
    note = " (hatched: not in all runs)" if missing.any() else ""
    axes.figure.colorbar(image, ax=axes, label=name(value) + note)
    for which, key, levels in (("x", x, across), ("y", y, up)):
        name_ticks(axes, which, range(len(levels)), [_text(level) for level in levels])
        axes.set(**{f"{which}label": name(key, 40)})
    if fields.size <= FEW:
        _write(axes, fields)
        empty = np.flatnonzero(np.isnan(fields.ravel()) & missing.ravel())
        for number in empty.tolist() if why else ():
            here = rows.slice(int(np.flatnonzero(place == number)[0]), 1).to_pylist()[0]
            up_at, across_at = divmod(number, len(across))
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1.0}
            reason = (why or str)(here).replace(" ", "\n")
            axes.text(
                across_at, up_at, reason, ha="center", va="center", fontsize="small", bbox=box
            )
    return axes


def lines(
    rows: pa.Table, x: str, value: str, group: str | None = None, axes: Axes | None = None
) -> Axes:
    """Draw the median of a column over x, a line a group, and the range of it as a band.

    Rows without a value do not count. Raises InputError as :func:`heat_map` does.
    """
    across = _levels(rows, x)
    groups = [None] if group is None else _levels(rows, group)
    column, values = _places(rows, x, across), _numbers(rows, value)
    mine = np.zeros(len(rows), np.int64) if group is None else _places(rows, group, groups)
    numeric = all(isinstance(level, int | float) for level in across)
    place = np.array(across, float) if numeric else np.arange(len(across), dtype=float)
    axes = axes or new_axes()
    handles = []
    for number in range(len(groups)):
        here = mine == number
        low, middle, high = _quantiles(column[here], values[here], len(across), (0.0, 0.5, 1.0))
        drawn = axes.plot(place, middle, linewidth=1.4, marker="o", markersize=3.5)
        # Lines may coincide: one below shows between another's dashes, and by its marks.
        drawn[0].set(color=colour(number), linestyle=DASHES[number % len(DASHES)])
        if not numeric:  # nothing lies between two categories
            drawn[0].set(linestyle="")
            axes.vlines(place, low, high, color=colour(number), linewidth=1.4, alpha=0.6)
        drawn[0].set(marker=MARKERS[number % len(MARKERS)], fillstyle="none")
        handles += drawn
        if numeric:
            axes.fill_between(place, low, high, color=colour(number), alpha=0.18, linewidth=0)
    if not numeric:
        name_ticks(axes, "x", place.tolist(), [_text(level) for level in across])
    axes.set_xlabel(name(x, 40))
    axes.set_ylabel(name(value, 40))
    if group is not None:
        legend(axes, handles, [_text(level) for level in groups])
    return axes


def _column(rows: pa.Table, key: str) -> pa.ChunkedArray:
    if key not in rows.column_names:
        raise InputError(f"the sweep has no column {key!r}; it has {', '.join(rows.column_names)}")
    return rows[key]


def _levels(rows: pa.Table, key: str) -> list[Any]:
    """Values that occur in a column: numbers by size, others by name, none at last."""
    found = set(_column(rows, key).to_pylist())
    numbers = all(isinstance(level, int | float) for level in found - {None})
    ordered = sorted(found - {None}, key=None if numbers else str)
    return ordered + [None] * (None in found)


def _places(rows: pa.Table, key: str, levels: list[Any]) -> Ints:
    number = {level: place for place, level in enumerate(levels)}
    return np.array([number[level] for level in rows[key].to_pylist()], np.int64)


def _numbers(rows: pa.Table, key: str) -> Floats:
    column = _column(rows, key)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise InputError(f"column {key!r} of the sweep has no numbers; name one that has")
    numbers: Floats = column.cast(pa.float64()).fill_null(np.nan).to_numpy()
    return numbers


def _quantiles(place: Ints, values: Floats, places: int, shares: tuple[float, ...]) -> Floats:
    """Quantiles (shares, places) of the values known at each place; nan where there are none."""
    found = np.full((len(shares), places), np.nan)
    known = ~np.isnan(values)
    for here in np.unique(place[known]):
        found[:, here] = np.quantile(values[known & (place == here)], shares)
    return found


def _text(level: Any) -> str:
    return "none" if level is None else f"{level:g}" if isinstance(level, float) else str(level)


def _hatch(axes: Axes, fields: np.ndarray) -> None:
    from matplotlib.patches import Rectangle

    for row, column in np.argwhere(fields).tolist():
        corner = (column - 0.5, row - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, hatch="////", alpha=0.4, linewidth=0))


def _write(axes: Axes, fields: Floats) -> None:
    """Write each value into its field, on dark ones in white."""
    image = axes.images[0]
    for (row, column), value in np.ndenumerate(fields):
        if np.isnan(value):
            continue
        red, green, blue, _ = image.to_rgba(np.array([value]))[0]
        bright = 0.3 * red + 0.6 * green + 0.1 * blue > 0.5
        text = axes.text(column, row, f"{value:.3g}", ha="center", va="center", fontsize="small")
        text.set_color("black" if bright else "white")
