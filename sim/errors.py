"""One-line errors of a run; the names of its invariants."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, Self

from sim.process.installation import install_line
from statements import (
    Code,
    KeyPath,
    Other,
    Place,
    Refused,
    Remedy,
    Statement,
    as_key,
    error_code,
    statement_of,
)

MONOTONE = "clock monotone"
NO_MEMORY = "there is not enough memory"
ESTIMATE = "leomix validate tells what a run takes"


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The disk is full, the user's share of it is, or a file is larger than allowed."""


class SimulationError(Exception):
    """A run failed: the text names the actor, the simulated time and the cause.

    ``code`` says of which kind it is, where that is known.
    """

    def __init__(self, text: str = "", code: Code = Code.OTHER) -> None:
        """Keep the text; SimPy rebuilds errors by their arguments."""
        self.code = code
        super().__init__(text, code)

    def __str__(self) -> str:
        """Return the text."""
        return str(self.args[0])


class InvariantError(SimulationError):
    """A run contradicts itself: its traces are kept, but must not be used."""

    def __init__(self, text: str = "", code: Code = Code.INVARIANT) -> None:
        """Keep the text."""
        super().__init__(text, code)


def failure_code(error: BaseException) -> Code:
    """Return of which kind an error is that made a run fail, or kept it from running."""
    if isinstance(error, SimulationError):
        return error.code
    if isinstance(error, OSError) and error.errno in FULL:
        return Code.NO_ROOM
    from learning.invariants import Violation  # `import sim` loads nothing of learning

    if isinstance(error, Violation):
        return Code.INVARIANT
    return Code.NO_MEMORY if isinstance(error, MemoryError) else error_code(error)


def violated(invariant: str, what: str) -> InvariantError:
    """Return the error that says that ``invariant`` is violated, and ``what`` violates it."""
    return InvariantError(f"invariant '{invariant}' is violated: {what}")


class InputError(Refused):
    """The input is wrong: as text it is one line that says where, what and how to mend it."""

    @classmethod
    def of(
        cls, code: Code, key: str | KeyPath, text: str, /, *helps: Remedy, **values: Any
    ) -> Self:
        """Return what is wrong with a dotted key of a scenario, or with none of them."""
        return cls(Statement.of(code, key, text, *helps, **values))

    @classmethod
    def of_option(
        cls, option: str, code: Code, text: str, /, *helps: Remedy, **values: Any
    ) -> Self:
        """Return what is wrong with an option as it was given, ``--days 5``, or with a command."""
        return cls(Statement.of(code, "", text, *helps, **values), Place(option=option))

    @classmethod
    def of_file(
        cls, path: str | Path, code: Code, text: str, /, *helps: Remedy, **values: Any
    ) -> Self:
        """Return what is wrong with a file or a folder."""
        return cls(Statement.of(code, "", text, *helps, **values), Place(file=str(path)))


class Places(Protocol):
    """What knows where keys were given: a scenario."""

    def place_of(self, path: KeyPath) -> Place | None:
        """Return where a key was given; None where it was not."""


@contextmanager
def as_input(
    key: str = "",
    origin: Places | None = None,
    *,
    below: str = "",
    option: str = "",
    file: str = "",
) -> Iterator[None]:
    """Turn a ValueError into an InputError that says the same, and where.

    It is about ``key``, or about the key that it names itself, which lies ``below`` another one;
    ``origin`` knows the place of keys. Else the place is an ``option`` of the command line, or a
    ``file``.
    """
    try:
        yield
    except ValueError as error:
        refused = statement_of(error, key).below(*as_key(below))
        place = error.place if isinstance(error, Refused) else None
        if file or (option and (place is None or not (place.option or place.file))):
            place = Place(option, file)
        elif origin is not None and refused.path:
            place = origin.place_of(refused.path)
        raise InputError(refused, place) from None


@contextmanager
def located(origin: Places) -> Iterator[None]:
    """Say of what is refused, too, where its key was given, if ``origin`` knows it."""
    try:
        yield
    except Refused as error:
        place = None if error.place else origin.place_of(error.statement.path)
        if place is None:
            raise
        raise type(error)(error.statements, place, error.more) from None


def helped(error: ValueError, said: str) -> InputError:
    """Return the InputError of what an error refuses, with one thing more that helps."""
    refused = statement_of(error)
    remedies = (*refused.remedies, Other(said=said))
    place = error.place if isinstance(error, Refused) else None
    return InputError(replace(refused, remedies=remedies), place)


def missing(option: str, extra: str, error: ImportError) -> InputError:
    """Return what to say where the packages of an extra are not installed."""
    return InputError.of_option(
        option,
        Code.NOT_INSTALLED,
        "needs packages that are not installed ({why})",
        f"install them with {install_line(extra)}",
        why=str(error),
    )


class Interrupted(Exception):
    """The run was asked to stop; what was finished is saved and can be resumed.

    Unless ``in_haste``, its model is evaluated once more for who looks at what there is by now.
    """

    def __init__(self, why: str = "", *, in_haste: bool = False) -> None:
        super().__init__(why)
        self.in_haste = in_haste


def custom_line(error: BaseException) -> str:
    """Return the last line of custom code that ``error`` came through, as in `` (mine.py:12)``.

    Custom is what belongs neither to leomix nor to what is installed; empty where there is none.
    """
    from learning.own.raised import line_of  # `import sim` loads nothing of learning

    place = line_of(error)
    return f" ({place})" if place else ""


def asking_line(protocol: object) -> str:
    """Return the line of custom code at which a generator waits, as :func:`custom_line` does."""
    from learning.own.raised import waits_at

    place = waits_at(protocol)
    return f" ({place})" if place else ""


DURATIONS = "no zero or non-finite durations"
