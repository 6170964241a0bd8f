"""Figures as files: matplotlib axes as PDF and SVG, the data behind them and tables as CSV."""

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from matplotlib import style
from matplotlib.figure import Figure

from scenarios import ScenarioError
from sim.analysis.groups import flat
from sim.errors import InputError
from sim.plots.canvas import data_behind
from sim.trace.plain_tables import without_formulas, write_batches

SIZE_IN = (4.6, 3.2)
"""Of a drawing, unless it has a size of its own."""
FORMS = ("pdf", "svg")


@dataclass(frozen=True)
class Figures:
    """The folder of a page's drawings and tables as files; without one there are none."""

    folder: Path | None = None

    def filed(
        self,
        name: str,
        draw: Callable[..., object],
        size_in: tuple[float, float] | None = None,
        **options: Any,
    ) -> str:
        """Draw into files, and return nothing to show: the page has pictures of its own.

        ``draw`` gets the ``axes`` to draw on, and the ``options``; ``name`` is the name of the
        files. The same drawing gives the same bytes.
        """
        if self.folder is not None:
            with suppress(InputError, ScenarioError):  # there is nothing to draw
                drawing, data = drawn(FORMS, draw, size_in, **options)
                for form, written in drawing.items():
                    (self.folder / f"{name}.{form}").write_bytes(written)
                _write_csv(data, self.folder / f"{name}.csv")
        return ""

    def tabled(self, name: str, rows: Sequence[Mapping[str, Any]]) -> str:
        """Write the rows of a table as CSV, and return nothing to show, as :meth:`filed` does.

        What a row holds by name within a column has columns of its own, such as ``by_seed.3``.
        """
        if self.folder is not None and rows:
            each = [flat(row) for row in rows]
            names = dict.fromkeys(column for row in each for column in row)
            table = pa.table({column: [row.get(column) for row in each] for column in names})
            _write_csv(table, self.folder / f"{name}.csv")
        return ""


def _write_csv(data: pa.Table, path: Path) -> None:
    write_batches(without_formulas(data).to_batches(), path)


PNG_DPI = 300
DATES = {"svg": "Date", "pdf": "CreationDate"}
"""Where the forms of a file have the date of their making."""


def drawn(
    forms: Sequence[str],
    draw: Callable[..., object],
    size_in: tuple[float, float] | None = None,
    **options: Any,
) -> tuple[dict[str, bytes], pa.Table]:
    """Return a drawing as files of some forms (svg, pdf, png), and the data behind it.

    ``draw`` gets the ``axes`` to draw on, and the ``options``. The files have no date: the same
    drawing gives the same bytes.
    """
    with style.context("sim.report.figures"):
        figure = Figure(figsize=size_in or SIZE_IN, layout="constrained")
        axes = figure.subplots()
        draw(axes=axes, **options)
        return {form: _file(figure, form) for form in forms}, data_behind(axes)


def _file(figure: Figure, form: str) -> bytes:
    out = io.BytesIO()
    undated = {DATES[form]: None} if form in DATES else {}
    figure.savefig(out, format=form, metadata=undated, dpi=PNG_DPI if form == "png" else "figure")
    return out.getvalue()


def sentence(text: str) -> str:
    """Return ``text`` with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
