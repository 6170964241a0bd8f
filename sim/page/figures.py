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
from sim.draw.canvas import data_behind
from sim.errors import InputError
from sim.formatting import capital
from sim.page.inline import inline
from sim.trace.plain_tables import without_formulas, write_batches

SIZE = (413, 288)
"""Of a drawing in pixels of a page: a phone shows its letters 10 pixels high."""
BROAD, NARROW = 1152, 358
"""Widths of a drawing as wide as the page, on a screen and on a phone."""
PER_INCH = 96
"""Pixels of a page that are as large as an inch of a file: letters are in proportion."""

Draw = Callable[..., object]
"""What draws: it gets the ``axes`` to draw on, and options."""


@dataclass(frozen=True)
class Figures:
    """Draws the pictures of a page, and into files of a ``folder`` where there is one.

    ``name`` names the files. The same drawing gives the same bytes. All return nothing to show
    where there is nothing to draw.
    """

    folder: Path | None = None

    def picture(
        self, name: str, words: str, draw: Draw, size: tuple[int, int] = SIZE, **options: Any
    ) -> str:
        """Return a drawing of so many pixels for the page, in which ``words`` say what is seen."""
        self.filed(name, draw, size, **options)
        return _inline(name, words, size, draw, options)

    def wide(self, name: str, words: str, draw: Draw, height: int, **options: Any) -> str:
        """Return a drawing as wide as a screen, and one as a phone, of which the page shows one."""
        self.filed(name, draw, **options)
        both = {
            kind: _inline(f"{name}-{kind}", words, (width, height), draw, options)
            for kind, width in (("broad", BROAD), ("narrow", NARROW))
        }
        return "".join(f'<div class="{kind}">{svg}</div>' for kind, svg in both.items() if svg)

    def filed(self, name: str, draw: Draw, size: tuple[int, int] = SIZE, **options: Any) -> str:
        """Draw into files alone."""
        if self.folder is not None:
            with suppress(InputError, ScenarioError):  # there is nothing to draw
                drawing, data = drawn(draw, size, **options)
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


def _inline(
    name: str, words: str, size: tuple[int, int], draw: Draw, options: Mapping[str, Any]
) -> str:
    with suppress(InputError, ScenarioError):
        return inline(name, words, size, draw, **options)
    return ""


def _write_csv(data: pa.Table, path: Path) -> None:
    write_batches(without_formulas(data).to_batches(), path)


DATES = {"svg": "Date", "pdf": "CreationDate"}
"""Forms of files, and where they have the date of their making."""


def drawn(draw: Draw, size: tuple[int, int], **options: Any) -> tuple[dict[str, bytes], pa.Table]:
    """Return a drawing as files by their forms, and the data behind it.

    The files have no date: the same drawing gives the same bytes.
    """
    with style.context("sim.page.figures"):
        inches = (size[0] / PER_INCH, size[1] / PER_INCH)
        figure = Figure(figsize=inches, layout="constrained")
        axes = figure.subplots()
        draw(axes=axes, **options)
        files = {}
        for form, date in DATES.items():
            out = io.BytesIO()
            figure.savefig(out, format=form, metadata={date: None})
            files[form] = out.getvalue()
        return files, data_behind(axes)


def sentence(text: str) -> str:
    """Return ``text`` with a capital and a full stop."""
    return f"{capital(text).rstrip('.')}."
