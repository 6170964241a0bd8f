"""From folders of runs and sweeps to the file of a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sim.errors import InputError
from sim.reports import one_run, place, several, swept
from sim.reports.page import Page, html
from sim.writing import write_text


def report(folders: Sequence[str | Path], out: str | Path | None = None) -> Path:
    """Write the report of a run, of a sweep, or of several of them side by side; return its path.

    Default ``out``: ``report.html`` in the folder of the one run or sweep, else in the current one.
    The same folders give the same bytes. Raises InputError for a folder that holds no run with
    tables, and for a file that is not a report or cannot be written.
    """
    places = list(dict.fromkeys(Path(folder) for folder in folders))
    if not places:
        raise InputError("report: name at least one folder of a run or sweep")
    path = place.checked(places, None if out is None else Path(out))
    text = html(_page(places))
    try:
        write_text(path, text)
    except OSError as error:
        raise InputError(f"-o {path}: cannot be written ({error.strerror or error})") from error
    return path


def _page(places: Sequence[Path]) -> Page:
    if len(places) == 1:
        [one] = places
        return swept.page(one) if swept.is_sweep(one) else one_run.page(one)
    return several.page([run for one in places for run in _runs(one)])


def _runs(one: Path) -> Sequence[Path]:
    return swept.finished(one) if swept.is_sweep(one) else [one]
