"""A page of a report: a template filled in, as one HTML file that fetches nothing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from scenarios import ScenarioError
from sim.analysis.run import Run
from sim.draw.colours import properties
from sim.errors import InputError
from sim.files import packaged
from sim.formatting import counted, filled, listed
from sim.page.chart import data_of
from sim.page.figures import Figures, as_sentence, inline
from sim.replay import replay
from sim.replay.replay import Replay, content_policy

MARK = "leomix report"
"""The page's generator: what is not marked so is never overwritten."""


LONGEST_FILE_NAME = 150
"""Letters of the name of a figure's files."""

MOST_PAGE_ROWS = 500
"""Clusters up to which each has a row of its own in a table."""


@dataclass(frozen=True)
class Page:
    """A whole report: a template of ``sim/page/templates``, and what its sections show.

    ``title`` answers in a sentence, ``kind`` says of what, ``subtitle`` what was simulated.
    """

    template: str
    kind: str
    title: str
    subtitle: str
    context: Mapping[str, Any]


@dataclass
class PageState:
    """What a page has shown so far: its sections, how many blocks the last of them has, scripts."""

    sections: list[tuple[str, str]] = field(default_factory=list)
    blocks: int = 0
    scripts: dict[str, str] = field(default_factory=dict)

    def begin(self, name: str, title: str) -> None:
        """Begin a section under a name that is the only one of its kind."""
        self.sections.append((name, title))
        self.blocks = 0

    def whole(self) -> bool:
        """Forget the last section if it has no block but notes; return whether it has one."""
        if not self.blocks:
            self.sections.pop()
        return bool(self.blocks)

    def script(self, name: str, text: str | None = None) -> None:
        """Have the page run a script, once: one of ``templates``, unless its text is given."""
        self.scripts[name] = packaged("sim.page", f"templates/{name}") if text is None else text

    def block(self) -> str:
        """Count a block; return its id."""
        self.blocks += 1
        return f"{self.sections[-1][0]}-{self.blocks}"


def html(page: Page, figures: Figures) -> str:
    """Return ``page`` as one HTML file: styles, script and drawings are inside, nothing is fetched.

    Drawings and tables go into files too, where ``figures`` says.

    Its content security policy allows its styles and scripts alone, by their hashes.
    """
    style = properties() + packaged("sim.page", "templates/report.css") + replay.style()
    shown = PageState()

    values = {
        "kind": page.kind,
        "title": page.title,
        "subtitle": page.subtitle,
        "mark": MARK,
        "style": style,
        "policy": lambda: content_policy([style], list(shown.scripts.values())),
        "shown": shown,
        "filed": figures.filed,
        "inline": inline,
        "pictured": figures.picture,
        "wide": figures.wide,
        "tabled": figures.tabled,
        "chart_data": data_of,
        "replayed": replayed,
        "replay_script": replay.script,
        "slug": slug,
        **page.context,
    }
    own: dict[str, Any] = {
        "counted": counted,
        "listed": listed,
        "line": on_one_line,
        "sentence": as_sentence,
    }
    return filled("sim.page", "templates", page.template, values, own, html=True)


def replayed(runs: Mapping[str, Run], hues: Mapping[str, int]) -> tuple[str, str]:
    """Return a replay of runs by their labels as HTML, or nothing and a line that says why not."""
    try:
        return Replay(runs, hues).block(), ""
    except (InputError, ScenarioError) as error:
        return "", as_sentence(str(error))


def slug(*words: str) -> str:
    """Return words as a name for files and ids: small letters and digits with dashes between."""
    return re.sub("[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")[:LONGEST_FILE_NAME]


def on_one_line(text: str) -> str:
    """Return text without line breaks, and with one space between words; escaped stays escaped."""
    return type(text)(" ".join(text.split()))


def scenario_yaml(stored: Mapping[str, Any]) -> str:
    """Return the scenario as YAML, without the keys that have no value."""
    told = _without_empty(stored)
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=100)


def _without_empty(value: object) -> object:
    if not isinstance(value, dict):
        return value
    inner = ((key, _without_empty(part)) for key, part in value.items())
    return {key: part for key, part in inner if part not in (None, {}, [])}
