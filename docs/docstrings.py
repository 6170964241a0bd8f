"""Docstrings for Sphinx: `name: what it is` becomes a list item, an indented block a listing.

The directive `commands` shows the help of every command, `checks` lists the checks of a run.
"""

import re
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from typer.testing import CliRunner

from sim.analysis.checks import CHECKS
from sim.cli.app import COMMANDS, app

ITEM = re.compile(r"[a-z_]\w*(?:(?:,| and)? \w+)*(?: \([^)]*\))?: ")
LISTING = "    "


def as_restructured_text(lines: list[str]) -> list[str]:
    """Return a docstring in the house's plain style as reStructuredText.

    A line `name, other: text` at the margin, with what hangs below it, is an item of a list. An
    indented block behind an empty line is shown as it stands. numpydoc sections are left to
    Napoleon.
    """
    if any(set(line.strip()) == {"-"} for line in lines):
        return lines
    shown: list[str] = []
    in_item = in_listing = False
    for line in lines:
        hangs = line.startswith(LISTING)
        if not line.strip():
            shown.append("")
            in_item = False
            continue
        if hangs and in_item:
            shown.append(f"  {_plain(line.strip())}")
            continue
        if hangs and not in_listing and shown and not shown[-1]:
            shown += ["::", ""]
        in_listing = hangs
        in_item = not hangs and ITEM.match(line) is not None
        if in_item and shown and shown[-1] and not shown[-1].startswith(("- ", "  ")):
            shown.append("")
        shown.append(line if hangs else f"- {_plain(line)}" if in_item else _plain(line))
        if not in_item and not hangs and len(shown) > 1 and shown[-2].startswith(("- ", "  ")):
            shown.insert(-1, "")
    return shown


def _plain(line: str) -> str:
    return line.replace("|", "\\|").replace("*", "\\*")


def process(  # Sphinx passes by place
    _app: Any, _what: str, _name: str, _obj: Any, _options: Any, lines: list[str]
) -> None:
    """Rewrite the lines of a docstring in place, as Sphinx asks for."""
    lines[:] = as_restructured_text(lines)


class Commands(Directive):
    """One section a command, with what it prints for `--help`."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        found: list[nodes.Node] = []
        for name in COMMANDS:
            shown = CliRunner(env={"COLUMNS": "110"}).invoke(app, [name, "--help"]).stdout
            section = nodes.section(ids=[f"leomix-{name}"], names=[name])
            section += [nodes.title(text=f"leomix {name}"), nodes.literal_block(text=shown.strip())]
            found.append(section)
        return found


class Checks(Directive):
    """A table of the checks of a run: their codes, and when each is made."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        group = nodes.tgroup(cols=2)
        group += [nodes.colspec(colwidth=width) for width in (20, 80)]
        body = nodes.tbody()
        group += [nodes.thead("", _row("code", "when")), body]
        body += [
            _row(code, (check.__doc__ or "").replace("`", "")) for code, check in CHECKS.items()
        ]
        return [nodes.table("", group)]


def _row(*cells: str) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph(text=text)) for text in cells))


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx; before Napoleon, which reads numpydoc sections."""
    app.add_directive("checks", Checks)
    app.add_directive("commands", Commands)
    app.connect("autodoc-process-docstring", process, priority=400)
    return {"parallel_read_safe": True}
