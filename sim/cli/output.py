"""What the commands print: data as JSON on stdout, warnings and errors in lines on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import typer

from sim.cli.exits import ExitCode
from sim.process.terminal import drop_unwritten
from statements import Statement


@contextmanager
def showing(what: str, elsewhere: str, *, json_: bool) -> Iterator[None]:
    """Print on stdout what came of a run or sweep that has ended: a full disk does not undo that.

    A message says how to see it ``elsewhere``. A program that waits for JSON is told by status 1.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        drop_unwritten(sys.stdout)
        why = f"cannot be written ({error.strerror})"
        print(f"{what} {why}: {elsewhere}", file=sys.stderr)
        if json_:
            raise typer.Exit(ExitCode.FAILED) from None


def one_line(text: str) -> str:
    """Return ``text`` on one line; what is out of a file may have others."""
    return " ".join(text.split())


def warn(warnings: Iterable[Statement | str]) -> None:
    """Print warnings, a line each, beside the data on stdout."""
    for warning in warnings:
        print(f"warning: {one_line(str(warning))}", file=sys.stderr)


def print_json(value: object) -> None:
    """Print ``value`` as JSON."""
    print(json.dumps(value, indent=2))
