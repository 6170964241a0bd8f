"""Pictures of a sweep, from a table with one row per point."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes

from learning.requests.cluster import Floats, Ints
from sim.analysis.figures import LISTED, OF_POINTS, TO_TARGETS, Figure, figures_of
from sim.analysis.judged import Judged
from sim.analysis.labels import METHOD
from sim.errors import InputError
from sim.plots.canvas import behind, new_axes
from sim.plots.colours import OPEN, colour, ink_on, looks_of
from sim.plots.names import legend, name, name_ticks
from statements import Code, Other, Statement

FEW = 100
"""Fields up to which each value is written into its own."""
IN_FIELD: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": "small"}
"""How text stands in a field."""


def in_words(key: str) -> str:
    """Return the name of a key or a column with its unit: ``altitude (km)``."""
    first, _, last = key.rsplit(".", 1)[-1].rpartition("_")
    if first and last in LISTED["units"]:
        return f"{first.replace('_', ' ')} ({LISTED['units'][last]})"
    return f"{first} {last}".replace("_", " ").strip()


def figure_of(column: str, judged: str = Judged.ACCURACY, *, tokens: bool = True) -> Figure:
    """Return the figure that a column of a sweep's rows has, of points that are judged by this."""
    if column.startswith("hours_to_"):
        days = TO_TARGETS["hours_to"]
        return days._replace(head=f"{days.head} to {column.removeprefix('hours_to_')} accuracy")
    known = OF_POINTS.get(column) or figures_of(judged, tokens=tokens).get(column)
    return known or Figure(in_words(column), "{:.3g}".format)


def heat_map(
    rows: pa.Table,
    x: str,
    y: str,
    value: str,
    axes: Axes | None = None,
    why: Callable[[Mapping[str, Any], str], str] | None = None,
    scale: pa.Table | None = None,
) -> Axes:
    """Draw the median of a column over all rows with the same x and y.

    Rows without a value do not count; a field in which there are some is hatched, and one with
    nothing else stays empty, or has what ``why`` says of its first row and the column. Colours span
    the values of the rows of ``scale``, so that maps of several parts of it compare. Raises
    InputError for a column that the table does not have or that has no numbers.
    """
    (across, column) = _levels(rows, x)
    (up, row) = _levels(rows, y)
    figure = figure_of(value)
    values = _numbers(rows, value)
    place = row * len(across) + column
    places = len(up) * len(across)
    fields = _quantiles(place, values, places, (0.5,)).reshape(len(up), len(across))
    axes = axes or new_axes()
    behind(axes, **{x: _plain(across), y: _plain(up)[:, None], figure.head: fields})
    image = axes.imshow(fields, aspect="auto", origin="lower", interpolation="nearest")
    if scale is not None:
        image.set_clim(*np.nanquantile(_numbers(scale, value), (0.0, 1.0)))
    missing = np.zeros(fields.shape, bool)
    missing[row[np.isnan(values)], column[np.isnan(values)]] = True
    _hatch(axes, missing)
    note = " (hatched: not in all runs)" if missing.any() else ""
    axes.figure.colorbar(image, ax=axes, label=name(figure.head, 40) + note)
    for which, key, levels in (("x", x, across), ("y", y, up)):
        name_ticks(axes, which, range(len(levels)), [_text(level) for level in levels])
        axes.set(**{f"{which}label": name(in_words(key), 40)})
    if fields.size <= FEW:
        _write(axes, fields, figure)
        empty = np.flatnonzero(np.isnan(fields.ravel()) & missing.ravel())
        for number in empty.tolist() if why else ():
            here = rows.slice(int(np.flatnonzero(place == number)[0]), 1).to_pylist()[0]
            up_at, across_at = divmod(number, len(across))
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
            reason = why(here, value).replace(" ", "\n") if why else ""
            axes.text(across_at, up_at, reason, color="black", bbox=box, **IN_FIELD)
    return axes


def lines(
    rows: pa.Table, x: str, value: str, group: str | None = None, axes: Axes | None = None
) -> Axes:
    """Draw the median of a column over x, a line a group, and the range of it as a band.

    Rows without a value do not count. Raises InputError as :func:`heat_map` does.
    """
    across, column = _levels(rows, x)
    groups, mine = _levels(rows, group) if group else ([None], np.zeros(len(rows), np.int64))
    figure = figure_of(value)
    values = _numbers(rows, value)
    numeric = all(isinstance(level, int | float) for level in across)
    place = np.array(across, float) if numeric else np.arange(len(across), dtype=float)
    looks = looks_of([level if group == METHOD else None for level in groups])
    axes = axes or new_axes()
    handles = []
    names = []
    for number, look in enumerate(looks):
        here = mine == number
        low, middle, high = _quantiles(column[here], values[here], len(across), (0.0, 0.5, 1.0))
        shown = {x: _plain(across), "median": middle, "least": low, "greatest": high}
        behind(axes, figure=figure.head, **{group or "line": _text(groups[number])}, **shown)
        names.append(_text(groups[number]) + (": none" if np.isnan(middle).all() else ""))
        # Lines may coincide: one below shows between another's dashes, and by its marks.
        handles += axes.plot(place, middle, marker=look.marker, **OPEN, **look.line)
        if numeric:
            axes.fill_between(place, low, high, color=colour(look.hue), alpha=0.18, linewidth=0)
        else:  # nothing lies between two categories
            handles[-1].set(linestyle="")
            axes.vlines(place, low, high, color=colour(look.hue), linewidth=1.4, alpha=0.6)
    if not numeric:
        name_ticks(axes, "x", place.tolist(), [_text(level) for level in across])
    axes.set_xlabel(name(in_words(x), 40))
    axes.set_ylabel(name(figure.head, 40))
    if group is not None:
        legend(axes, handles, names)
    return axes


def _column(rows: pa.Table, key: str) -> pa.ChunkedArray:
    if key not in rows.column_names:
        raise InputError(
            Statement.of(
                Code.NOT_RECORDED,
                "",
                "the sweep has no column {key!r}; it has {columns}",
                key=key,
                columns=", ".join(rows.column_names),
            )
        )
    return rows[key]


def _levels(rows: pa.Table, key: str) -> tuple[list[Any], Ints]:
    """Values of a column, numbers by size, others by name, none at last; which one each row has."""
    values = _column(rows, key).to_pylist()
    numbers = all(isinstance(level, int | float) for level in {*values} - {None})
    levels = sorted({*values} - {None}, key=None if numbers else str)
    if None in values:
        levels.append(None)
    return levels, np.array([levels.index(value) for value in values], np.int64)


def _numbers(rows: pa.Table, key: str) -> Floats:
    """The values of a column in the unit in which it is shown."""
    column = _column(rows, key)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise InputError(
            Statement.of(
                Code.NOT_RECORDED,
                "",
                "column {key!r} of the sweep has no numbers",
                Other(said="name one that has"),
                key=key,
            )
        )
    numbers: Floats = column.cast(pa.float64()).fill_null(np.nan).to_numpy()
    return numbers / figure_of(key).unit


def _quantiles(place: Ints, values: Floats, places: int, shares: tuple[float, ...]) -> Floats:
    """Quantiles (shares, places) of the values known at each place; nan where there are none."""
    found = np.full((len(shares), places), np.nan)
    known = ~np.isnan(values)
    for here in np.unique(place[known]):
        found[:, here] = np.quantile(values[known & (place == here)], shares)
    return found


def _plain(levels: list[Any]) -> np.ndarray:
    """Levels as numbers if all of them are, else as text."""
    numbers = all(isinstance(level, int | float) for level in levels)
    return np.array(levels if numbers else list(map(_text, levels)))


def _text(level: Any) -> str:
    return "none" if level is None else f"{level:g}" if isinstance(level, float) else str(level)


def _hatch(axes: Axes, fields: np.ndarray) -> None:
    from matplotlib.patches import Rectangle

    for row, column in np.argwhere(fields).tolist():
        corner = (column - 0.5, row - 0.5)
        # Grey shows on the darkest fields and on the brightest ones.
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, hatch="////", ec="grey", linewidth=0))


def _write(axes: Axes, fields: Floats, figure: Figure) -> None:
    """Write each value into its field."""
    image = axes.images[0]
    for (row, column), value in np.ndenumerate(fields):
        if np.isnan(value):
            continue
        own = ink_on(image.to_rgba(np.array(value)))
        axes.text(column, row, figure.form(value), color=own, **IN_FIELD)
