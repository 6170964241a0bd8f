"""Runs that are drawn, axes without pyplot, and the data behind a picture."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes

from sim.analysis.critical_path import CriticalPath


class Run(Protocol):
    """What pictures need of a run, like :class:`sim.Result`."""

    @property
    def tables(self) -> Mapping[str, pa.Table]:
        """The tables by name."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The manifest."""

    @property
    def critical_path(self) -> CriticalPath:
        """Where the simulated time went."""


@dataclass(frozen=True)
class Drawn:
    """A run of which pictures are drawn."""

    run: Run


def new_axes() -> Axes:
    """Return axes in a figure of their own that show themselves in notebooks."""
    from matplotlib.figure import Figure

    return Figure(layout="constrained").subplots(subplot_kw={"axes_class": ShownAxes})


_DATA: WeakKeyDictionary[Axes, list[pa.Table]] = WeakKeyDictionary()


def behind(axes: Axes, **columns: Any) -> None:
    """Keep some of the data that axes show, by name with unit; one value stands for all rows."""
    rows = np.broadcast_arrays(*(np.asarray(values) for values in columns.values()))
    table = pa.table(
        dict(zip(columns, (pa.array(own.ravel(), from_pandas=True) for own in rows), strict=True))
    )
    _DATA.setdefault(axes, []).append(table)


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
