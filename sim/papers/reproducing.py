"""An entry of a paper is run again: its runs as a sweep, then its table, figure and verdict."""

from __future__ import annotations

import inspect
import math
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import style

import scenarios
from scenarios.files import learning_files, local_path, locate
from sim.errors import InputError, Interrupted, SimulationError, as_input, at_option
from sim.execution.result import load
from sim.facts.status import COMPLETE
from sim.files import check_out, write_text
from sim.formatting import as_yaml, listed, table
from sim.papers.drawings import predictions
from sim.papers.forms import FORMS, PaperRun, Shown
from sim.papers.paper import Entry, Paper, Predicted, Printed, Runs
from sim.sweep.folder import read_sweep
from sim.sweep.points import SweepPlan, scenario_name
from sim.sweep.request import SweepOptions, SweepRequest
from sim.sweep.running import axes_of, run_sweep
from sim.sweep.text import failures_text
from statements import Code, Other

if TYPE_CHECKING:
    from sim.sweep.folder import Sweep

RUNS = "runs"
"""The folder of the sweeps, in that of a paper."""
TIMING = "timing"
"""The form, and the ending of the folder, of runs whose data are not there."""


@dataclass(frozen=True)
class Asked:
    """Runs of a paper that are asked for; ``lacks`` are files of data that are not there."""

    name: str
    source: str
    runs: Runs
    lacks: tuple[str, ...]

    @property
    def plan(self) -> SweepPlan:
        """The sweep that they are; timing only where data are not there."""
        untrained = {**self.runs.stand_in, "learning.train": False} if self.lacks else {}
        # A sweep varies something: of a single run its name.
        varied = self.runs.variants or self.runs.vary or self.runs.seeds > 1
        variants = self.runs.variants if varied else {self.name: {}}
        return SweepPlan(
            scenario=self.source,
            overrides={**self.runs.set, **untrained},
            axes=axes_of(self.runs.vary, variants or None),
            sampling="grid",
            samples=None,
            replications=self.runs.seeds,
        )

    @property
    def folder(self) -> str:
        """The name of the sweep's folder."""
        return f"{self.name}-{TIMING}" if self.lacks else self.name


@dataclass(frozen=True)
class Reproduced:
    """An entry as it came out, and what is said of it.

    ``lacks`` are files of data that are not there: nothing was trained then.
    """

    paper: Paper
    id: str
    entry: Entry
    shown: Shown
    quick: bool
    lacks: tuple[str, ...] = ()
    picture: Path | None = None

    @property
    def stand_in(self) -> str:
        """Which data stand in for those that are not there; empty where nothing has to."""
        show = self.entry.show
        keys = {} if show is None else self.paper.runs[show.runs].stand_in
        return f", with {as_yaml(keys)} in their place" if keys else ""

    @property
    def compared(self) -> list[tuple[Printed, float, bool]]:
        """What the paper prints, what came out, and whether that is the same."""
        found = []
        for printed in self.entry.printed if not self.lacks else ():
            value = self.shown.measured.get(printed.figure, math.nan)
            found.append((printed, value, printed.is_met(value)))
        return found

    @property
    def foreseen(self) -> list[tuple[Predicted, float, bool]]:
        """What was predicted, what came out here, and whether that is within its range."""
        prediction = self.entry.prediction
        found = []
        for one in prediction.figures if prediction is not None and not self.lacks else ():
            value = self.shown.measured.get(one.figure, math.nan)
            found.append((one, value, one.holds(value)))
        return found

    @property
    def table_text(self) -> str:
        """The table in the paper's form."""
        return table(self.shown.head, self.shown.rows)

    @property
    def compared_text(self) -> str:
        """The numbers that the paper prints beside those that came out; empty without any."""
        if self.lacks or not self.entry.printed:
            return ""
        rows = [
            [printed.figure, printed.text, f"{value:.4g}", "equal" if same else "different"]
            for printed, value, same in self.compared
        ]
        return table(("the paper prints", "paper", "here", ""), rows)

    @property
    def foreseen_text(self) -> str:
        """The figures that were predicted beside those of these runs; empty without any."""
        rows = [
            [
                one.figure,
                one.range_text,
                "-" if math.isnan(value) else f"{value:.4g}",
                "not run" if math.isnan(value) else "in range" if same else "out of range",
                "-" if one.read is None or one.read.value is None else f"{one.read.value:g}",
                one.outcome,
            ]
            for one, value, same in self.foreseen
        ]
        head = ("predicted", "value (range)", "here", "", "the paper", "state")
        return table(head, rows) if rows else ""

    @property
    def verdict_text(self) -> str:
        """The verdict of the entry, and of each of its claims with its reason.

        Where figures are predicted: how many came out how, and why some differ.
        """
        prediction = self.entry.prediction
        if prediction is not None:
            return "\n".join([prediction.outcome_text, *prediction.reasons])
        lines = [f"{self.entry.verdict} (the verdict of the registry, on its full runs)"]
        lines += [f"- {one.claim}: {one.verdict_text}" for one in self.entry.claims]
        return without_links("\n".join(lines))

    @property
    def text(self) -> str:
        """All of it, as the command prints it."""
        head = f"{self.paper.name} {self.id}: {self.entry.label}, {self.entry.about}"
        parts = [without_links(head), "", self.table_text, ""]
        if self.lacks:
            parts += [f"timing only, as there is no {listed(self.lacks)}{self.stand_in}", ""]
        elif self.foreseen:
            parts += [self.foreseen_text, ""]
        elif not self.entry.printed:
            parts += ["no number that the paper prints is compared with these runs", ""]
        else:
            parts += [self.compared_text, ""]
        if self.quick:
            parts += ["cut short by --quick: too few seeds or rounds for a verdict", ""]
        parts += ["verdict  " + self.verdict_text.replace("\n", "\n         ")]
        if self.entry.deviation:
            parts += [f"deviation  {without_links(self.entry.deviation)}"]
        if self.picture is not None:
            parts += [f"picture  {self.picture}"]
        return "\n".join(parts)


def without_links(text: str) -> str:
    """Return markdown with the words of its links only."""
    return re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)


def chosen(paper: Paper, ids: Sequence[str]) -> list[str]:
    """Return the entries of a paper to run: those named, or all that can be run.

    Raises InputError for an unknown entry, and for one that is not run.
    """
    runnable = list(paper.shown)
    if not runnable:
        raise InputError.of_file(
            paper.path,
            Code.MISSING,
            "no entry can be run",
            Other(said="give runs with a scenario, and an entry that shows them"),
        )
    for name in ids:
        if name in runnable:
            continue
        near = get_close_matches(name, paper.entries, n=1)
        if name in paper.entries:
            entry = paper.entries[name]
            what = f"{entry.label} is not run ({entry.state}); these are: {', '.join(runnable)}"
            raise InputError.of_option(f"--figure {name}", Code.UNSUPPORTED, what)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(runnable)}"
        raise InputError.of_option(
            f"--figure {name}", Code.WRONG_VALUE, f"{paper.name} has no such entry; {hint}"
        )
    return list(dict.fromkeys(ids)) or runnable


@dataclass(frozen=True)
class Reproduction:
    """Entries of a paper that are to be run, and where.

    ``out`` has the sweeps in ``runs``, and a table (and a figure) of each entry. What is in it is
    not run again.
    """

    paper: Paper
    ids: Sequence[str]
    out: Path
    quick: bool = False
    jobs: int = 1
    quiet: bool = True

    def check(self) -> None:
        """Raise InputError for what is wrong in any of it, before anything is run."""
        check_out(self.out)
        for asked in self.asked.values():
            with _of_paper(self.paper, asked.name):
                self._request(asked).points  # noqa: B018 (makes and checks them)
        for name in self.ids:
            show = self.paper.shown[name].show
            assert show is not None
            with as_input(file=str(self.paper.path)):
                form = FORMS.find(show.form)
                try:
                    inspect.signature(form).bind([], **show.options)
                except TypeError as error:
                    raise ValueError(f"entries.{name}.show.options: {error}; correct it") from None

    @cached_property
    def asked(self) -> dict[str, Asked]:
        """The runs that the entries need, by name."""
        needed = {
            show.runs for name in self.ids if (show := self.paper.shown[name].show) is not None
        }
        found = {}
        for name, runs in self.paper.runs.items():
            if name in needed:
                own = runs.shortened() if self.quick else runs
                with _of_paper(self.paper, name):
                    source = _source(self.paper, own)
                    found[name] = Asked(name, source, own, tuple(_lacking(source, own)))
        return found

    def run(self) -> Iterator[Reproduced]:
        """Run what is left, and yield each entry as it comes out, when its table is written.

        Raises SimulationError if a run fails, and Interrupted.
        """
        for name in self.ids:
            yield self._one(name)

    def _one(self, name: str) -> Reproduced:
        entry = self.paper.entries[name]
        show = entry.show
        assert show is not None  # check has seen it
        asked = self.asked[show.runs]
        runs = self._made(asked)
        with style.context("sim.report.figures"):
            if asked.lacks:
                shown = FORMS.find(TIMING)(runs)
            else:
                shown = FORMS.find(show.form)(runs, **show.options)
            figure, picture = shown.figure, None
            if figure is None and entry.prediction is not None and not asked.lacks:
                figure = predictions(entry.prediction.figures, shown.measured)
            if figure is not None:
                picture = self.out / f"{name}.svg"
                figure.savefig(picture, metadata={"Date": None})
        found = Reproduced(self.paper, name, entry, shown, self.quick, asked.lacks, picture)
        parts = [found.table_text, found.compared_text, found.foreseen_text]
        write_text(self.out / f"{name}.txt", "\n\n".join(filter(None, parts)) + "\n")
        return found

    def _request(self, asked: Asked) -> SweepRequest:
        place = self.out / RUNS / asked.folder
        return SweepRequest(
            asked.plan,
            SweepOptions(out=place, workers=self.jobs, resume=place.exists()),
            many=True,
        )

    def _made(self, asked: Asked) -> list[PaperRun]:
        """Return the runs of a sweep, of which those that are there are not made again."""
        request = self._request(asked)
        try:
            place = run_sweep(request, quiet=self.quiet, doubts=not self.quiet).place
        except Interrupted:
            raise Interrupted("the same command goes on") from None
        return list(_runs_in(read_sweep(place)))


def _runs_in(swept: Sweep) -> Iterator[PaperRun]:
    failed = list(failures_text(swept.rows, swept.keys))
    if failed:
        raise SimulationError(failed[0])
    for row, folder in zip(swept.rows.to_pylist(), swept.folders, strict=True):
        if row["status"] != COMPLETE:
            raise SimulationError(f"{folder}: is {row['status']}")
        values = {key: row[key] for key in swept.keys if key != "variant"}
        yield PaperRun(row.get("variant") or "", values, row["seed"], load(folder))


@contextmanager
def _of_paper(paper: Paper, name: str) -> Iterator[None]:
    """Say of what is refused, too, that it is due to these runs in the file of a paper."""
    try:
        yield
    except InputError as error:
        if error.place is not None and (error.place.option or error.place.file):
            raise
        raise at_option(f"{paper.path}: runs.{name}", error) from None


def _source(paper: Paper, runs: Runs) -> str:
    """Return the scenario of runs: the path of a file beside the paper's, or a shipped name."""
    beside = paper.path.parent / runs.scenario
    return scenario_name(str(beside) if beside.is_file() else runs.scenario)


def _lacking(source: str, runs: Runs) -> Iterator[str]:
    """Yield the files of data and weights that are not there and that the runs would train with."""
    if runs.set.get("learning.train") is False:
        return
    named = scenarios.load(locate(source), {**runs.set, "learning.train": False})
    for _, text in learning_files(named):
        if not Path(local_path(named, text)).exists():
            yield text


def note_lacking(found: Reproduced) -> None:
    """Say on stderr which data are not there, and that the timing alone was run."""
    if found.lacks:
        print(
            f"note: {found.paper.name} {found.id}: {listed(found.lacks)}: no such file; put it "
            "into the current folder for the accuracy (the page your-own.md says what is in it); "
            f"this is the timing alone{found.stand_in}",
            file=sys.stderr,
        )
