"""`leomix run`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sim.commands.arguments import (
    Json,
    MaxWall,
    Quiet,
    ScenarioName,
    Seed,
    SetKeys,
    load,
    wall_s,
    wrong,
)

if TYPE_CHECKING:
    from scenarios import Scenario


def run_command(
    scenario: ScenarioName,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="DIR", help="run folder; default runs/NAME-METHOD-SEED"
        ),
    ] = None,
    set_: SetKeys = None,
    seed: Seed = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run in -o")] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="train anew what has been trained before")
    ] = False,
    max_wall: MaxWall = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Simulate a scenario and write its run folder."""
    from sim.commands.carrying_out import carried_out
    from sim.running import run

    within_s = wall_s(max_wall)
    loaded = load(scenario, set_, seed)
    place = out or _default_folder(loaded, resume)
    start = partial(run, loaded, place, resume, cache=not no_cache)
    carried_out(start, loaded, place, within_s, quiet, json_)


def _default_folder(scenario: Scenario, resume: bool) -> Path:
    """First free folder ``runs/NAME-METHOD-SEED``, with a number behind it if need be."""
    from sim.free_folder import free_folder

    if resume:
        wrong("--resume: name the run's folder with -o DIR")
    name = scenario.source_path.stem if scenario.source_path else "scenario"
    return free_folder(Path("runs") / f"{name}-{scenario.learning.method}-{scenario.seed}")
