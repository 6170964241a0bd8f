"""Figures of a page: matplotlib axes as inline SVG."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from matplotlib import style
from matplotlib.figure import Figure

from scenarios import ScenarioError
from sim.errors import InputError
from sim.plots.canvas import data_behind
from sim.report.inline_svg import inline
from sim.trace.arrow import without_formulas, write_batches

SIZE_IN = (4.6, 3.2)
"""Of a drawing that is still readable on a phone."""


@dataclass(frozen=True)
class Figures:
    """Where each drawing of a page goes as a file too, beside its data as CSV; nowhere if None."""

    folder: Path | None = None
    form: str = "svg"

    def drawn(
        self,
        name: str,
        draw: Callable[..., object],
        size_in: tuple[float, float] | None = None,
        **options: Any,
    ) -> tuple[str, str]:
        """Return a drawing as an inline ``<svg>``, or nothing and a line that says why it is not.

        ``draw`` gets the ``axes`` to draw on, and the ``options``. ``name`` begins all ids, so that
        several drawings can share a page, and is the name of the files. The same drawing gives the
        same bytes.
        """
        try:
            with style.context("sim.report.drawing"):
                page = _bytes("svg", draw, size_in, options)[0].decode()
            if self.folder is not None:
                with style.context("sim.report.paper"):
                    paper, data = _bytes(self.form, draw, size_in, options)
                (self.folder / f"{name}.{self.form}").write_bytes(paper)
                write_batches(without_formulas(data).to_batches(), self.folder / f"{name}.csv")
        except (InputError, ScenarioError) as error:
            return "", sentence(str(error))
        return inline(page, name), ""


def _bytes(
    form: str, draw: Callable[..., object], size_in: tuple[float, float] | None, options: Any
) -> tuple[bytes, pa.Table]:
    """Return a drawing as a file, without a date, and the data behind it."""
    figure, out = Figure(figsize=size_in or SIZE_IN, layout="constrained"), io.BytesIO()
    axes = figure.subplots()
    draw(axes=axes, **options)
    undated = {"CreationDate" if form == "pdf" else "Date": None}
    figure.savefig(out, format=form, metadata=undated)
    return out.getvalue(), data_behind(axes)


def sentence(text: str) -> str:
    """Return ``text`` with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
