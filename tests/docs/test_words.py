"""The English of the pages: plain technical words, and none of those that only we would use."""

import json
import re

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT

UNIT = (
    "day|hour|minute|second|round|device|cluster|seed|line|run|contact|cycle|expert|satellite|core|"
    "row|column|site|orbit|message|step|client|group"
)
COUNTED = (
    "row|line|column|round|contact|cycle|byte|step|value|sample|figure|generator|message|evaluation"
)
WRITE = {
    rf"\b({COUNTED})s? an? ({UNIT})\b": "per",
    r"(?<!there )\b(is|are) no (?!(longer|more|less|better|worse|later|earlier)\b)\w+": "not",
    r"\bhangs? on\b": "depends on",
    r"\bgo(es)? on (?!for\b)\w+": "continues",
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\ballowed is\b": "must be",
    r"\bof one's own\b": "custom, or your own",
    r"\b(the|a|our|each|every) rooms?\b": "package",
    r"\bshel(f|ves)\b|\bhouse\b": "the thing itself",
    r"\b(is|are|was|were) told\b|\btells? of\b": "is reported, reports",
    r"\bbehind (the|an?|its) (event|start|end|run|contact|round)\b": "after",
    r"\b(simply|obviously|of course|easily)\b": "nothing",
    r"\b(seamless|powerful|blazing|cutting-edge|state-of-the-art|leverag)": "what it does",
}
"""What is not written, and what to write instead."""
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def found(text):
    """Return line, words and remedy of everything in ``text`` that is written otherwise."""
    prose = CODE.sub(lambda code: "`" + "\n" * code[0].count("\n") + "`", text)
    return [
        f"{number}: {match[0]!r}: write {remedy}"
        for number, line in enumerate(prose.splitlines(), 1)
        if not line.startswith("#")  # a heading is an anchor of links
        for pattern, remedy in WRITE.items()
        for match in re.finditer(pattern, line, re.IGNORECASE)
    ]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "SECURITY.md"], ids=lambda page: page.name)
def test_pages_are_in_plain_technical_english(page):
    assert found(page.read_text()) == []


def test_the_notebook_is_in_plain_technical_english():
    cells = json.loads((DOCS / "tutorial.ipynb").read_text())["cells"]
    prose = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    assert found("\n\n".join(prose)) == []


def test_words_are_found_in_prose_and_not_in_code():
    assert len(found("One row a cluster, which hangs on the seed.\nThis is no path.")) == 3
    assert found("`a row a cluster`\n```text\nthis is no path\n```\nThere is no path.") == []
