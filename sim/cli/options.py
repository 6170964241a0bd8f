"""What the commands share: arguments, scenarios with overrides, one-line errors and JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from sim.errors import InputError

if TYPE_CHECKING:
    from scenarios import Scenario

ScenarioName = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="a YAML file, or a shipped name")
]
SetKeys = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="override a key of the scenario; repeat it"),
]
Seed = Annotated[int | None, typer.Option("--seed", help="override the scenario's seed")]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="ignore cached results and train everything again")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress on stderr")]
MaxWall = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="save and stop after so much wall time: 90min, 2h, 5400"),
]
Board = Annotated[
    Path | None,
    typer.Option(
        "--tensorboard",
        metavar="DIR",
        help="write accuracy and loss for TensorBoard while it goes on, to DIR/NAME",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]


def output(help_: str) -> Any:
    """Return the option ``-o DIR``."""
    return typer.Option("-o", "--output", metavar="DIR", help=help_)


def go_on(what: str) -> Any:
    """Return the option ``--resume`` of a command that makes a run, a fork or a sweep."""
    return typer.Option("--resume", help=f"go on with the {what} in -o")


RunFolder = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="folder of a run")]
RunFolders = Annotated[list[Path], typer.Argument(metavar="RUN_DIR...", help="folders of runs")]


def overrides_of(set_: list[str] | None, seed: int | None) -> dict[str, Any]:
    """Return the overrides that ``--set`` and ``--seed`` ask for, by dotted key."""
    overrides: dict[str, Any] = {}
    for pair in set_ or []:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InputError(
                f"--set {pair}: should be KEY=VALUE, for example --set orbit.min_elevation_deg=20"
            )
        overrides[key] = value
    if seed is not None:
        overrides["seed"] = seed
    return overrides


def wall_s(text: str | None) -> float:
    """Return the seconds of ``--max-wall``; inf without it."""
    from math import inf

    from sim.formatting import parse_seconds

    return inf if text is None else parse_seconds("--max-wall", text)


def load(name: str, set_: list[str] | None, seed: int | None) -> Scenario:
    """Load a scenario with its overrides."""
    import scenarios

    return scenarios.load(name, overrides_of(set_, seed))


def drop_unwritten(stream: TextIO) -> None:
    """Drop what a stream holds and cannot write, which Python would try again at its end."""
    try:
        stream.flush()
    except OSError:
        number = stream.fileno()
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)


@contextmanager
def showing(what: str, elsewhere: str, json_: bool) -> Iterator[None]:
    """Print on stdout what came of a run or sweep that has ended: a full disk does not undo that.

    A message says how to see it ``elsewhere``. A program that waits for JSON is told by status 1.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        drop_unwritten(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            why = f"cannot be written ({error.strerror})"
            print(f"{what} {why}: {elsewhere}", file=sys.stderr)
        if json_:
            raise typer.Exit(1) from None


def one_line(text: str) -> str:
    """Return ``text`` on one line; what is out of a file may have others."""
    return " ".join(text.split())


def warn(lines: Iterable[str]) -> None:
    """Print warnings, a line each, beside the data on stdout."""
    for line in lines:
        print(f"warning: {one_line(line)}", file=sys.stderr)


def print_json(value: object) -> None:
    """Print ``value`` as JSON."""
    import json

    print(json.dumps(value, indent=2))
