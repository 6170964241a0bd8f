"""The pages of the papers, and the verdicts of docs/annex/reproduction.md, from their registry.

Papers from outside, of which figures are predicted, share a page: docs/papers/predictions.md.

    python docs/studies/papers.py [folder]

The folder is what `leomix reproduce --all -o FOLDER` has written: its tables and pictures are
copied to docs/papers first. Without it the pages are written with those that are there.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from sim.papers.paper import Claim, Entry, Paper, Predicted, Prediction
from sim.papers.registry import SHIPPED, paper_of

DOCS = Path(__file__).resolve().parents[1]
PLACE = DOCS / "papers"
INDEX = DOCS / "annex" / "reproduction.md"
BEGIN, END = "<!-- begin: papers.py -->\n", "<!-- end: papers.py -->\n"
PATH = re.compile(r' d="[^"]*"')
MORE_DECIMALS = re.compile(r"(\d\.\d\d)\d+")
LINK = re.compile(r"\]\((?!http)([^)]+)\)")


def main(folder: str | None = None) -> None:
    """Copy tables and pictures, and write the pages."""
    if folder is not None:
        copy(Path(folder))
    for path, text in pages().items():
        path.write_text(text)
        print(path.relative_to(DOCS.parent))


def copy(folder: Path) -> None:
    """Copy the table and the picture of each entry that the folder has.

    Pictures are rounded to a hundredth of a point, which nobody sees, and are half as large.
    """
    for name in SHIPPED:
        for entry in paper_of(name).shown:
            for path in (folder / name / f"{entry}.txt", folder / name / f"{entry}.svg"):
                if path.exists():
                    (PLACE / name).mkdir(parents=True, exist_ok=True)
                    text = path.read_text()
                    (PLACE / name / path.name).write_text(PATH.sub(rounded, text))


def rounded(path: re.Match[str]) -> str:
    """Return the path of a picture with two decimals."""
    return MORE_DECIMALS.sub(r"\1", path[0])


def pages() -> dict[Path, str]:
    """Return what each page should be, by its path."""
    known = [paper_of(name) for name in SHIPPED]
    papers = [paper for paper in known if not paper.predictions]
    found = {PLACE / f"{paper.name}.md": page(paper) for paper in papers}
    found[PLACE / "predictions.md"] = page_of_predictions([p for p in known if p.predictions])
    before, _, rest = INDEX.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    index = "\n".join("\n".join(index_of(paper)) for paper in papers)
    return {**found, INDEX: f"{before}{BEGIN}\n{index}\n{END}{after}"}


def index_of(paper: Paper) -> Iterator[str]:
    """Yield the lines of the index for a paper: verdicts of its entries, and how many of each."""
    yield f"## {paper.method}\n"
    counts = ", ".join(f"{number} {verdict}" for verdict, number in paper.verdicts().items())
    where = f"[{paper.title}](../papers/{paper.name}.md)"
    yield f"{where}, {paper.identity}. Claims by verdict: {counts}.\n"
    yield "| entry | it shows | here | verdict |\n|---|---|---|---|"
    for entry in paper.entries.values():
        link = f"[{entry.label}](../papers/{paper.name}.md#{slug(heading(entry))})"
        yield f"| {link} | {entry.about} | {entry.state} | {entry.verdict} |"
    yield ""


def heading(entry: Entry) -> str:
    """Return the heading of an entry."""
    return f"Equations {entry.label}" if entry.label.startswith("(") else entry.label


def slug(text: str) -> str:
    """Return the anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def page(paper: Paper) -> str:
    """Return the page of a paper."""
    lines = [
        f"# {paper.method}",
        f"{listed_authors(paper)}: *{paper.title}*, {paper.year}, {paper.identity}.",
        paper.text,
        "An entry has what the paper shows, in our words, and what came out here. A command in a "
        "table is a test, begins with `leomix`, or is typed after `python docs/studies/`; its "
        "complete output is in [results](annex/results.md) or on a related page, and figures in "
        "the column `measured` are from there. Verdicts: `equal`, `partly`, `different`, `not "
        "printed` "
        "(the paper, or the text of it that was available, states no number or formula that could "
        "be compared), `not attempted`. `leomix reproduce "
        f"{paper.name}` runs every entry that has a command of its own.",
        *([paper.more] if paper.more else []),
    ]
    if paper.limits:
        lines += ["What limits the verdicts:", "\n".join(f"- {limit}" for limit in paper.limits)]
    for name, entry in paper.entries.items():
        lines += section(paper, name, entry)
    return of_paper(lines)


def of_paper(lines: Sequence[str]) -> str:
    """Return the text of a page of papers; links in ``lines`` are written as from docs."""
    return LINK.sub(lambda link: f"]({from_docs(link[1])})", "\n\n".join(lines)) + "\n"


def from_docs(target: str) -> str:
    """Return a link from a page of a paper to what is written as one from docs."""
    return target.removeprefix("papers/") if target.startswith("papers/") else f"../{target}"


def listed_authors(paper: Paper) -> str:
    """Return the authors, of many the first."""
    few = paper.authors[:4]
    return ", ".join(few) + (" and others" if len(few) < len(paper.authors) else "")


def page_of_predictions(papers: Sequence[Paper]) -> str:
    """Return the page of all predictions."""
    figures = [one for paper in papers for own in paper.predictions.values() for one in own.figures]
    found = Counter(one.outcome for one in figures)
    informing = sum(one.outcome == "equal" and one.read.informs for one in figures if one.read)
    lines = [
        "# Predictions",
        f"Of {len(figures)} figures that were predicted, {found['equal']} came out equal, "
        f"{informing} of which inform (the others are arithmetic, fitted, counted twice or had "
        "been verified before), "
        f"{found['different']} different and {found['not printed']} are not printed; "
        f"{found['predicted']} have not been read. Why they are different stands below each "
        "table. Two sorts of source are not the paper itself, a translation and summaries by a "
        "language model: each reading says what was read.",
        *findings_of(papers),
        "## What was predicted",
        "Papers from outside, to which nobody has tuned leomix. The settings that they print were "
        "run, and the figures below were committed, each with a range and its reason, before "
        "anybody here had read the paper's results; what was remembered of them all the same is "
        "stated. The verdict is a later commit: `predicted` (not read yet), `equal` (what is "
        "printed is within the range), `different` (with the reason), or `not printed`. A "
        "prediction that fails stays here. `leomix reproduce` lists all of them, and "
        "`leomix reproduce NAME` runs one of the names below and shows what was predicted beside "
        "what comes out.",
        "\n".join(
            [
                "| paper | figures | states | fixed by commit | verdict by commit |",
                "|---|---|---|---|---|",
                *(
                    f"| [{paper.method}](papers/predictions.md#{slug(paper.method)}) "
                    f"(`{paper.name}`) "
                    f"| {len(prediction.figures)} | {prediction.outcome_text} "
                    f"| `{prediction.commit or '-'}` "
                    f"| {' '.join(f'`{one}`' for one in prediction.verdict_commits) or '-'} |"
                    for paper in papers
                    for prediction in paper.predictions.values()
                ),
            ]
        ),
    ]
    for paper in papers:
        lines.append(f"## {paper.method}")
        where = f", {paper.identity}" if paper.identity else ""
        lines.append(f"{listed_authors(paper)}: *{paper.title}*, {paper.year}{where}. {paper.text}")
        for name, prediction in paper.predictions.items():
            lines += predicted(paper, name, prediction)
    return of_paper(lines)


def findings_of(papers: Sequence[Paper]) -> Iterator[str]:
    """Yield what the authors of these papers would want to know, a paragraph each."""
    known = [
        (paper, one)
        for paper in papers
        for prediction in paper.predictions.values()
        for one in prediction.findings
    ]
    if known:
        yield "## Findings"
        yield "What the authors of these papers would want to know about numbers that they publish."
    for paper, one in known:
        commands = ", ".join(f"`{command}`" for command in one.commands)
        link = f"[{paper.method}](papers/predictions.md#{slug(paper.method)})"
        yield f"**{link}.** Stated: {one.stated} Here: {one.here} {one.so} ({commands})"


def predicted(paper: Paper, name: str, prediction: Prediction) -> Iterator[str]:
    """Yield the parts of an entry that predicts figures."""
    entry = paper.entries[name]
    yield f"**{entry.label}**: {entry.about}."
    rows = "\n".join(row_of_prediction(one) for one in prediction.figures)
    yield (
        "| figure | predicted (range) | why this range | to compare with | printed | state |\n"
        f"|---|---|---|---|---|---|\n{rows}"
    )
    if prediction.known_before:
        yield f"**Known before.** {prediction.known_before}"
    parts = (
        ("Implemented", prediction.implemented),
        ("Approximated", prediction.approximated),
        ("Missing", prediction.missing),
    )
    yield "\n".join(f"- {what}: {'; '.join(said)}." for what, said in parts if said)
    yield from shown_of(paper, name, entry)


def row_of_prediction(one: Predicted) -> str:
    """Return a figure as a row of a table."""
    read = one.read
    value = "-" if read is None else "none" if read.value is None else f"{read.value:g}"
    source = "" if read is None else f" ({read.source}; commit `{read.commit or 'this one'}`)"
    state = one.outcome if read is None or read.informs else f"{one.outcome}, does not inform"
    state = f"{state}: {read.why}" if read is not None and read.why else state
    return (
        f"| {one.figure} | {one.range_text} | {one.why} | {one.look} | {value}{source} | {state} |"
    )


def section(paper: Paper, name: str, entry: Entry) -> Iterator[str]:
    """Yield the parts of an entry."""
    yield f"## {heading(entry)}"
    yield f"{entry.about[:1].upper()}{entry.about[1:]}. Here: {entry.state}."
    yield from shown_of(paper, name, entry)
    if entry.claims:
        rows = "\n".join(row(claim) for claim in entry.claims)
        yield f"| claim | command | measured | verdict |\n|---|---|---|---|\n{rows}"
    if entry.deviation:
        yield f"**Deviation.** {entry.deviation}"
    if entry.code:
        yield f"Code: {', '.join(f'`{code}`' for code in entry.code)}."
    if entry.more:
        yield entry.more
    yield f"**Verdict: {entry.verdict}.**"


def shown_of(paper: Paper, name: str, entry: Entry) -> Iterator[str]:
    """Yield the picture and the table of an entry, and the command that makes them."""
    if (PLACE / paper.name / f"{name}.svg").exists():
        yield f"![{entry.label}, as it comes out here](papers/{paper.name}/{name}.svg)"
    table = PLACE / paper.name / f"{name}.txt"
    if table.exists():
        yield f"```text\n{table.read_text()}```"
    if entry.show is not None:
        runs = paper.runs[entry.show.runs]
        seeds = "one seed" if runs.seeds == 1 else f"{runs.seeds} seeds"
        command = f"`leomix reproduce {paper.name} --figure {name}`"
        yield f"Command: {command} (scenario `{runs.scenario}`, {seeds})."


def row(claim: Claim) -> str:
    """Return a claim as a row of a table."""
    commands = " ".join(f"`{command}`" for command in claim.commands) or "-"
    return f"| {claim.claim} | {commands} | {claim.measured or '-'} | {claim.verdict_text} |"


if __name__ == "__main__":
    main(*sys.argv[1:])
