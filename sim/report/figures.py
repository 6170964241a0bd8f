"""Figures as files, for papers: matplotlib axes, and the data behind them as CSV."""

import io
from collections.abc import Callable
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
        with style.context("sim.report.paper"):
            drawing, data = _bytes(self.form, draw, size_in, options)
        (self.folder / f"{name}.{self.form}").write_bytes(drawing)
        write_batches(without_formulas(data).to_batches(), self.folder / f"{name}.csv")


def paper(form: str, draw: Callable[..., object], **options: Any) -> bytes:
    """Return a drawing for a paper as a file: svg, pdf or png."""
    with style.context("sim.report.paper"):
        return _bytes(form, draw, None, options)[0]


PNG_DPI = 300
DATES = {"svg": "Date", "pdf": "CreationDate"}
"""Where the forms of a file have the date of their making."""


def _bytes(
    form: str, draw: Callable[..., object], size_in: tuple[float, float] | None, options: Any
) -> tuple[bytes, pa.Table]:
    """Return a drawing as a file, without a date, and the data behind it."""
    figure = Figure(figsize=size_in or SIZE_IN, layout="constrained")
    out = io.BytesIO()
    axes = figure.subplots()
    draw(axes=axes, **options)
    undated = {DATES[form]: None} if form in DATES else {}
    figure.savefig(out, format=form, metadata=undated, dpi=PNG_DPI if form == "png" else "figure")
    return out.getvalue(), data_behind(axes)


def sentence(text: str) -> str:
    """Return ``text`` with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
