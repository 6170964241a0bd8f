"""`leomix run`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sim.commands.arguments import Json, ScenarioName, Seed, SetKeys, load, print_json, wrong

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
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress on stderr")] = False,
    json_: Json = False,
) -> None:
    """Simulate a scenario and write its run folder."""
    from sim.interrupt import stop_on_interrupt
    from sim.progress import Progress
    from sim.running import run
    from sim.text import summary_text

    loaded = load(scenario, set_, seed)
    place = out or _default_folder(loaded, resume)
    with Progress(loaded, quiet) as progress, stop_on_interrupt() as each_event:
        result = run(
            loaded,
            place,
            resume,
            listen=progress,
            each_event=each_event,
            each_time=progress.at,
            cache=not no_cache,
        )
    for warning in result.manifest["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    if json_:
        print_json({**result.summary, "folder": str(place)})
    else:
        print(summary_text(result.summary))
        print(f"{'run folder':<14} {place}")
        if progress.shown:
            print(f"next: leomix report {place}", file=sys.stderr)


def _default_folder(scenario: Scenario, resume: bool) -> Path:
    """First free folder ``runs/NAME-METHOD-SEED``, with a number behind it if need be."""
    from sim.free_folder import free_folder

    if resume:
        wrong("--resume: name the run's folder with -o DIR")
    name = scenario.source_path.stem if scenario.source_path else "scenario"
    return free_folder(Path("runs") / f"{name}-{scenario.learning.method}-{scenario.seed}")
