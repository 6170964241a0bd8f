"""Comparisons of folders: of runs, of a sweep's combinations, and the choice of its settings."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import overload

from sim.analysis.cases import case_of, compare_rows, is_complete
from sim.analysis.comparison import Comparison
from sim.analysis.screen import steps_lines
from sim.errors import InputError
from sim.execution.folder import is_sweep
from sim.execution.result import compare_runs, load
from sim.files import from_here
from sim.sweep.best import Choice, best_of
from sim.sweep.folder import Sweep, read_sweep
from statements import Code

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
    folders = dict.fromkeys(row["folder"] for row in rows if is_complete(row))
    few = len(folders) <= MOST_READ and not sweep.points[0].of_network
    places = {name: sweep.folder / name for name in folders} if few else {}
    read = {name: case_of(load(place), place) for name, place in places.items()}
    return compare_rows(rows, sweep.keys, read)


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
