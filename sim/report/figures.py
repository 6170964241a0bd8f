"""Figures as files, for papers: matplotlib axes, and the data behind them as CSV."""

import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from matplotlib import style
from matplotlib.figure import Figure

from scenarios import ScenarioError
from sim.errors import InputError
from sim.plots.canvas import data_behind
from sim.report.pgf import pgf
from sim.trace.plain_tables import without_formulas, write_batches

SIZE_IN = (4.6, 3.2)
"""Of a drawing, unless it has a size of its own."""


@dataclass(frozen=True)
class Figures:
    """The folder in which each drawing is a file beside its data; without one there are none."""

    folder: Path | None = None
    form: str = "svg"

    def filed(
        self,
        name: str,
        draw: Callable[..., object],
        size_in: tuple[float, float] | None = None,
        **options: Any,
    ) -> str:
        """Draw into a file, and return nothing to show: the page has pictures of its own.

        ``draw`` gets the ``axes`` to draw on, and the ``options``; ``name`` is the name of the
        files. The same drawing gives the same bytes.
        """
        with suppress(InputError, ScenarioError):  # there is nothing to draw
            self._write(name, draw, size_in, options)
        return ""

    def _write(
        self,
        name: str,
        draw: Callable[..., object],
        size_in: tuple[float, float] | None,
        options: Any,
    ) -> None:
        if self.folder is None:
            return
        drawing, data = drawn([self.form], draw, size_in, **options)
        (self.folder / f"{name}.{self.form}").write_bytes(drawing[self.form])
        write_csv(data, self.folder / f"{name}.csv")


def write_csv(data: pa.Table, path: Path) -> None:
    """Write the data behind a drawing."""
    write_batches(without_formulas(data).to_batches(), path)


def paper(form: str, draw: Callable[..., object], **options: Any) -> bytes:
    """Return a drawing for a paper as a file: svg, pdf or png."""
    return drawn([form], draw, **options)[0][form]


PNG_DPI = 300
DATES = {"svg": "Date", "pdf": "CreationDate"}
"""Where the forms of a file have the date of their making."""


def drawn(
    forms: Sequence[str],
    draw: Callable[..., object],
    size_in: tuple[float, float] | None = None,
    look: str = "sim.report.paper",
    **options: Any,
) -> tuple[dict[str, bytes], pa.Table]:
    """Return a drawing as files of some forms (svg, pdf, pgf, png), and the data behind it.

    ``draw`` gets the ``axes`` to draw on, and the ``options``. ``look`` is a style of matplotlib.
    The files have no date: the same drawing gives the same bytes.
    """
    with style.context(look):
        figure = Figure(figsize=size_in or SIZE_IN, layout="constrained")
        axes = figure.subplots()
        draw(axes=axes, **options)
        return {form: _file(figure, form) for form in forms}, data_behind(axes)


def _file(figure: Figure, form: str) -> bytes:
    if form == "pgf":
        return pgf(figure).encode()
    out = io.BytesIO()
    undated = {DATES[form]: None} if form in DATES else {}
    figure.savefig(out, format=form, metadata=undated, dpi=PNG_DPI if form == "png" else "figure")
    return out.getvalue()


def sentence(text: str) -> str:
    """Return ``text`` with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
