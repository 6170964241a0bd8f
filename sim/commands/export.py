"""`leomix export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sim.commands.arguments import RunFolder


def export_command(
    run: RunFolder,
    to: Annotated[
        str, typer.Option("--to", metavar="FORMAT", help="csv, parquet (the tables) or peft")
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", metavar="PATH", help="empty folder; default RUN_DIR/export/FORMAT"),
    ] = None,
) -> None:
    """Write a run's tables, or its trained experts as PEFT adapters, for other tools."""
    from sim.export_command import export

    print("\n".join(str(path) for path in export(run, to, out)))
