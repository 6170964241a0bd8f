"""What commands print, data on stdout and messages on stderr, and their exit codes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from enum import IntEnum
from typing import TextIO

import typer

from sim.process.terminal import drop_unwritten, escaping
from statements import Statement

_ANSWERS: ContextVar[TextIO | None] = ContextVar("answers", default=None)


def answers() -> TextIO:
    """Return where JSON is printed: the stdout that is kept for it, if one is."""
    return _ANSWERS.get() or sys.stdout


@contextmanager
def json_alone() -> Iterator[None]:
    """Keep stdout for JSON: what else is printed meanwhile goes to stderr.

    So does what code of the user's own prints, and, where stdout is that of the process, programs
    that it starts.
    """
    out = sys.stdout
    kept = _own_stdout(out)
    stream = out if kept is None else open(kept, "w", encoding=out.encoding, errors=out.errors)  # noqa: SIM115
    token = _ANSWERS.set(escaping(stream))
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _ANSWERS.reset(token)
        drop_unwritten(stream)
        if kept is not None:
            drop_unwritten(out)
            os.dup2(kept, STDOUT)
            stream.close()


STDOUT = 1
"""The number of the file that all programs print to."""


def _own_stdout(out: TextIO) -> int | None:
    """Let the process's stdout be its stderr; return the number of the former, None for another."""
    try:
        if out.fileno() != STDOUT:
            return None
        errors = sys.stderr.fileno()
    except (OSError, ValueError):  # a stream without a file
        return None
    drop_unwritten(out)
    kept = os.dup(STDOUT)
    os.dup2(errors, STDOUT)
    return kept


@contextmanager
def showing(what: str, elsewhere: str, *, json_: bool) -> Iterator[None]:
    """Print on stdout what came of a run or sweep that has ended: a full disk does not undo that.

    A message says how to see it ``elsewhere``. A program that waits for JSON is told by status 1.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        drop_unwritten(answers())
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
    print(json.dumps(value, indent=2), file=answers(), flush=True)


class ExitCode(IntEnum):
    """Exit codes of ``leomix``; a sweep and a dry run give those of what they ran."""

    DONE = 0
    FAILED = 1
    """A run failed, a sweep has no point that is done, or ``doctor`` found something wrong."""
    WRONG_INPUT = 2
    PARTLY = 3
    """A sweep has points left to be done."""
    NO_RESULT = 4
    """A complete run that trains, and of which the server used no update."""
    INTERRUPTED = 130
