"""`leomix report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report_command(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN_DIR...", help="folders of runs, or of sweeps")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", metavar="FILE.html", help="default RUN_DIR/report.html; of several: report.html"
        ),
    ] = None,
) -> None:
    """Write one HTML page that opens offline: of a run, of a sweep, or of several runs compared."""
    from sim.as_written import as_written
    from sim.reports import report

    with as_written(runs):
        print(report(runs, out))
