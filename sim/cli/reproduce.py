"""`leomix reproduce`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.cli import options, output
from sim.cli.exits import ExitCode
from sim.cli.options import spread_out
from sim.errors import InputError
from statements import Code

if TYPE_CHECKING:
    from sim.papers.paper import Paper
    from sim.papers.reproducing import Reproduced, Reproduction


@dataclass(frozen=True)
class Chosen:
    """Which entries of which papers are run."""

    paper: Annotated[
        str | None,
        typer.Argument(metavar="[PAPER]", help="name of a paper; without it: list all of them"),
    ] = None
    figure: Annotated[
        list[str] | None,
        typer.Option("--figure", metavar="ID", help="only this entry, like fig-5; repeat it"),
    ] = None
    all_: Annotated[bool, typer.Option("--all", help="all entries of all papers")] = False
    quick: Annotated[
        bool, typer.Option("--quick", help="few seeds and rounds: minutes, and no verdict")
    ] = False

    def papers(self) -> list[Paper]:
        """Return the papers that are run; InputError for options that do not go together."""
        from sim.papers.registry import paper_of, papers

        if self.all_ and (self.paper or self.figure):
            what = "a paper" if self.paper else "--figure"
            raise InputError.of_option(
                "--all", Code.CONFLICT, f"is given with {what}; leave one of them out"
            )
        if self.paper is None and not self.all_:
            for option, given in (("--figure", self.figure), ("--quick", self.quick)):
                if given:
                    raise InputError.of_option(
                        option, Code.MISSING, "name the paper, or give --all"
                    )
        if self.paper is not None:
            return [paper_of(self.paper)]
        return list(papers()) if self.all_ else []


@spread_out
def reproduce_command(
    chosen: Chosen,
    *,
    out: Annotated[
        Path | None, options.output("default runs/papers/PAPER; what is in it is not run again")
    ] = None,
    jobs: options.Jobs = 1,
    shown: options.Shown,
) -> None:
    """List papers and their verdicts, or run their figures and tables and compare the numbers.

    Exit status 2 where an entry that --figure names lacks its data set: its timing alone is run.
    """
    papers = chosen.papers()
    if not papers:
        _list(as_json=shown.json_)
        return
    found = []
    for one in _reproductions(papers, chosen, out, jobs, quiet=shown.quiet):
        for made in one.run():
            found.append(made)
            _show(made, as_json=shown.json_)
    if shown.json_:
        output.print_json([_row(made) for made in found])
    if chosen.figure and any(made.lacks for made in found):
        raise typer.Exit(ExitCode.WRONG_INPUT)  # only its timing was run


def _reproductions(
    papers: Sequence[Paper], asked: Chosen, out: Path | None, jobs: int, *, quiet: bool
) -> list[Reproduction]:
    """Return what is to be run of each paper, checked."""
    from sim.papers.reproducing import Reproduction, chosen
    from sim.sweep.request import workers

    found = []
    for paper in papers:
        if asked.all_ and not paper.shown:
            continue
        name = f"{paper.name}-quick" if asked.quick else paper.name
        if out is None:
            place = Path("runs") / "papers" / name
        else:
            place = out / paper.name if asked.all_ else out
        ids = chosen(paper, asked.figure or ())
        made = Reproduction(paper, ids, place, asked.quick, workers(jobs), quiet)
        made.check()
        found.append(made)
    return found


def _show(made: Reproduced, *, as_json: bool) -> None:
    from sim.papers.reproducing import note_lacking

    note_lacking(made)
    if not as_json:
        print(made.text, end="\n\n", flush=True)


def _row(made: Reproduced) -> dict[str, Any]:
    prediction = made.entry.prediction
    return {
        "paper": made.paper.name,
        "entry": made.id,
        "quick": made.quick,
        "lacks": list(made.lacks),
        "table": [list(made.shown.head), *map(list, made.shown.rows)],
        "measured": dict(made.shown.measured),
        "printed": [
            {"figure": printed.figure, "paper": printed.text, "here": value, "equal": same}
            for printed, value, same in made.compared
        ],
        "predicted": [
            {
                **one.model_dump(mode="json", exclude={"read", "look", "why"}),
                "here": value,
                "in_range": same,
                "state": one.outcome,
            }
            for one, value, same in made.foreseen
        ],
        "verdict": made.entry.verdict if prediction is None else prediction.outcome_text,
        "picture": None if made.picture is None else str(made.picture),
    }


def _list(*, as_json: bool) -> None:
    """List all papers with the number of claims by verdict, and the entries that can be run."""
    from sim.formatting import table
    from sim.papers.paper import VERDICTS
    from sim.papers.registry import papers

    known = list(papers())
    outside = [paper for paper in known if paper.predictions]
    if as_json:
        output.print_json([paper.model_dump(mode="json", exclude={"path"}) for paper in known])
        return
    rows = [
        [paper.name, paper.method, paper.identity, *map(str, paper.verdicts().values())]
        for paper in known
        if paper not in outside
    ]
    print(table(("paper", "method", "where", *VERDICTS), rows))
    print()
    if outside:
        _list_predictions(outside)
    for paper in known:
        print(f"{paper.name}: {', '.join(paper.shown) or 'no entry can be run'}")
    print(
        "\nrun one: leomix reproduce PAPER --figure ID, or all of a paper: leomix reproduce PAPER"
    )


def _list_predictions(outside: Sequence[Paper]) -> None:
    """List the figures that are predicted, and what became of them."""
    from sim.formatting import table

    rows = [
        [paper.name, name, one.figure, one.range_text, one.outcome]
        for paper in outside
        for name, prediction in paper.predictions.items()
        for one in prediction.figures
    ]
    print(table(("predicted of", "entry", "figure", "value (range)", "state"), rows))
    reasons = [
        f"{paper.name} {name} {reason}"
        for paper in outside
        for name, prediction in paper.predictions.items()
        for reason in prediction.reasons
    ]
    print("\n".join(reasons) + "\n" if reasons else "")
