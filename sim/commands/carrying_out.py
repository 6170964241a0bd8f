"""What the commands that simulate do alike: progress, stopping, and what they show at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sim.commands.arguments import print_json

if TYPE_CHECKING:
    from scenarios import Scenario
    from sim.result import Result


def carried_out(
    start: Callable[..., Result],
    scenario: Scenario,
    place: Path,
    max_wall_s: float,
    quiet: bool,
    json_: bool,
) -> None:
    """Run what ``start`` runs into ``place``, for so long at most, and show what came out."""
    from sim.errors import SimulationError
    from sim.interrupt import stop_on_interrupt
    from sim.progress import Progress
    from sim.text import summary_text

    before = _failure(place)
    try:
        with Progress(scenario, quiet) as progress, stop_on_interrupt(max_wall_s) as each_event:
            result = start(listen=progress, each_event=each_event, each_time=progress.at)
    except SimulationError as error:
        if str(error) != before:
            raise
        again = f"{error}; it failed so before, and --resume does not mend that"
        raise SimulationError(again) from error
    for warning in result.manifest["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    if json_:
        print_json({**result.summary, "folder": str(place)})
    else:
        print(summary_text(result.summary))
        print(f"{'run folder':<14} {place}")
        if progress.shown:
            print(f"next: leomix report {place}", file=sys.stderr)


def _failure(place: Path) -> str | None:
    """Return why the run in ``place`` has failed, if there is one that has."""
    from sim.folder import MANIFEST, read_manifest

    if not (place / MANIFEST).is_file():
        return None
    manifest = read_manifest(place)
    return str(manifest.get("error")) if manifest["status"] == "failed" else None
