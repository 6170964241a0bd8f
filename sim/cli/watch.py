"""`leomix watch`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sim.cli.exits import ExitCode
from sim.errors import Interrupted


def watch_command(
    folder: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="folder of a run or a sweep")],
    out: Annotated[
        Path | None, typer.Option("-o", metavar="FILE.html", help="default RUN_DIR/report.html")
    ] = None,
    every_s: Annotated[
        float, typer.Option("--every", metavar="SECONDS", help="time between two pages")
    ] = 5.0,
) -> None:
    """Write the page of a run or a sweep anew while it goes on, until it has ended.

    Exit status 0 once it is complete, 1 if it failed, 3 if --resume can go on with it.
    """
    from sim.execution.folder import as_written
    from sim.facts.status import COMPLETE, FAILED
    from sim.formatting import Bar
    from sim.report.watch import watch
    from sim.report.watched import State

    written: list[Path] = []

    def wrote(path: Path) -> None:
        written.append(path)
        print(path, flush=True)

    try:
        with as_written([folder]), Bar(quiet=False) as bar:
            bar.start("looking", 1.0)

            def tell(state: State) -> None:
                bar.update(f"{state.text}, {state.since}", state.share, 1.0)

            ended = watch(folder, out, every_s, tell=tell, wrote=wrote)
    except KeyboardInterrupt:
        kept = f"the page stays as it is: {written[0]}" if written else "no page was written"
        raise Interrupted(kept) from None
    print(ended.text, file=sys.stderr)
    if ended.status != COMPLETE:
        raise typer.Exit(ExitCode.FAILED if ended.status == FAILED else ExitCode.PARTLY)
