"""`leomix export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[
    Path, typer.Argument(metavar="RUN_DIR", help="folder of a run; of a sweep with csv, parquet")
]
Format = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="FORMAT",
        help="csv, parquet (the tables), perfetto, czml, tensorboard or peft (trained experts)",
    ),
]
Place = Annotated[
    Path | None,
    typer.Option("-o", metavar="PATH", help="new or empty folder; default RUN_DIR/export/FORMAT"),
]


def export_command(run: Folder, to: Format, out: Place = None) -> None:
    """Write a run for other tools: its tables, traces, orbits, curves or trained experts.

    In CSV, text that begins like a formula (with =, +, - or @) gets a ' before it.
    """
    from sim.as_written import as_written
    from sim.exports.exporting import export

    with as_written([run]):
        exported = export(run, to, out)
    for note in exported.notes:
        print(note, file=sys.stderr)
    print("\n".join(str(path) for path in exported.paths))
