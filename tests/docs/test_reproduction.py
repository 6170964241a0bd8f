"""docs/reproduction.md: every claim has a verdict, and no figure that no command has printed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
VERDICTS = ("reproduced", "partly", "not reproduced", "not attempted")
SHOWN = re.compile(
    r"^```sh\npython docs/studies/([^\n]+)\n```\n\n```text\n(.*?)^```", re.MULTILINE | re.DOTALL
)
NUMBER = re.compile(r"\d+(?:\.\d+)?")
PARTS = (
    *("Abstract", "II-B", "III-B", "III-C", "Table I", "Table II"),
    *(f"Remark {n}" for n in (1, 2, 3, 4)),
    *(f"Theorem {n}" for n in (1, 2)),
    *(f"Fig. {n}" for n in (5, 6, 7, 8, 9)),
)


@dataclass(frozen=True)
class Row:
    """One claim."""

    claim: str
    commands: str
    measured: str
    verdict: str


def rows() -> list[Row]:
    lines = (DOCS / "reproduction.md").read_text().splitlines()
    table = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    head, rule, *body = ([cell.strip() for cell in cells] for cells in table)
    assert head == ["claim", "command", "measured", "verdict"]
    assert set("".join(rule)) == {"-"}
    return [Row(*cells) for cells in body]


def printed() -> dict[str, str]:
    """What the pages show of each study, by the command without `python docs/studies/`."""
    pages = "".join(page.read_text() + "\n" for page in sorted(DOCS.glob("*.md")))
    return dict(SHOWN.findall(pages))


def test_every_part_of_the_paper_with_a_claim_is_in_the_table() -> None:
    claims = [row.claim for row in rows()]
    for part in PARTS:
        assert any(re.search(rf"\b{re.escape(part)}(?!\w)", claim) for claim in claims), part


def test_every_claim_has_a_verdict() -> None:
    for row in rows():
        assert row.verdict.startswith(VERDICTS), row.claim
        if row.verdict.startswith("not attempted"):
            assert row.commands == "-", row.claim
        else:
            assert "`" in row.commands, row.claim


def figures(text: str) -> set[float]:
    return {float(number) for number in NUMBER.findall(text)}


TRIED = [row for row in rows() if not row.verdict.startswith("not attempted")]


@pytest.mark.parametrize("row", TRIED, ids=lambda row: row.claim[:40])
def test_every_figure_is_one_that_its_command_has_printed(row: Row) -> None:
    shown: dict[str, str] = printed()
    known: set[float] = set()
    for command in re.findall(r"`([^`]+)`", row.commands):
        if command.startswith("tests/"):
            assert (ROOT / command).is_file()
        else:
            known |= figures(shown[command])
    assert figures(row.measured) <= known


def test_make_studies_runs_what_the_pages_show() -> None:
    makefile = (ROOT / "Makefile").read_text()
    run = {c.strip() for c in re.findall(r"python docs/studies/([^\n;]+)", makefile)}
    assert set(printed()) <= run
