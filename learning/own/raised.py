"""What code of one's own may raise, and where it did so."""

from __future__ import annotations

import traceback
from pathlib import Path
from textwrap import shorten

from learning.own.imports import is_own_file

ANYTHING = (Exception, SystemExit)
"""Any error, and the end of the process by ``sys.exit``: leomix says whose it was, and goes on."""
LONGEST_CAUSE = 160
"""Most characters of the cause that a message repeats."""


def line_of(error: BaseException) -> str:
    """Return the last line of custom code that ``error`` came through, ``mine.py:12``.

    Empty where there is none.
    """
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if is_own_file(frame.filename):
            return f"{Path(frame.filename).name}:{frame.lineno}"
    return ""


def waits_at(generator: object) -> str:
    """Return the last line of custom code at which a generator waits; empty where there is none."""
    found = ""
    while (frame := getattr(generator, "gi_frame", None)) is not None:
        if is_own_file(frame.f_code.co_filename):
            found = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        generator = getattr(generator, "gi_yieldfrom", None)
    return found


def place_of(error: BaseException) -> str:
    """Return the same as :func:`line_of`; of text that is no Python the line that is none."""
    if isinstance(error, SyntaxError) and error.filename and is_own_file(error.filename):
        return f"{Path(error.filename).name}:{error.lineno}"
    return line_of(error)


def written_at(function: object) -> str:
    """Return the line at which custom code writes a function; empty for one of others."""
    code = getattr(function, "__code__", None)
    if code is None or not is_own_file(code.co_filename):
        return ""
    return f"{Path(code.co_filename).name}:{code.co_firstlineno}"


def what_of(error: BaseException) -> str:
    """Return what was raised, in a line: ``ZeroDivisionError: division by zero``."""
    text = str(error.msg or "" if isinstance(error, SyntaxError) else error).strip()
    first = shorten(text.partition("\n")[0], LONGEST_CAUSE, placeholder=" ...")
    name = type(error).__name__
    return f"{name}: {first}" if first else name


def cause_of(error: BaseException, place: str = "") -> str:
    """Return what was raised, and where: ``ZeroDivisionError: division by zero, mine.py:1``.

    ``place`` is that of an error that has come through no custom code.
    """
    where = place_of(error) or place
    return f"{what_of(error)}, {where}" if where else what_of(error)
