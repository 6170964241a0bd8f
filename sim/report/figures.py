"""Figures of a page: matplotlib axes as inline SVG."""

import io
import re
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

INK = "#010203"
"""What ``drawing.mplstyle`` draws so takes the colour of the page's text, on light and on dark."""

_TAG = re.compile(r"<[^>]*>")
_LINK = re.compile(r"(href=\"#|url\(#)([\w-]+)")
_NUMBER = re.compile(r"-?\d+\.\d{3,}(?!\d|e)")
_NOT_NEEDED = re.compile(r"<metadata>.*?</metadata>|<style.*?</style>|(?<=>)\s+(?=<)", re.DOTALL)
_DROPPED_STYLES = ("font-family", "mix-blend-mode")


def inline(svg: str, prefix: str) -> str:
    """Return an SVG document of matplotlib's as an element of an HTML page.

    Styles become attributes, since a strict content security policy forbids the former; ids that
    nothing refers to go, and the others begin with ``prefix``. Two decimals of a point are enough.
    """
    head, _, body = svg[svg.index("<svg") :].partition(">")
    kept = {found[1] for found in _LINK.findall(svg)}

    def as_attributes(found: re.Match[str]) -> str:
        styles = (part.partition(":")[::2] for part in found[1].split(";"))
        known = ((name.strip(), value.strip()) for name, value in styles)
        return "".join(f' {n}="{v}"' for n, v in known if n not in _DROPPED_STYLES)

    def own_id(found: re.Match[str]) -> str:
        return f' id="{prefix}-{found[1]}"' if found[1] in kept else ""

    def of_a_page(found: re.Match[str]) -> str:
        tag = " ".join(found[0].split()).replace("base64, ", "base64,").replace("xlink:", "")
        tag = re.sub(' style="([^"]*)"', as_attributes, tag).replace(INK, "currentColor")
        tag = _LINK.sub(rf"\1{prefix}-\2", re.sub(' id="([^"]*)"', own_id, tag))
        return _NUMBER.sub(lambda number: f"{float(number[0]):.2f}", tag)

    size = re.findall(' viewBox="[^"]*"', head)[0]
    # As matplotlib's own style sheet has it, which goes with the others.
    drawing = f'<svg{size} stroke-linejoin="round" stroke-linecap="butt">'
    return drawing + _TAG.sub(of_a_page, _NOT_NEEDED.sub("", body))


SIZE_IN = (4.6, 3.2)
"""Of a drawing that is still readable on a phone."""


@dataclass(frozen=True)
class Figures:
    """The folder in which each drawing is a file too, beside its data as CSV; None: no files."""

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
            self._write(name, draw, size_in, options)
        except (InputError, ScenarioError) as error:
            return "", sentence(str(error))
        return inline(page, name), ""

    def filed(
        self,
        name: str,
        draw: Callable[..., object],
        size_in: tuple[float, float] | None = None,
        **options: Any,
    ) -> str:
        """Draw into a file only: what the page shows by a script. Return nothing to show."""
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
