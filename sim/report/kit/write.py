"""The kit for a paper: a folder of figures, tables, captions and references that LaTeX takes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.analysis.citations import citations
from sim.analysis.comparison import Comparison, Group, compare_groups, group_runs
from sim.analysis.curves import MEASURED, Over, Steps, What, curve_of
from sim.analysis.judged import Judged
from sim.analysis.lead import FEWEST
from sim.analysis.targets import Evaluation
from sim.analysis.verdict_text import MORE_SEEDS
from sim.errors import InputError
from sim.execution.folder import is_sweep
from sim.execution.result import Result, load
from sim.execution.status import COMPLETE
from sim.files import folder_at_once, naming
from sim.formatting import counted, filled
from sim.plots.accuracy import draw_curves
from sim.plots.colours import COLOURS
from sim.report.figures import drawn, write_csv
from sim.report.kit import captions, tables
from sim.report.latex import escaped, tabular
from sim.sweep import read_sweep
from sim.sweep.answers_text import MORE_SEEDS as MORE_POINTS
from sim.sweep.folder import run_folders
from sim.sweep.side_by_side import groups_of
from statements import Code, Other, Remedy

FORMS = ("pdf", "svg", "pgf")
COLUMN_IN = 3.5
"""Width of a column in inches."""
LINE_LETTERS = 54
"""Letters that a line of a legend has room for there."""
MOST_STEPS = 300
"""Steps of a curve that a column can show."""
MOST_KEPT = 3000
"""Steps that are kept of a curve of contacts or transfers, of which there may be millions."""
ONE_COLUMN, TWO_COLUMNS = 50, 106
"""Letters of a table that fit one column, and both."""
Views = Mapping[tuple[What, Over], Steps]


@dataclass(frozen=True)
class Kept:
    """What a kit needs of a run: its tables have left memory, and its curves are kept."""

    summary: Mapping[str, Any]
    manifest: Mapping[str, Any]
    evaluations: Sequence[Evaluation]
    views: Views = field(repr=False)

    @classmethod
    def of(cls, run: Result) -> Kept:
        """Keep what is needed of a run."""
        trained = bool(run.evaluations)
        judged = Judged(run.summary["judged_by"])
        wanted = [*captions.judged_curves(judged, trained=trained), *captions.ALWAYS]
        spent, simulated_s = run.manifest.get("spent"), run.manifest["simulated_s"]
        views: dict[tuple[What, Over], Steps] = {}
        for what, over in dict.fromkeys(wanted):
            curve = curve_of(run.tables, simulated_s, what, over, spent=spent)
            if curve is not None:
                # One of transfers has a step for each of them.
                views[what, over] = curve if what in MEASURED else curve.thinned(MOST_KEPT)
        return cls(run.summary, run.manifest, run.evaluations, views)


def _check_place(place: Path) -> None:
    """Raise InputError for a ``place`` of a kit that is a file, or a folder that is not empty."""
    if place.exists() and not (place.is_dir() and not any(place.iterdir())):
        raise InputError.of_option(
            f"--paper {place}",
            Code.WRONG_FILE,
            "is not an empty folder",
            Other(said="name another one"),
        )


def write_kit(folders: Sequence[Path], place: Path) -> None:
    """Write figures, tables, captions, references and an example of a paper into ``place``.

    It is of one sweep, or of several runs and sweeps: groups of runs that differ in their seed
    alone. Everything appears at the end, or nothing does, and the same folders give the same bytes.
    Raises InputError where ``place`` is not a new or empty folder, and where a group has too few
    seeds for an interval, unless nothing is drawn at random.
    """
    _check_place(place)
    groups, more_seeds = _groups(folders)
    unfinished = list(_unfinished(folders))
    runs = [run for group in groups for run in group.runs]
    drawn_at_random = any(run.manifest.get("drawn") is not False for run in runs)
    if drawn_at_random:
        _check_seeds(groups, place, more_seeds)
    comparison = compare_groups(groups, more_seeds)
    kit = _Kit(groups, comparison, drawn_at_random, unfinished)
    with naming(place), folder_at_once(place) as part:
        kit.write(part)


def _groups(folders: Sequence[Path]) -> tuple[list[Group], Remedy]:
    """Return groups of runs that differ in their seed, as `compare` makes them, with their curves.

    And what helps where there are too few seeds.
    """
    if len(folders) == 1 and is_sweep(folders[0]):
        sweep = read_sweep(folders[0])
        runs = {
            one.relative_to(sweep.folder).as_posix(): Kept.of(load(one)) for one in sweep.finished
        }
        if runs:
            return groups_of(sweep, sweep.rows.to_pylist(), runs), MORE_POINTS
    each = {folder.resolve(): folder for folder in run_folders(folders)}
    return group_runs([Kept.of(load(one)) for one in each.values()]), MORE_SEEDS


def _unfinished(folders: Sequence[Path]) -> Iterator[str]:
    """Yield a sentence for each sweep that lacks points."""
    for place in filter(is_sweep, folders):
        statuses = read_sweep(place).rows.column("status").to_pylist()
        if left := sum(status != COMPLETE for status in statuses):
            yield f"{left} of {len(statuses)} points of {place.name} are not complete."


def _check_seeds(groups: Sequence[Group], place: Path, more_seeds: Remedy) -> None:
    fewest = min(groups, key=lambda group: len(group.runs))
    if len(fewest.runs) < FEWEST:
        raise InputError.of_option(
            f"--paper {place}",
            Code.FEW_SEEDS,
            "{group} has {seeds}, and a 95 % interval takes {least}",
            more_seeds,
            group=fewest.label,
            seeds=counted(len(fewest.runs), "seed"),
            least=FEWEST,
        )


@dataclass(frozen=True)
class _Kit:
    """Groups of runs, what a comparison of them has found, and the files that are made of these.

    ``unfinished`` says what is missing of sweeps.
    """

    groups: Sequence[Group]
    comparison: Comparison
    drawn_at_random: bool
    unfinished: Sequence[str] = ()

    @property
    def manifests(self) -> list[Mapping[str, Any]]:
        """The manifests of all runs."""
        return [run.manifest for group in self.groups for run in group.runs]

    @property
    def _settings(self) -> str:
        return captions.settings(self.manifests, drawn=self.drawn_at_random)

    def write(self, place: Path) -> None:
        """Write all files into an empty folder."""
        for name in ("figures", "tables"):
            (place / name).mkdir()
        figures = dict(self._write_figures(place / "figures"))
        made = list(self._tables())
        for table in made:
            path = place / "tables" / table.name
            path.with_suffix(".tex").write_text(tabular(table.laid), encoding="utf-8")
            write_csv(table.data, path.with_suffix(".csv"))
        said = figures | {table.name: self._caption_of(table) for table in made}
        settings = self._settings
        (place / "captions.tex").write_text(_macros(said, settings), encoding="utf-8")
        (place / "captions.md").write_text(_markdown(said, settings), encoding="utf-8")
        (place / "references.bib").write_text(citations(self.manifests), encoding="utf-8")
        (place / "paper.tex").write_text(self._paper(list(figures), made), encoding="utf-8")

    def _shown(self) -> list[Group]:
        """Return the groups of which figures have lines: of more than can be told apart, the first.

        Those are the best by the figure that comes first.
        """
        if len(self.groups) <= len(COLOURS):
            return list(self.groups)
        if not self.comparison.answers:
            return list(self.groups[: len(COLOURS)])
        best = [row.label for row in self.comparison.answers[0].rows[: len(COLOURS)]]
        return [group for group in self.groups if group.label in best]

    def _write_figures(self, place: Path) -> Iterator[tuple[str, str]]:
        """Write each figure in all forms, with its data; yield its name and its caption."""
        judged = Judged(self.comparison["judged_by"])
        shown = self._shown()
        trained = any(run.evaluations for group in shown for run in group.runs)
        shared = self.comparison["shared_target"]
        for what, over in captions.judged_curves(judged, trained=trained):
            each = {group.label: _curves(group, what, over) for group in shown}
            if not any(curve.values.any() for own in each.values() for curve in own):
                continue
            if over in ("bytes", "energy") and not any(c.end for own in each.values() for c in own):
                continue
            letters = sum(len(label) + 5 for label in each)
            files, data = drawn(
                FORMS,
                draw_curves,
                (COLUMN_IN, 2.1 + 0.14 * math.ceil(letters / LINE_LETTERS)),
                "sim.report.column",
                curves=each,
                methods=[group.runs[0].manifest.get("method") for group in shown],
                over=over,
                what=what,
                targets=[] if shared is None else [float(shared)],
                seeds=False,
                most=MOST_STEPS,
            )
            name = f"{what.replace('_', '-')}-over-{over}"
            for form, written in files.items():
                (place / f"{name}.{form}").write_bytes(written)
            write_csv(data, place / f"{name}.csv")
            yield name, self._of_some(captions.of_curves(what, over, shown, shared), len(shown))

    def _of_some(self, caption: str, shown: int) -> str:
        if shown == len(self.groups):
            return caption
        few = f"{caption} {shown} of {len(self.groups)} groups"
        answers = self.comparison.answers
        return f"{few}, those that lead by {answers[0].measure.name}." if answers else f"{few}."

    def _tables(self) -> Iterator[tables.Table]:
        yield tables.results(self.comparison)
        over_bytes = [
            [run.views.get(("accuracy", "bytes")) for run in group.runs] for group in self.groups
        ]
        yield from filter(None, (tables.targets(self.comparison, over_bytes),))
        yield from filter(None, (tables.tests(self.comparison),))

    def _caption_of(self, table: tables.Table) -> str:
        if table.name == "results":
            shared = " ".join([*self.unfinished, self._settings])
            return captions.of_results(self.comparison, self.groups, shared)
        if table.name == "targets":
            return captions.of_targets(self.groups)
        return captions.of_tests(self.comparison)

    def _paper(self, figures: Sequence[str], made: Sequence[tables.Table]) -> str:
        shown = len(self._shown())
        names = sorted({str(manifest.get("name")) for manifest in self.manifests})
        values = {
            "title": f"Results of {', '.join(names)}",
            "headline": self.comparison.headline,
            "figures": [(name, _macro(name)) for name in figures],
            "tables": [(one.name, _macro(one.name), *_size(one.laid.letters)) for one in made],
            "words": WORDS,
            "shown": shown if shown < len(self.groups) else None,
            "groups": len(self.groups),
        }
        return filled("sim.report", "templates", "paper.tex", values, {"latex": escaped})


WORDS = {
    "accuracy-over-time": "the accuracy over simulated time",
    "accuracy-over-bytes": "the accuracy over what was sent",
    "accuracy-over-energy": "the accuracy over the energy that was spent",
    "loss-over-time": "the loss over simulated time",
    "loss-over-bytes": "the loss over what was sent",
    "loss-over-energy": "the loss over the energy that was spent",
    "cycles-over-time": "the complete cycles over simulated time",
    "sent-bytes-over-time": "what was sent over simulated time",
    "results": "what came out, and what it took",
    "targets": "what it took to reach target accuracies",
    "tests": "the differences, and how they were tested",
}
"""What the example of a paper says of each figure and table."""


def _curves(group: Group, what: What, over: Over) -> list[Steps]:
    return [run.views[what, over] for run in group.runs if (what, over) in run.views]


def _size(letters: int) -> tuple[str, str]:
    """Return whether a table of a width spans both columns, and how large its letters are."""
    if letters <= ONE_COLUMN:
        return "", "footnotesize"
    return "*", "footnotesize" if letters <= TWO_COLUMNS else "scriptsize"


def _macro(name: str) -> str:
    """Return the name of a caption's macro, which has letters only."""
    return f"leomix{''.join(word.capitalize() for word in name.split('-'))}"


def _macros(said: Mapping[str, str], settings: str) -> str:
    """Return captions as macros of LaTeX; figures and tables are called as their files."""
    lines = [f"\\newcommand{{\\{_macro(name)}}}{{{escaped(said[name])}}}" for name in said]
    return "\n".join([*lines, f"\\newcommand{{\\leomixSettings}}{{{escaped(settings)}}}", ""])


def _markdown(said: Mapping[str, str], settings: str) -> str:
    parts = [f"## {name}\n\n{text}\n" for name, text in {**said, "settings": settings}.items()]
    return "\n".join(["# Captions\n", *parts])
