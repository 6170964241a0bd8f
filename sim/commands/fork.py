"""`leomix fork`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from sim.commands.arguments import (
    Json,
    MaxWall,
    Quiet,
    RunFolder,
    SetKeys,
    overrides_of,
    wall_s,
    wrong,
)


def fork_command(
    run: RunFolder,
    at: Annotated[
        str, typer.Option(metavar="TIME", help="simulated time: 36h, 2d, 90min, 5400 (seconds)")
    ],
    set_: SetKeys = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="run folder; default RUN_DIR-fork"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the fork in -o")] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="train anew what has been trained before")
    ] = False,
    max_wall: MaxWall = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Go on with a run from some time on with keys of its scenario changed."""
    import scenarios
    from sim.as_written import as_written
    from sim.commands.carrying_out import carried_out
    from sim.forking import fork
    from sim.forking.changes import changed
    from sim.forking.parent import Parent
    from sim.free_folder import free_folder
    from sim.times import seconds

    within_s, at_s, overrides = wall_s(max_wall), seconds("--at", at), overrides_of(set_, None)
    if resume and out is None:
        wrong("--resume: name the fork's folder with -o DIR")
    place = out or free_folder(run.with_name(f"{run.resolve().name}-fork"))
    with as_written([run]):
        parent = Parent.read(run)
        parent.check_time(at_s)
        scenario = scenarios.from_stored(changed(parent.said, overrides), {})
    start = partial(fork, run, at_s, overrides, place, resume, cache=not no_cache)
    carried_out(start, scenario, place, within_s, quiet, json_)
