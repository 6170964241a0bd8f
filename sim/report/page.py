"""A page of a report: a template filled in, as one HTML file that fetches nothing."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sim.files import packaged
from sim.formatting import counted, filled
from sim.report.figures import Figures, sentence

MARK = "leomix report"
"""The page's generator: what is not marked so is never overwritten."""


LONGEST_NAME = 150
"""Letters of the name of a figure's files."""

MOST_ROWS = 500
"""Clusters up to which each has a row of its own in a table."""


@dataclass(frozen=True)
class Page:
    """A whole report: a template of ``sim/report/templates``, and what its sections show."""

    template: str
    title: str
    subtitle: str
    context: Mapping[str, Any]
    notices: Sequence[str] = ()


@dataclass
class Shown:
    """What a page has shown so far: its sections, and how many blocks the last of them has."""

    sections: list[tuple[str, str]] = field(default_factory=list)
    blocks: int = 0
    scripted: bool = False

    def begin(self, name: str, title: str) -> None:
        """Begin a section under a name that is the only one of its kind."""
        self.sections.append((name, title))
        self.blocks = 0

    def whole(self) -> bool:
        """Forget the last section if it has no block but notes; return whether it has one."""
        if not self.blocks:
            self.sections.pop()
        return bool(self.blocks)

    def block(self, scripted: bool = False) -> str:
        """Count a block, which may need the page's script; return its id."""
        self.blocks += 1
        self.scripted |= scripted
        return f"{self.sections[-1][0]}-{self.blocks}"


def html(page: Page, figures: Figures) -> str:
    """Return ``page`` as one HTML file: styles, script and drawings are inside, nothing is fetched.

    Drawings go into files too, where ``figures`` says.

    Its content security policy allows this style and this script alone, by their hashes.
    """
    style, script = (
        packaged("sim.report", f"templates/{name}") for name in ("report.css", "timeline.js")
    )
    shown = Shown()

    def policy() -> str:
        allowed = {"style": style} | ({"script": script} if shown.scripted else {})
        hashes = {kind: hashlib.sha256(text.encode()).digest() for kind, text in allowed.items()}
        rules = [f"{kind}-src 'sha256-{b64encode(h).decode()}'" for kind, h in hashes.items()]
        others = ["img-src data:", "base-uri 'none'", "form-action 'none'"]
        return "; ".join(["default-src 'none'", *rules, *others])

    values = {
        **{"title": page.title, "subtitle": page.subtitle, "notices": page.notices},
        **{"mark": MARK, "style": style, "script": script, "policy": policy},
        **{"shown": shown, "drawn": figures.drawn, "slug": slug, **page.context},
    }
    own: dict[str, Any] = {"counted": counted, "line": line, "sentence": sentence}
    return filled("sim.report", "templates", page.template, values, own, html=True)


def slug(*words: str) -> str:
    """Return words as a name for files and ids: small letters and digits with dashes between."""
    return re.sub("[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")[:LONGEST_NAME]


def line(text: str) -> str:
    """Return text without line breaks, and with one space between words; escaped stays escaped."""
    return type(text)(" ".join(text.split()))
