"""Search by section: what each section of the pages says, in one script that works from a disk.

A page that is opened as a file may not read other files, but may run scripts beside it. Sphinx's
own search finds pages so, and reads them to show what it has found, which fails.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes

LAST = ("annex/",)
"""Pages whose sections are shown after the others."""
NAMES = "Python names"
"""A part whose sections are, too."""


def write_sections(app: Any, exception: Exception | None) -> None:
    """Write the sections of all pages beside the other scripts, once the pages are built."""
    if exception is not None or app.builder.format != "html":
        return
    found = [row for name in sorted(app.env.found_docs) for row in sections_of(app, name)]
    script = f"const SECTIONS = {json.dumps(found, ensure_ascii=False)};\n"
    Path(app.outdir, "_static", "sections.js").write_text(script, encoding="utf-8")


def sections_of(app: Any, name: str) -> Iterator[tuple[str, str, str, bool]]:
    """Yield address, titles, text and whether it stands behind the others, of each section."""
    address = app.builder.get_target_uri(name)
    for section in app.env.get_doctree(name).findall(nodes.section):
        titles = [above.next_node(nodes.title).astext() for above in lineage(section)]
        text = "\n".join(text_of(part) for part in section.children[1:] if not is_section(part))
        top = not is_section(section.parent)
        anchor = "" if top else f"#{section['ids'][0]}"
        behind = name.startswith(LAST) or NAMES in titles
        yield address + anchor, " > ".join(titles), text, behind


def lineage(section: nodes.Node) -> list[nodes.Node]:
    """Return a section behind those that it is in, the outermost first."""
    found = []
    while is_section(section):
        found.append(section)
        section = section.parent
    return found[::-1]


def is_section(node: nodes.Node | None) -> bool:
    """Return whether a node is a section, which is found by itself."""
    return isinstance(node, nodes.section)


def text_of(node: nodes.Node) -> str:
    """Return what a node says; of a table a line for each row."""
    rows = list(node.findall(nodes.row))
    if not rows:
        return node.astext()
    return "\n".join("  ".join(cell.astext() for cell in row.children) for row in rows)


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("build-finished", write_sections)
    return {"parallel_read_safe": True}
