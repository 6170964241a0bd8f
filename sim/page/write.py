"""`report(folders)`: one HTML file of runs or sweeps."""

from collections.abc import Sequence
from pathlib import Path

from sim.analysis.comparison import Comparison
from sim.errors import InputError
from sim.execution.folder import is_sweep
from sim.execution.result import load
from sim.files import check_file, check_not_a_pipe, check_within, write_text
from sim.page import comparison_page, run_page, study_page
from sim.page.figures import Figures
from sim.page.page import MARK, Page, html
from sim.sweep import Sweep, read_sweep
from sim.sweep.folder import run_folders
from statements import Code

REPORT_NAME = "report.html"
HEAD_BYTES = 512
"""A report says within this what it is."""


def checked(folders: Sequence[Path], out: Path | None) -> Path:
    """Return the path to write to; raise InputError if a report cannot or must not go there."""
    path = (
        (folders[0] / REPORT_NAME if len(folders) == 1 else Path(REPORT_NAME))
        if out is None
        else out
    )
    if out is not None or path.parent.is_dir():
        check_file(path, ".html", ".htm")
    check_not_a_pipe(path)
    check_within(path.parent, path.with_name(f".{path.name}.part"))  # written first: see at_once
    if path.exists():
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if f'content="{MARK}"'.encode() not in head:
            raise InputError.of_option(
                f"-o {path}",
                Code.WRONG_FILE,
                "is there already and no report of leomix",
                "name another file",
            )
    return path


def report(
    folders: Sequence[str | Path],
    out: str | Path | None = None,
    figures: str | Path | None = None,
) -> Path:
    """Write the report of a run, of a sweep, or of several of them side by side; return its path.

    Default ``out``: ``report.html`` in the folder of the one run or sweep, else in the current one.
    ``figures`` is a folder for every figure as PDF and SVG, those of the page's chart too, with the
    data behind each as CSV, and for the tables of a comparison as CSV; files of the same names are
    replaced. The same folders give the same bytes.
    Raises InputError for a folder that holds no run with tables, and for a file that is not a
    report or cannot be written.
    """
    places = list(dict.fromkeys(Path(folder) for folder in folders))
    if not places:
        raise InputError.of_option(
            "report", Code.MISSING, "name at least one folder of a run or sweep"
        )
    path = checked(places, None if out is None else Path(out))
    page = _page(places)
    into = None if figures is None else Path(figures)
    try:
        if into is not None:
            into.mkdir(parents=True, exist_ok=True)
        text = html(page, Figures(into))
    except OSError as error:
        raise InputError.of_option(
            f"--figures {into}",
            Code.WRONG_FILE,
            "cannot be written ({strerror})",
            strerror=error.strerror,
        ) from error
    write_page(path, text)
    return path


def write_page(path: Path, text: str) -> None:
    """Write a page at once; raise InputError where it cannot be written."""
    try:
        write_text(path, text)
    except OSError as error:
        raise InputError.of_option(
            f"-o {path}", Code.WRONG_FILE, f"cannot be written ({error.strerror or error})"
        ) from error


def page_of(shown: Comparison | Sweep) -> str:
    """Return the page of a comparison of runs in folders, or of a sweep, for a notebook.

    Raises InputError for a comparison of runs that lie in no folder.
    """
    if isinstance(shown, Sweep):
        page = comparison_page.page_of_sweep(shown)
    else:
        page = comparison_page.page_of_runs(shown.folders)
    return html(page, Figures())


def _page(places: Sequence[Path]) -> Page:
    sweeps = [is_sweep(one) for one in places]
    if sweeps == [False]:
        run = load(places[0])
        return study_page.page_of_study(run) if run.of_network else run_page.page_of_run(run)
    if sweeps == [True]:
        return comparison_page.page_of_sweep(read_sweep(places[0]))
    return comparison_page.page_of_runs(run_folders(places))
