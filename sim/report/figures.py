"""Figures of a page: matplotlib axes as inline SVG."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from scenarios import ScenarioError
from sim.errors import InputError

SIZE_IN = (4.6, 3.2)
"""Of a drawing that is still readable on a phone."""


def drawn(
    name: str,
    draw: Callable[..., object],
    size_in: tuple[float, float] | None = None,
    **options: Any,
) -> tuple[str, str]:
    """Return a drawing as an inline ``<svg>``, or nothing and a line that says why there is none.

    ``draw`` gets the ``axes`` to draw on, and the ``options``. ``name`` begins all ids, so that
    several drawings can share a page. The same drawing gives the same bytes.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    out = io.StringIO()
    try:
        with style.context("sim.report.drawing"):
            figure = Figure(figsize=size_in or SIZE_IN, layout="constrained")
            draw(axes=figure.subplots(), **options)
            figure.savefig(out, format="svg", metadata={"Date": None}, transparent=True)
    except (InputError, ScenarioError) as error:
        return "", sentence(str(error))
    return inline(out.getvalue(), name), ""


def sentence(text: str) -> str:
    """Return ``text`` with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


# Matplotlib's drawings as SVG that can stand inside a page: no styles, own ids, the page's ink.


INK, FAINT = "#010203", "#040506"
"""What ``drawing.mplstyle`` draws in these colours takes that of the page's text, on light and on
dark; grids are faint."""

_LINK = re.compile(r"url\(#([^)]+)\)")
_NUMBER = re.compile(r"-?\d+\.\d{3,}(?!\d|e)")
_NUMERIC = ("d", "x", "y", "points", "width", "height")
_DROPPED_STYLES = ("font-family", "mix-blend-mode")
_HREF = "{http://www.w3.org/1999/xlink}href"


def inline(svg: str, prefix: str) -> str:
    """Return an SVG document as an element of an HTML page.

    Styles become attributes, since a strict content security policy forbids the former; ids that
    nothing refers to go, and the others begin with ``prefix``.
    """
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if _name(child) in ("metadata", "style", "title"):
                parent.remove(child)
    kept = {element.attrib.get(_HREF, "").removeprefix("#") for element in root.iter()}
    kept.update(n for e in root.iter() for value in e.attrib.values() for n in _LINK.findall(value))
    for element in root.iter():
        element.tag = _name(element)
        _without_style(element)
        _own_ids(element, kept, prefix)
        _shorter(element)
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    # As matplotlib's own style sheet has it, which went with the others.
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt"}
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _without_style(element: ElementTree.Element) -> None:
    for part in element.attrib.pop("style", "").split(";"):
        name, _, value = (piece.strip() for piece in part.partition(":"))
        if name and name not in _DROPPED_STYLES:
            element.set(name, value)
    for name, value in list(element.attrib.items()):
        if value == INK:
            element.set(name, "currentColor")
        elif value == FAINT:
            element.set(name, "currentColor")
            element.set(f"{name}-opacity", "0.2")


def _own_ids(element: ElementTree.Element, kept: set[str], prefix: str) -> None:
    own = element.attrib.pop("id", None)
    if own in kept:
        element.set("id", f"{prefix}-{own}")
    target = element.attrib.pop(_HREF, None)
    if target is not None:
        local = target.startswith("#")
        element.set("href", f"#{prefix}-{target[1:]}" if local else "".join(target.split()))
    for name, value in element.attrib.items():
        element.set(name, _LINK.sub(rf"url(#{prefix}-\1)", value))


def _shorter(element: ElementTree.Element) -> None:
    """Two decimals of a point are enough, and line breaks in paths are not needed."""
    for name in _NUMERIC:
        if name in element.attrib:
            value = " ".join(element.attrib[name].split())
            element.set(name, _NUMBER.sub(lambda found: f"{float(found[0]):.2f}", value))
    element.tail = None
    if element.text is not None and not element.text.strip():
        element.text = None
