"""The English of the pages: plain words of the field, short sentences, and a budget of words."""

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
BUDGETS = {
    "CONTRIBUTING.md": 1260,
    "README.md": 800,
    "SECURITY.md": 400,
    "docs/annex/choices.md": 1430,
    "docs/annex/results.md": 3000,
    "docs/commands.md": 660,
    "docs/comparison.md": 880,
    "docs/constellations.md": 1250,
    "docs/faults.md": 735,
    "docs/first-run.md": 1000,
    "docs/fly.md": 1500,
    "docs/glossary.md": 745,
    "docs/how-it-works.md": 830,
    "docs/index.md": 325,
    "docs/link-engineers.md": 1490,
    "docs/methods.md": 2065,
    "docs/network-study.md": 1060,
    "docs/new-scenario.md": 570,
    "docs/read-a-result.md": 1880,
    "docs/run-folder.md": 1550,
    "docs/scenarios.md": 3389,
    "docs/sweep.md": 1290,
    "docs/troubleshooting.md": 1080,
    "docs/trust.md": 1666,
    "docs/write-a-method.md": 1710,
    "docs/your-own.md": 1560,
    "papers/README.md": 290,
    "papers/alignment.md": 450,
    "papers/ems-fl.md": 1500,
    "papers/nmoe.md": 500,
    "papers/outside.md": 990,
    "tests/soak/README.md": 570,
}
"""The most words of a page: its code counts, its comments do not."""
LONGEST_SENTENCE = 30
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


def read(page):
    """What a reader sees of a page."""
    return re.sub(r"<!--.*?-->", "", (ROOT / page).read_text(), flags=re.DOTALL)


def prose(page):
    """The lines of a page without its code; a piece of code in a line is one word."""
    return CODE.sub(lambda code: "code" + "\n" * code[0].count("\n"), read(page)).splitlines()


def words(text):
    return len(re.findall(r"\S*\w\S*", text))


def test_every_page_has_a_budget():
    assert {str(page.relative_to(ROOT)) for page in PAGES} <= {*BUDGETS}


@pytest.mark.parametrize(("page", "most"), BUDGETS.items())
def test_a_page_keeps_to_its_budget_of_words(page, most):
    assert words(read(page)) <= most


def test_the_readme_is_short_in_lines_too():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 116 and max(map(len, lines)) <= 120


@pytest.mark.parametrize("page", BUDGETS)
def test_no_sentence_is_long(page):
    cells = [cell for line in prose(page) for cell in line.split(" | ")]
    sentences = [part for cell in cells for part in re.split(r"(?<=[.!?:;])\s+", cell)]
    assert [part for part in sentences if words(part) > LONGEST_SENTENCE] == []


@pytest.mark.parametrize("page", BUDGETS)
def test_a_line_of_prose_is_a_sentence(page):
    """So that a diff shows the sentence that has changed. Items of lists keep to one line."""
    lines = [line for line in prose(page) if re.match(r"[A-Za-z\[]", line)]
    assert [line for line in lines if not re.search(r"[.:!?]$|^code$", line)] == []
    assert [line for line in lines if re.search(r"[\w)\]][.!?] [A-Z]", line)] == []
