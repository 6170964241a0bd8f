"""A replay of a run, or of several under the same sky: a part of a page, and a page of its own."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sim.analysis.notebook import frame
from sim.analysis.run import Run
from sim.draw.colours import properties
from sim.files import packaged
from sim.formatting import duration, filled
from sim.replay.batteries import held_by
from sim.replay.scene import scene

PAGE_STYLE = """body { margin: 0; font: 16px/1.5 system-ui, sans-serif; }
h1 { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
"""
"""What a page of a replay alone needs besides the replay's own style; its title is not seen."""

SCRIPT_PARTS = (
    "packed",
    "sky",
    "words",
    "world",
    "stage",
    "camera",
    "clock",
    "race",
    "lanes",
    "replay",
)


def style() -> str:
    """Return the style sheet of replays."""
    return packaged("sim.replay", "templates/replay.css")


def script() -> str:
    """Return the script of replays, which shows every one on the page; its names are its own."""
    return one_script(packaged("sim.replay", f"templates/{name}.js") for name in SCRIPT_PARTS)


def one_script(parts: Iterable[str]) -> str:
    """Return parts as one script; names of theirs are not seen by other scripts of the page."""
    return f'"use strict";\n{{\n{"".join(map(_lean, parts))}}}\n'


def _lean(code: str) -> str:
    """Return a script without indents and lines of comment; it has no text of several lines."""
    lines = (line.strip() for line in code.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("//"))


@dataclass(frozen=True)
class Replay:
    """What happened in runs, shown as a moving picture; ``runs`` are named by their labels.

    Runs have the colours of their methods, or those of the page on which they stand: ``hues`` are
    their numbers in the palette, by label.

    In a notebook it shows itself, in a frame. :meth:`html` returns it as a page that fetches
    nothing. All raise InputError for runs that do not share start, orbit and contacts, and for one
    that simulated nothing.
    """

    runs: Mapping[str, Run]
    hues: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def data(self) -> dict[str, Any]:
        """What the page's script gets: see :mod:`sim.replay.scene`."""
        found = scene(self.runs)
        for run in found["runs"]:
            run["hue"] = self.hues.get(run["label"], run["hue"])
        return found

    @property
    def title(self) -> str:
        """What is replayed."""
        return f"Replay of {', '.join(self.runs)}"

    def block(self) -> str:
        """Return the replay as an HTML element; its page needs :func:`style` and :func:`script`."""
        data = self.data
        covered = ""
        if data["end_s"] < data["simulated_s"]:
            shown, whole = (duration(data[key]) for key in ("end_s", "simulated_s"))
            covered = f"It covers the first {shown} of {whole}: there are many contacts."
        batteries = max(len(held_by(run.tables)) for run in self.runs.values())
        values = {
            "data": data,
            "covered": covered,
            "fewer": len(data["batteries"]) < batteries,
            "failed": any(run["faults"]["causes"] for run in data["runs"]),
        }
        return filled("sim.replay", "templates", "replay.html", values, html=True)

    def html(self) -> str:
        """Return a page with the replay alone, which fetches nothing."""
        looks = PAGE_STYLE + properties() + style()
        code = script()
        values = {
            "title": self.title,
            "policy": content_policy([looks], [code]),
            "style": looks,
            "script": code,
            "block": self.block(),
        }
        return filled("sim.replay", "templates", "page.html", values, html=True)

    def _repr_html_(self) -> str:
        """Return the page in a frame."""
        return frame(self.title, self.html())


def content_policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    """Return a content security policy that allows these styles and scripts alone, by hash."""
    kinds = {"style": styles, "script": scripts}
    allowed = [
        f"{kind}-src {' '.join(map(_hashed, texts))}" for kind, texts in kinds.items() if texts
    ]
    others = ["img-src data:", "base-uri 'none'", "form-action 'none'"]
    return "; ".join(["default-src 'none'", *allowed, *others])


def _hashed(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
