"""What a sweep says: which combination of its keys is best, and which value of each key."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sim.analysis.cases import cases_of, compare_cases
from sim.analysis.comparison import Comparison, check_lines
from sim.analysis.comparison_text import comparison_text, qualified
from sim.analysis.groups import Group, WithoutTables
from sim.analysis.labels import CODE, code_label, labels_of
from sim.analysis.ranking import Case
from sim.analysis.screen import steps_lines, wrapped
from sim.execution.result import load
from sim.facts.status import COMPLETE
from sim.files import from_here
from sim.formatting import as_yaml, counted
from sim.sweep.axis import OverNumbers, Row
from sim.sweep.axis_text import headline, screen
from sim.sweep.axis_text import notes as axis_notes
from sim.sweep.folder import Sweep
from sim.sweep.rows import NO_CONTACT, combinations_in, how_complete, missing_status, said_of
from statements import Other, Remedy

MORE_SEEDS: Remedy = Other(said="add --replications 5")
"""What helps where points of one seed were compared."""
MOST_RUNS = 60
"""Complete points up to which their runs are read."""


@dataclass(frozen=True)
class Compared:
    """What a sweep says: a comparison of its combinations, and of the values of each key.

    ``keys`` are those with names for values, each compared at all values of the others;
    ``over_numbers`` is what was measured over keys with numbers, where one of them is an axis: its
    sentences are then those of the comparison. ``groups`` are the runs of combinations where these
    are few.
    """

    comparison: Comparison
    keys: Mapping[str, Comparison]
    over_numbers: OverNumbers | None
    groups: Sequence[Group]

    def text(self, *, in_full: bool = False) -> str:
        """Return what a terminal shows; ``in_full`` has all rows and figures."""
        if self.over_numbers is None:
            return comparison_text(self.comparison, in_full=in_full)
        first, rest = self.comparison.headline, qualified(self.comparison)
        checks = [line for check in check_lines(self.comparison) for line in wrapped([check])]
        table = screen(self.over_numbers, in_full=in_full)
        return "\n".join([*wrapped([first]), *wrapped(rest), *checks, "", *table])

    @property
    def printed(self) -> dict[str, Any]:
        """What ``compare --json`` prints."""
        keys = {
            key: {part: own[part] for part in ("headline", "rows")}
            for key, own in self.keys.items()
        }
        return {**self.comparison, "keys": keys}


def compared(sweep: Sweep) -> Compared:
    """Compare the combinations of a sweep's keys; runs that learn are read where they are few."""

    def read(name: str) -> WithoutTables:
        run = load(sweep.folder / name)
        return WithoutTables(run.summary, run.manifest, run.evaluations, run.folder)

    rows = sweep.rows.to_pylist()
    folders = {row["folder"] for row in rows if _is_done(row)}
    few = 0 < len(folders) <= MOST_RUNS and not sweep.points[0].of_network
    return compared_rows(rows, sweep.keys, read if few else None)


def compared_rows(
    rows: Sequence[Row],
    swept: Sequence[str],
    read: Callable[[str], WithoutTables] | None = None,
) -> Compared:
    """Compare the combinations of the keys of some rows; ``read`` reads the run of a folder.

    Rows say what was found. Runs that were read add what these lack: curves, for levels as targets,
    checks, and figures without a column.
    """
    keys = [key for key in swept if key != "seed"]
    combinations = combinations_in(rows, keys)
    settings = [{key: own[0][key] for key in keys} for own in combinations]
    labels = labels_of(settings) if keys else ["all seeds"]
    by_label = dict(zip(labels, combinations, strict=True))
    done = [row for row in rows if _is_done(row)]
    groups = [] if read is None else _groups(by_label, read)
    without, lacking = _without(by_label)
    cases = [*_cases(by_label, groups), *without]
    found = compare_cases(cases, lacking, more_seeds=MORE_SEEDS)
    varied = [key for key in keys if len({as_yaml(own[key]) for own in settings}) > 1]
    numbers = OverNumbers.of(by_label, varied, found) if done else None
    by_key = _by_key(found, by_label, varied, numbers)
    title, notes = found.headline, list(found.notes)
    if numbers is not None:
        title, notes = headline(numbers), [*axis_notes(numbers)]
    elif not title:
        title = f"{counted(len(done), 'complete point')}, and nothing to compare"
    if lacking_points := how_complete([row["status"] for row in rows]):
        notes.append(f"{lacking_points}.")
    notes += [
        f"By {key}, all else equal: {own.headline}." for key, own in by_key.items() if own.headline
    ]
    said = [{"point": row["point"], **told} for row in rows if (told := said_of(row))]
    about = {**found.about, "said": [*found.about.get("said", ()), *said]}
    found = replace(found, headline=title, notes=tuple(notes), about=about)
    return Compared(found, by_key, numbers, groups)


def next_steps(sweep: Sweep, found: Compared, *, in_full: bool = False) -> list[str]:
    """Return commands that go on from here, with what each gives."""
    place = shlex.quote(str(from_here(sweep.folder)))
    steps = [(f"leomix report {place}", "the pictures of all figures")]
    if not found.groups and sweep.finished:  # no run was read
        run = shlex.quote(str(from_here(sweep.finished[0])))
        steps.append((f"leomix show {run}", "one point, with what is said of it"))
    if not in_full:
        steps.append((f"leomix compare {place} --all", "every row and figure"))
    return steps_lines(steps)


def _cases(by_label: Mapping[str, Sequence[Row]], groups: Sequence[Group]) -> Iterator[Case]:
    """Yield the complete points by their rows; runs that were read have what these lack."""
    done = [(label, row) for label, own in by_label.items() for row in own if _is_done(row)]
    if not groups:
        yield from (Case(label, row["seed"], row) for label, row in done)
    by_folder = {Path(row["folder"]).name: row for _, row in done}
    for group in groups:
        for case, run in zip(cases_of(group), group.runs, strict=True):
            yield replace(case, figures={**case.figures, **by_folder[run.folder.name]})


def _is_done(row: Row) -> bool:
    return bool(row["status"] == COMPLETE)


def _without(by_label: Mapping[str, Sequence[Row]]) -> tuple[list[Case], dict[str, str]]:
    """Return the points without figures that count, and why combinations have no others.

    That no satellite is seen is a result; what has failed or is missing leaves the others alone.
    """
    cases: list[Case] = []
    lacking = {}
    for label, own in by_label.items():
        why = {row["seed"]: missing_status(row) for row in own if not _is_done(row)}
        if len(why) == len(own):
            lacking[label] = " or ".join(sorted({*why.values()}))
        cases += [
            Case(label, seed, {})
            for seed, status in why.items()
            if label in lacking or status == NO_CONTACT
        ]
    return cases, lacking


def _groups(
    by_label: Mapping[str, Sequence[Row]], read: Callable[[str], WithoutTables]
) -> list[Group]:
    """Return the runs of each combination; with other code of one's own they are other groups."""
    groups = []
    for label, own in by_label.items():
        by_code: dict[str, list[WithoutTables]] = {}
        for folder in dict.fromkeys(row["folder"] for row in own if _is_done(row)):
            run = read(folder)
            by_code.setdefault(code_label(run.manifest), []).append(run)
        for code, runs in by_code.items():
            named = f"{label} {CODE}={code}" if len(by_code) > 1 else label
            groups.append(Group(named, tuple(runs)))
    return groups


def _by_key(
    found: Comparison,
    by_label: Mapping[str, Sequence[Row]],
    varied: Sequence[str],
    numbers: OverNumbers | None,
) -> dict[str, Comparison]:
    """Compare the values of each key of names where others vary too."""
    names = [key for key in varied if numbers is None or key in numbers.names]
    asked = names if len(varied) > 1 and found.figures else []
    compared = {}
    for key in asked:
        rest = [other for other in varied if other != key]
        places = {}
        for group in {*found.values["group"]}:
            label, _, code = group.partition(f" {CODE}=")
            row = by_label[group if group in by_label else label][0]
            setting = [*(row[other] for other in rest), code]
            places[group] = (as_yaml(row[key]), as_yaml(setting))
        compared[key] = found.regrouped(places)
    return compared
