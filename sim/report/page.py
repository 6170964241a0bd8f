"""A page of a report: sections of blocks, in one HTML file that fetches nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, ClassVar

MARK = "leomix report"
"""The page's generator: what is not marked so is never overwritten."""


@dataclass(frozen=True)
class Text:
    """A paragraph; ``tone`` is ``plain``, ``note`` or ``warning``."""

    kind: ClassVar[str] = "text"
    text: str
    tone: str = "plain"


@dataclass(frozen=True)
class Figure:
    """A drawing (SVG markup of :func:`sim.report.figures.drawn`) with what it shows in words."""

    kind: ClassVar[str] = "figure"
    svg: str
    caption: str
    name: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of text under heads; the first column heads its row.

    A ``wide`` one takes the whole width of the page.
    """

    kind: ClassVar[str] = "table"
    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: bool = True
    wide: bool = False


@dataclass(frozen=True)
class Facts:
    """Names and what stands behind them, in as many columns as there is room for."""

    kind: ClassVar[str] = "facts"
    caption: str
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Code:
    """Text as it is, folded away under its title."""

    kind: ClassVar[str] = "code"
    title: str
    text: str


@dataclass(frozen=True)
class Timeline:
    """Bars in lanes for the page's script, and a picture for readers without scripts."""

    kind: ClassVar[str] = "timeline"
    data: Mapping[str, Any]
    still: Block


Block = Text | Figure | Table | Facts | Code | Timeline


@dataclass(frozen=True)
class Section:
    """A titled part of the page under a stable ``name``; ``half`` may stand beside another."""

    name: str
    title: str
    blocks: Sequence[Block]
    half: bool = False


@dataclass(frozen=True)
class Page:
    """A whole report."""

    title: str
    subtitle: str
    sections: Sequence[Section]
    notices: Sequence[str] = ()


def html(page: Page) -> str:
    """Return ``page`` as one HTML file: styles, script and drawings are inside, nothing is fetched.

    Its content security policy allows this style and this script alone, by their hashes.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sim.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    style, script = (
        resources.files("sim.report").joinpath("templates", name).read_text(encoding="utf-8")
        for name in ("report.css", "timeline.js")
    )
    scripted = any(block.kind == "timeline" for s in page.sections for block in s.blocks)
    return environment.get_template("page.html").render(
        page=page,
        mark=MARK,
        style=style,
        script=script,
        policy=_policy(style, script if scripted else None),
    )


def _policy(style: str, script: str | None) -> str:
    rules = [
        "default-src 'none'",
        f"style-src '{_hash(style)}'",
        *([] if script is None else [f"script-src '{_hash(script)}'"]),
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join(rules)


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
