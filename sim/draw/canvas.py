"""Runs that are drawn, axes without pyplot, and the data behind a picture."""

import io
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes

from sim.analysis.run import Run
from sim.errors import InputError
from sim.trace.arrow import array
from statements import Code, Remedy


@dataclass(frozen=True)
class Drawn:
    """A run of which pictures are drawn."""

    run: Run


def nothing(text: str, *helps: Remedy, **values: Any) -> InputError:
    """Return the error that says why a picture has nothing to show."""
    return InputError.of(Code.NOT_RECORDED, "", text, *helps, **values)


def new_axes() -> Axes:
    """Return axes in a figure of their own that show themselves in notebooks."""
    from matplotlib.figure import Figure

    return Figure(layout="constrained").subplots(subplot_kw={"axes_class": ShownAxes})


_DATA: WeakKeyDictionary[Axes, list[pa.Table]] = WeakKeyDictionary()


def behind(axes: Axes, **columns: Any) -> None:
    """Keep some of the data that axes show, by name with unit; one value stands for all rows."""
    rows = np.broadcast_arrays(*(np.asarray(values) for values in columns.values()))
    table = pa.table({name: _column(own) for name, own in zip(columns, rows, strict=True)})
    _DATA.setdefault(axes, []).append(table)


def _column(values: np.ndarray) -> pa.Array:
    """Return values of any shape as a column; a number that is nan is null."""
    flat = values.ravel()
    if flat.dtype == np.float64:
        return array(flat, np.isnan(flat))
    if flat.dtype == np.int64 or flat.dtype.kind == "U":
        return array(flat)
    return pa.array(flat, from_pandas=True)  # which imports pandas


def data_behind(axes: Axes) -> pa.Table:
    """Return the data that axes show, a row for each mark or point."""
    return pa.concat_tables(_DATA.get(axes, []), promote_options="permissive")


class ShownAxes(Axes):
    """Axes of a figure that pyplot does not know: what a cell returns is the picture itself."""

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        figure = self.get_figure(root=True)
        assert figure is not None  # made with their figure
        figure.savefig(out, format="png")
        return out.getvalue()


LETTER, LINE = 0.62, 1.25
"""About the width of a letter, and the height of a line, by the size of the font."""
BESIDE = 0.75
"""Share of a picture that lies between its axes."""


def room_of(axes: Axes) -> tuple[float, float]:
    """Return how many letters fit across the whole picture of some axes, and how many lines."""
    from matplotlib import rcParams

    figure = axes.get_figure(root=True)
    assert figure is not None  # axes are made with theirs
    width, height = 72.0 * figure.get_size_inches() / rcParams["font.size"]
    return float(width / LETTER), float(height / LINE)


class Unit(NamedTuple):
    """A unit of time, its name and its seconds."""

    name: str
    seconds: float


UNITS = (Unit("days", 86400.0), Unit("hours", 3600.0), Unit("minutes", 60.0))
SEVERAL = 3.0
"""How many of a unit a span holds for it to be taken."""


def unit_of(span_s: float) -> Unit:
    """Return the largest unit of which a span holds several; minutes for short ones."""
    return next((unit for unit in UNITS if span_s >= SEVERAL * unit.seconds), UNITS[-1])
