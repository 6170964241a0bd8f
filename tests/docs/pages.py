"""README and docs as data: their code blocks, and what they show of the scripts of `papers`."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAPERS = ROOT / "papers"
_TUTORIALS = re.search(r"To begin$.*?\n\n(.*?)^```", (DOCS / "index.md").read_text(), re.M | re.S)
TUTORIALS = [
    ROOT / "README.md",
    *(DOCS / f"{name}.md" for name in _TUTORIALS[1].split() if (DOCS / f"{name}.md").exists()),
]
"""README and the tutorials that are pages; the site runs the notebook."""
PAGES = [
    ROOT / "README.md",
    *sorted(DOCS.glob("*.md")),
    ROOT / "CONTRIBUTING.md",
    *sorted(DOCS.glob("annex/*.md")),
    *sorted(PAPERS.glob("*.md")),
]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SHOWN = re.compile(
    r"^```sh\npython papers/([^\n]+)\n```\n\n```text\n(.*?)^```", re.MULTILINE | re.DOTALL
)
_KEPT = re.compile(r"^\$ python papers/([^\n]+)\n\n(.*?)(?=^\$ |\Z)", re.MULTILINE | re.DOTALL)


def steps(page):
    """Languages and code of a page's blocks, in order.

    A block that begins with a file's name in a comment is written to that file, and left out.
    """
    found = []
    for language, code in _BLOCK.findall(page.read_text()):
        if named := re.match(r"# ([\w-]+\.(?:py|yaml))\n", code):
            Path(named[1]).write_text(code)
        else:
            found.append((language, code))
    return found


def shown():
    """What the pages and `papers/results` show, by the command without `python papers/`."""
    kept = [_KEPT.findall(path.read_text()) for path in PAPERS.glob("results/*.txt")]
    pages = "".join(page.read_text() + "\n" for page in PAGES)
    return dict(sum(kept, _SHOWN.findall(pages)))
