"""The kit for a paper: a folder of figures, tables and captions that LaTeX takes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sim.analysis.comparison import Comparison, Group, compare_groups, group_runs
from sim.analysis.curves import MEASURED, Over, Steps, What, curve_of
from sim.analysis.judged import Judged
from sim.analysis.lead import FEWEST
from sim.analysis.targets import Evaluation, given, named
from sim.analysis.verdict_text import MORE_SEEDS
from sim.errors import InputError
from sim.execution.folder import is_sweep
from sim.execution.result import Result, load
from sim.facts.status import COMPLETE
from sim.files import folder_at_once, naming
from sim.formatting import counted, filled, listed
from sim.plots.accuracy import Manner, draw_curves
from sim.plots.canvas import UNITS, Unit
from sim.plots.colours import COLOURS
from sim.plots.over_key import draw_over_key
from sim.report.figures import drawn, write_csv
from sim.report.kit import captions, over_keys, tables
from sim.report.kit.captions import Said
from sim.report.latex import Laid, escaped, tabular
from sim.report.scenario_text import scenario_yaml
from sim.sweep import read_sweep
from sim.sweep.answers import best_target
from sim.sweep.answers_text import MORE_SEEDS as MORE_POINTS
from sim.sweep.common_target import with_common_target
from sim.sweep.folder import points_missing, run_folders
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
ONE_COLUMN, TWO_COLUMNS = 54, 106
"""Letters of a table that fit one column, and both."""
MOST_TARGETS = 3
"""Targets of which a figure has lines."""
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
    """Write figures, tables, captions and an example of a paper into ``place``.

    It is of one sweep, or of several runs and sweeps: groups of runs that differ in their seed
    alone. Everything appears at the end, or nothing does, and the same folders give the same bytes.
    Raises InputError where ``place`` is not a new or empty folder, and where a group has too few
    seeds for an interval, unless nothing is drawn at random.
    """
    _check_place(place)
    groups, more_seeds, target = _groups(folders)
    unfinished = list(points_missing(folders))
    runs = [run for group in groups for run in group.runs]
    drawn_at_random = any(run.manifest.get("drawn") is not False for run in runs)
    if drawn_at_random:
        _check_seeds(groups, place, more_seeds)
    comparison = compare_groups(groups, more_seeds, target=target)
    kit = _Kit(groups, comparison, drawn_at_random, unfinished)
    with naming(place), folder_at_once(place) as part:
        kit.write(part)


def _groups(folders: Sequence[Path]) -> tuple[list[Group], Remedy, str | None]:
    """Return groups of runs that differ in their seed, as `compare` makes them, with their curves.

    And what helps where there are too few seeds, and the target of a sweep, by which `compare` and
    the page compare its points; None leaves it to the comparison.
    """
    if len(folders) == 1 and is_sweep(folders[0]):
        sweep = read_sweep(folders[0])
        runs = {
            one.relative_to(sweep.folder).as_posix(): Kept.of(load(one)) for one in sweep.finished
        }
        if runs:
            rows = with_common_target(sweep, runs).to_pylist()
            target = best_target([row for row in rows if row["status"] == COMPLETE])
            return groups_of(sweep, rows, runs), MORE_POINTS, target
    each = {folder.resolve(): folder for folder in run_folders(folders)}
    return group_runs([Kept.of(load(one)) for one in each.values()]), MORE_SEEDS, None


def _check_seeds(groups: Sequence[Group], place: Path, more_seeds: Remedy) -> None:
    fewest = min(groups, key=lambda group: len(group.runs))
    if len(fewest.runs) < FEWEST:
        trained = any(run.evaluations for group in groups for run in group.runs)
        what = "data and start weights" if trained else "links, places or faults"
        raise InputError.of_option(
            f"--paper {place}",
            Code.FEW_SEEDS,
            "{group} has {seeds}, and a 95 % interval takes {least}, as {what} are drawn at random",
            MORE[more_seeds],
            group=fewest.label,
            seeds=counted(len(fewest.runs), "seed"),
            least=FEWEST,
            what=what,
        )


WITHOUT = "or take --figures DIR, which needs no interval"
"""The way out of too few seeds."""
MORE: dict[Remedy, Remedy] = {
    MORE_POINTS: Other(said=f"add --replications {FEWEST} or more to the sweep, {WITHOUT}"),
    MORE_SEEDS: Other(said=f"run {FEWEST} seeds or more (--seed), {WITHOUT}"),
}
"""What helps where a kit lacks seeds."""


def _clock(manifests: Iterable[Mapping[str, Any]]) -> Unit:
    """Return the unit of all times of a kit: days, or hours if no run is as long as two days."""
    days, hours, *_ = UNITS
    longest_s = max(float(manifest["simulated_s"]) for manifest in manifests)
    return hours if longest_s < 2 * days.seconds else days


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

    @cached_property
    def clock(self) -> Unit:
        """The unit of all times."""
        return _clock(self.manifests)

    @cached_property
    def targets(self) -> list[str]:
        """The targets of figures: those of the scenarios, at most three, else the shared one.

        Of more than three it is the shared one, and of the others the highest that were reached.
        """
        shared = self.comparison["shared_target"]
        asked = sorted({one for manifest in self.manifests for one in given(manifest)})
        if not asked:
            return [] if shared is None else [shared]
        if len(asked) > MOST_TARGETS:
            reached = [one for one in map(named, asked) if self._has_reached(one)]
            chosen = [shared, *reversed(reached), *map(named, asked)]
            kept = [one for one in dict.fromkeys(chosen) if one is not None]
            return sorted(kept[:MOST_TARGETS], key=float)
        return [named(one) for one in asked]

    def _has_reached(self, target: str) -> bool:
        return any(g["hours_to"][target]["reached"] for g in self.comparison["groups"])

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
            path.with_suffix(".tex").write_text(_with_width(table.laid), encoding="utf-8")
            if table.short is not None and table.laid.letters > ONE_COLUMN:
                short = path.with_name(f"{table.name}-short.tex")
                short.write_text(_in_one_column(table.short), encoding="utf-8")
            write_csv(table.data, path.with_suffix(".csv"))
        said = figures | {table.name: self._caption_of(table) for table in made}
        settings = self._settings
        (place / "captions.tex").write_text(_macros(said, settings), encoding="utf-8")
        (place / "captions.md").write_text(_markdown(said, settings), encoding="utf-8")
        self._write_scenarios(place / "scenarios")
        (place / "paper.tex").write_text(self._paper(figures, made), encoding="utf-8")

    def _write_scenarios(self, place: Path) -> None:
        """Write the scenario of each group as its first seed ran it, in the order of the tables."""
        place.mkdir()
        for number, group in enumerate(self.groups, start=1):
            seeds = sorted(int(run.summary["seed"]) for run in group.runs)
            first = min(group.runs, key=lambda run: int(run.summary["seed"]))
            about = f"# {' '.join(group.label.split())}: seeds {listed([*map(str, seeds)])}\n"
            text = about + scenario_yaml(first.manifest["scenario"])
            (place / f"group-{number}.yaml").write_text(text, encoding="utf-8")

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

    def _write_figures(self, place: Path) -> Iterator[tuple[str, Said]]:
        """Write each figure in all forms, with its data; yield its name and its caption."""
        judged = Judged(self.comparison["judged_by"])
        shown = self._shown()
        trained = any(run.evaluations for group in shown for run in group.runs)
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
                targets=[float(one) for one in self.targets],
                manner=Manner(seeds=False, most=MOST_STEPS, clock=self.clock, all_targets=True),
            )
            name = f"{what.replace('_', '-')}-over-{over}"
            for form, written in files.items():
                (place / f"{name}.{form}").write_bytes(written)
            write_csv(data, place / f"{name}.csv")
            yield (
                name,
                self._of_some(captions.of_curves(what, over, shown, self.targets), len(shown)),
            )
        yield from self._write_over_keys(place)

    def _write_over_keys(self, place: Path) -> Iterator[tuple[str, Said]]:
        """Write what came out over the values of each key that has numbers, in all forms."""
        for one in over_keys.of(self.groups, self.comparison, self.clock):
            letters = sum(len(label) + 5 for label in one.lines)
            extra = 0.14 * math.ceil(letters / LINE_LETTERS) if len(one.lines) > 1 else 0.0
            size_in = (COLUMN_IN, 2.1 + extra)
            files, data = drawn(
                FORMS,
                draw_over_key,
                size_in,
                "sim.report.column",
                lines=one.lines,
                methods=one.methods,
                key=one.key,
                head=one.head,
            )
            for form, written in files.items():
                (place / f"{one.name}.{form}").write_bytes(written)
            write_csv(data, place / f"{one.name}.csv")
            said = captions.over_key(one.what, one.called, self.groups, shared=one.target)
            yield one.name, said

    def _of_some(self, said: Said, shown: int) -> Said:
        if shown == len(self.groups):
            return said
        few = f"{said.note} {shown} of {len(self.groups)} groups"
        answers = self.comparison.answers
        by = f", those that lead by {answers[0].measure.name}" if answers else ""
        return said._replace(note=f"{few}{by}.")

    def _tables(self) -> Iterator[tables.Table]:
        yield tables.results(self.comparison, self.clock)
        over_bytes = [
            [run.views.get(("accuracy", "bytes")) for run in group.runs] for group in self.groups
        ]
        yield from filter(None, (tables.targets(self.comparison, over_bytes, self.clock),))
        yield from filter(None, (tables.tests(self.comparison, self.clock),))

    def _caption_of(self, table: tables.Table) -> Said:
        if table.name == "results":
            missing = " ".join(self.unfinished)
            return captions.of_results(self.comparison, self.groups, missing, self.clock)
        if table.name == "targets":
            return captions.of_targets(self.groups, self.clock)
        return captions.of_tests(self.comparison)

    def _paper(self, figures: Mapping[str, Said], made: Sequence[tables.Table]) -> str:
        shown = len(self._shown())
        names = sorted({str(manifest.get("name")) for manifest in self.manifests})
        headline = self.comparison.headline
        values = {
            "title": f"Results of {', '.join(names)}",
            # It has days: where all else has hours, a reader would take them for these.
            "headline": ""
            if self.clock.name == "hours" and HAS_DAYS.search(headline)
            else headline,
            "figures": [(name, _macro(name)) for name in figures],
            "tables": [(one.name, _macro(one.name), *_size(one.laid.letters)) for one in made],
            "words": {name: _about(said) for name, said in figures.items()} | WORDS,
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


def _about(said: Said) -> str:
    """Return what a caption begins with, to stand within a sentence."""
    what = said.caption.partition(":")[0]
    return f"the {what[0].lower()}{what[1:]}"


def _curves(group: Group, what: What, over: Over) -> list[Steps]:
    return [run.views[what, over] for run in group.runs if (what, over) in run.views]


def _size(letters: int) -> tuple[str, str]:
    """Return whether a table of a width spans both columns, and how large its letters are."""
    if letters <= ONE_COLUMN:
        return "", "footnotesize"
    return "*", "footnotesize" if letters <= TWO_COLUMNS else f"scriptsize{NARROW}"


NARROW = r"\setlength{\tabcolsep}{3pt}"
"""Sets the columns of a table close to each other, which both columns of a page have no room for
else."""
HAS_DAYS = re.compile(r"\bdays\b", re.IGNORECASE)


def _with_width(laid: Laid) -> str:
    """Return a table behind a line that says what it fits into."""
    star, size = _size(laid.letters)
    columns = "both columns" if star else "one column"
    return f"% For {columns}, in \\{size}: \\begin{{table{star}}}\n{tabular(laid)}"


def _in_one_column(laid: Laid) -> str:
    """Return a short form behind such a line: it has smaller letters where its labels are long."""
    size = "footnotesize" if laid.letters <= ONE_COLUMN else "scriptsize"
    return f"% For one column, in \\{size}: \\begin{{table}}\n{tabular(laid)}"


DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
"""Names of digits, which the name of a macro must not have."""


def _macro(name: str) -> str:
    """Return the name of a caption's macro, which has letters only."""
    words = re.findall(r"[A-Za-z]+|[0-9]", name)
    said = (DIGITS[int(word)] if word.isdigit() else word.capitalize() for word in words)
    return f"leomix{''.join(said)}"


def _macros(said: Mapping[str, Said], settings: str) -> str:
    """Return captions and notes as macros of LaTeX, called as the files."""
    lines = [
        f"\\newcommand{{\\{_macro(name)}{ending}}}{{{escaped(text)}}}"
        for name, both in said.items()
        for ending, text in (("", both.caption), ("Note", both.note))
    ]
    return "\n".join([*lines, f"\\newcommand{{\\leomixSettings}}{{{escaped(settings)}}}", ""])


def _markdown(said: Mapping[str, Said], settings: str) -> str:
    parts = [f"## {name}\n\n{one.caption}\n\nNote: {one.note}\n" for name, one in said.items()]
    parts.append(f"## settings\n\n{settings}\n")
    return "\n".join(["# Captions\n", *parts])
