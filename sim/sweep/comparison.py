"""Comparisons of folders: of runs, of a sweep's combinations, and the choice of its settings."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

from sim.analysis.cases import case_of, compare_cases
from sim.analysis.comparison import Comparison
from sim.analysis.labels import CODE, code_label, labels_of
from sim.analysis.numeric import NumericSweep
from sim.analysis.numeric_text import headline
from sim.analysis.numeric_text import notes as notes_on_numbers
from sim.analysis.ranking import ComparedRun
from sim.analysis.screen import steps_lines
from sim.errors import InputError
from sim.execution.folder import is_sweep
from sim.execution.result import compare_runs, load
from sim.facts.status import COMPLETE
from sim.files import from_here
from sim.formatting import as_yaml, counted
from sim.sweep.best import Choice, best_of
from sim.sweep.folder import Sweep, read_sweep
from sim.sweep.rows import NO_CONTACT, combinations_in, how_complete, missing_status, said_of
from statements import Code, Other, Remedy

Row = Mapping[str, Any]
MORE_REPLICATIONS: Remedy = Other(said="add --replications 5")
"""What helps where points of one seed were compared."""
MOST_READ = 60
"""Complete points up to which their runs are read."""

Folders = str | Path | Sequence[str | Path]


@overload
def compare(folders: Folders) -> Comparison: ...


@overload
def compare(
    folders: Folders,
    *,
    best_by: str,
    at_days: float | None = None,
) -> Choice: ...


def compare(
    folders: Folders,
    *,
    best_by: str | None = None,
    at_days: float | None = None,
) -> Comparison | Choice:
    """Compare the runs in folders, or choose among the combinations of the sweep in a folder.

    Runs that differ in their seed only are one group. Returns a Comparison: ``rows`` is a pandas
    table with one row per figure and group, ``headline`` says in one sentence what was found, and
    as a mapping it is what ``compare --json`` prints. The folder of one sweep is compared by its
    combinations. In a notebook it shows itself as the page of the report.

    With ``best_by``, ``validation`` or a column of the sweep's rows, returns a Choice: ``chosen``
    has the keys of the best combination by variant or method, ``tried`` all combinations, and
    ``write(path)`` writes a file of variants. By validation, runs are compared after ``at_days``,
    or at the earliest end of one of them.
    Raises InputError for a folder without a run, and for a time that not all runs cover.
    """
    several = [folders] if isinstance(folders, str | Path) else list(folders)
    if best_by is None:
        if at_days is not None:
            raise InputError.of_option("--at", Code.CONFLICT, "goes with --best-by")
        if len(several) == 1 and is_sweep(Path(several[0])):
            return compare_sweep(read_sweep(several[0]))
        return compare_runs(several)
    if len(several) != 1 or not is_sweep(Path(several[0])):
        raise InputError.of_option(
            "--best-by", Code.UNSUPPORTED, "takes the folder of one sweep, and no others"
        )
    return best_of(read_sweep(several[0]), best_by, at_days)


def compare_sweep(sweep: Sweep) -> Comparison:
    """Compare the combinations of a sweep's keys; runs that learn are read where they are few."""
    rows = sweep.rows.to_pylist()
    folders = dict.fromkeys(row["folder"] for row in rows if _is_done(row))
    few = len(folders) <= MOST_READ and not sweep.points[0].of_network
    places = {name: sweep.folder / name for name in folders} if few else {}
    read = {name: case_of(load(place), place) for name, place in places.items()}
    return compare_rows(rows, sweep.keys, read)


def compare_rows(
    rows: Sequence[Row], swept: Sequence[str], read: Mapping[str, ComparedRun] = {}
) -> Comparison:
    """Compare the combinations of the keys of some rows; ``read`` are runs by the folder of a row.

    Rows say what was found. Runs that were read add what these lack: curves, for levels as targets,
    checks, and figures without a column.
    """
    keys = [key for key in swept if key != "seed"]
    combinations = combinations_in(rows, keys)
    settings = [{key: own[0][key] for key in keys} for own in combinations]
    labels = labels_of(settings) if keys else ["all seeds"]
    by_label = dict(zip(labels, combinations, strict=True))
    done = [row for row in rows if _is_done(row)]
    cases = [*_complete(by_label, read)]
    without, lacking = _without(by_label)
    found = compare_cases([*cases, *without], lacking, more_seeds=MORE_REPLICATIONS)
    varied = [key for key in keys if len({as_yaml(own[key]) for own in settings}) > 1]
    numeric = NumericSweep.of(by_label, varied, found) if done else None
    by_key = _by_key(found, by_label, varied, numeric)
    title, notes = found.headline, [*found.notes]
    if numeric is not None:
        title, notes = headline(numeric), [*notes_on_numbers(numeric)]
    elif not title:
        title = f"{counted(len(done), 'complete point')}, and nothing to compare"
    if lacking_points := how_complete([row["status"] for row in rows]):
        notes.append(f"{lacking_points}.")
    notes += [
        f"By {key}, all else equal: {own.headline}." for key, own in by_key.items() if own.headline
    ]
    said = [{"point": row["point"], **told} for row in rows if (told := said_of(row))]
    about = {**found.about, "said": [*found.about.get("said", ()), *said]}
    runs: dict[str, list[Path]] = {}
    for case in cases:
        if case.folder is not None:
            runs.setdefault(case.group, []).append(case.folder)
    return replace(
        found,
        headline=title,
        notes=tuple(notes),
        about=about,
        keys_compared=by_key,
        numeric=numeric,
        runs=runs,
    )


def next_steps(sweep: Sweep, found: Comparison, *, in_full: bool = False) -> list[str]:
    """Return commands that go on from here, with what each gives."""
    place = shlex.quote(str(from_here(sweep.folder)))
    steps = [(f"leomix report {place}", "the pictures of all figures")]
    if not found.runs and sweep.finished:  # no run was read
        run = shlex.quote(str(from_here(sweep.finished[0])))
        steps.append((f"leomix show {run}", "one point, with what is said of it"))
    if not in_full:
        steps.append((f"leomix compare {place} --all", "every row and figure"))
    return steps_lines(steps)


def _complete(
    by_label: Mapping[str, Sequence[Row]], read: Mapping[str, ComparedRun]
) -> Iterator[ComparedRun]:
    """Yield the complete points by their rows; runs that were read have what these lack.

    Runs with other custom code are other groups.
    """
    for label, own in by_label.items():
        done = [row for row in own if _is_done(row)]
        if not read:
            yield from (ComparedRun(label, row["seed"], row) for row in done)
            continue
        by_code: dict[str, list[ComparedRun]] = {}
        for folder, row in {row["folder"]: row for row in done}.items():
            run = replace(read[folder], figures={**read[folder].figures, **row})
            by_code.setdefault(code_label(run.manifest), []).append(run)
        for code, runs in by_code.items():
            named = f"{label} {CODE}={code}" if len(by_code) > 1 else label
            yield from (replace(run, group=named) for run in runs)


def _is_done(row: Row) -> bool:
    return bool(row["status"] == COMPLETE)


def _without(by_label: Mapping[str, Sequence[Row]]) -> tuple[list[ComparedRun], dict[str, str]]:
    """Return the points without figures that count, and why combinations have no others.

    That no satellite is seen is a result; what has failed or is missing leaves the others alone.
    """
    cases: list[ComparedRun] = []
    lacking = {}
    for label, own in by_label.items():
        why = {row["seed"]: missing_status(row) for row in own if not _is_done(row)}
        if len(why) == len(own):
            lacking[label] = " or ".join(sorted({*why.values()}))
        cases += [
            ComparedRun(label, seed, {})
            for seed, status in why.items()
            if label in lacking or status == NO_CONTACT
        ]
    return cases, lacking


def _by_key(
    found: Comparison,
    by_label: Mapping[str, Sequence[Row]],
    varied: Sequence[str],
    numeric: NumericSweep | None,
) -> dict[str, Comparison]:
    """Compare the values of each key of names where others vary too."""
    names = [key for key in varied if numeric is None or key in numeric.names]
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
