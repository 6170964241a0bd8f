"""`leomix why`."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from sim.cli import options, output
from sim.cli.options import spread_out

Bounds = Annotated[
    bool | None,
    typer.Option(
        "--bounds/--no-bounds",
        help="run centralised and local training beside it, and compare the clients' gradients; "
        "default: if such a run takes seconds",
    ),
]
AllowCode = Annotated[
    bool,
    typer.Option(
        "--allow-code",
        help="let the runs beside it run the Python code that the run names, as "
        "LEOMIX_ALLOW_CODE=1 does",
    ),
]
NoTry = Annotated[bool, typer.Option("--no-try", help="try no key: only read the run")]
WALL_S = 600.0
"""Seconds that the runs beside a run take together, unless --max-wall says otherwise."""


@spread_out
def why_command(
    run: options.RunFolder,
    out: Annotated[
        Path | None, options.output("where the runs beside it are kept; default RUN_DIR/why")
    ] = None,
    *,
    bounds: Bounds = None,
    no_try: NoTry = False,
    allow_code: AllowCode = False,
    limits: options.Limits,
    shown: options.Shown,
) -> None:
    """Say why a run took so long, why accuracy stopped where it did, and try what helps.

    The first line is the finding. Keys are tried in runs from the start, which take trainings from
    the cache and ten minutes together at most (--max-wall).
    """
    from scenarios.files import code_allowed
    from sim.analysis.diagnosis_text import why_text
    from sim.execution.folder import as_written
    from sim.execution.why import Asked, why

    def begins(what: str) -> None:
        if not shown.quiet:
            print(f"running {what}", file=sys.stderr)

    asked = Asked(
        tries=not no_try,
        bounds=bounds,
        max_wall_s=WALL_S if limits.max_wall is None else limits.max_wall_s,
        cache=not limits.no_cache,
        begins=begins,
    )
    with as_written([run]), code_allowed() if allow_code else nullcontext():
        found = why(run, asked, out)
        if shown.json_:
            output.print_json(found.as_json())
        else:
            tried, besides = ([vars(one) for one in each] for each in (found.tried, found.bounds))
            print(why_text(found.diagnosis, tried, besides, found.refused))
