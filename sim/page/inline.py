"""Drawings of matplotlib inside a page: the same that go into files, in the colours of the page."""

import io
import re
from collections.abc import Callable
from html import escape
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure

from sim.draw.colours import LIGHT

PIXELS = 72
"""Of an inch: a point is a pixel."""
OF_PAGE = {"#000000": "ink", **{colour: name for name, colour in LIGHT.items()}}
"""Colours of drawings, and the properties of a page that stand for them."""
STYLE: Any = {"svg.fonttype": "none", "font.size": 12, "axes.titlesize": 13}
_UPRIGHT = re.compile(r"M (\S+) (\S+) L (\S+) \2 L \3 (\S+) L \1 \4 z\s*")
"""A rectangle in a path, whose corners can be said in half the letters."""
_STYLE = re.compile(r' style="([^"]*)"')
_FONT = re.compile(r"font: (?:(bold|\d+) )?([\d.]+)px [^;\"]*")


def inline(
    name: str, words: str, size: tuple[int, int], draw: Callable[..., object], **options: Any
) -> str:
    """Return a drawing as SVG of so many pixels, in a page whose policy allows no style.

    ``draw`` gets the ``axes`` to draw on, and the ``options``. ``name`` is another one for each
    drawing of a page, ``words`` say what is seen.
    """
    with style.context(["sim.page.figures", STYLE]):
        figure = Figure((size[0] / PIXELS, size[1] / PIXELS), dpi=PIXELS, layout="constrained")
        draw(axes=figure.subplots(), **options)
        out = io.StringIO()
        undated = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(out, format="svg", transparent=True, metadata=undated)
    text = out.getvalue()
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
