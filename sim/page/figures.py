"""Drawings of matplotlib, in a page and as files, the data behind them and tables as CSV."""

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pyarrow as pa
from matplotlib import style
from matplotlib.figure import Figure

from scenarios import ScenarioError
from sim.analysis.cases import flat
from sim.draw.canvas import data_behind
from sim.draw.colours import LIGHT
from sim.errors import InputError
from sim.formatting import capital
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
        return inline(name, words, size, draw, **options)

    def wide(self, name: str, words: str, draw: Draw, height: int, **options: Any) -> str:
        """Return a drawing as wide as a screen, and one as a phone, of which the page shows one."""
        self.filed(name, draw, **options)
        both = {
            kind: inline(f"{name}-{kind}", words, (width, height), draw, **options)
            for kind, width in (("broad", BROAD), ("narrow", NARROW))
        }
        return "".join(f'<div class="{kind}">{svg}</div>' for kind, svg in both.items() if svg)

    def filed(self, name: str, draw: Draw, size: tuple[int, int] = SIZE, **options: Any) -> str:
        """Draw into files alone."""
        if self.folder is not None:
            with suppress(*NOTHING_TO_DRAW), _figure(draw, size, PER_INCH, {}, **options) as figure:
                for form, date in DATES.items():
                    undated = {date: None}
                    figure.savefig(self.folder / f"{name}.{form}", format=form, metadata=undated)
                _write_csv(data_behind(figure.axes[0]), self.folder / f"{name}.csv")
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


DATES = {"pdf": "CreationDate", "svg": "Date"}
"""Forms of files, and where they have the date of their making, which is left out."""
NOTHING_TO_DRAW = InputError, ScenarioError
"""What a drawing of nothing raises."""


@contextmanager
def _figure(
    draw: Draw, size: tuple[int, int], per_inch: int, own: Any, **options: Any
) -> Iterator[Figure]:
    """Draw on a figure of so many pixels, in the style of pages and what it has of its own."""
    with style.context(["sim.page.figures", own]):
        inches = (size[0] / per_inch, size[1] / per_inch)
        figure = Figure(inches, dpi=per_inch if own else None, layout="constrained")
        draw(axes=figure.subplots(), **options)
        yield figure


def as_sentence(text: str) -> str:
    """Return ``text`` with a capital and a full stop."""
    return f"{capital(text).rstrip('.')}."


PIXELS = 72
"""Of an inch: a point is a pixel."""
OF_PAGE = {"#000000": "ink", **{colour: name for name, colour in LIGHT.items()}}
"""Colours of drawings, and the properties of a page that stand for them."""
STYLE: Any = {"svg.fonttype": "none", "font.size": 12, "axes.titlesize": 13}
_UPRIGHT = re.compile(r"M (\S+) (\S+) L (\S+) \2 L \3 (\S+) L \1 \4 z\s*")
"""A rectangle in a path, whose corners can be said in half the letters."""
_STYLE = re.compile(r' style="([^"]*)"')
_FONT = re.compile(r"font: (?:(bold|\d+) )?([\d.]+)px [^;\"]*")


def inline(name: str, words: str, size: tuple[int, int], draw: Draw, **options: Any) -> str:
    """Return a drawing as SVG of so many pixels, in a page whose policy allows no style.

    ``draw`` gets the ``axes`` to draw on, and the ``options``. ``name`` is another one for each
    drawing of a page, ``words`` say what is seen. Empty where there is nothing to draw.
    """
    out = io.StringIO()
    with suppress(*NOTHING_TO_DRAW), _figure(draw, size, PIXELS, STYLE, **options) as figure:
        undated = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(out, format="svg", transparent=True, metadata=undated)
    if not (text := out.getvalue()):
        return ""
    body = text[text.index("<svg") :]
    body = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL
    )
    body = _STYLE.sub(lambda found: _attributes(found[1]), body)
    for colour, own in OF_PAGE.items():
        body = body.replace(f'"{colour}"', f'"var(--{own})"')
    # A tenth of a pixel, in marks and not in texts.
    body = re.sub(r"<[^>]+>", lambda mark: re.sub(r"(\d+\.\d)\d+", r"\1", mark[0]), body)
    body = _UPRIGHT.sub(r"M\1 \2H\3V\4H\1z", body)
    body = re.sub(r'(?<=<g) id="[^"]*"', "", body)
    body = re.sub(r'(?<= id=")|(?<=href="#)|(?<=url\(#)', f"{name}-", body)
    body = re.sub(r"\s*\n\s*", " ", body).replace("xlink:href", "href")
    head = f'<svg viewBox="0 0 {size[0]} {size[1]}" width="{size[0]}" height="{size[1]}"'
    head = f'{head} role="img" aria-label="{escape(words)}">'
    return re.sub(r"<svg[^>]*>", lambda _: head, body, count=1)


def _attributes(style: str) -> str:
    """Return the properties of a style as attributes of their own, which SVG has for each."""
    style = _FONT.sub(
        lambda found: f"font-size: {found[2]}px" + ("; font-weight: 600" if found[1] else ""), style
    )
    pairs = (part.split(":", 1) for part in style.split(";") if ":" in part)
    kept = ((name.strip(), value.strip()) for name, value in pairs)
    return "".join(f' {name}="{value}"' for name, value in kept if name != "font-family")
