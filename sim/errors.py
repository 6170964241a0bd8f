"""One-line errors of a run; the names of its invariants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from sim.process.installation import install_line

MONOTONE = "clock monotone"
NO_MEMORY = "there is not enough memory"
ESTIMATE = "leomix validate --estimate tells what a run takes"


# Errors of a run. Each carries one line of text, so that SimPy can rebuild it unchanged.


class SimulationError(Exception):
    """A run failed: the text names the actor, the simulated time and the cause."""


class InvariantError(SimulationError):
    """A run contradicts itself: its traces are kept, but must not be used."""


def violated(invariant: str, what: str) -> InvariantError:
    """Return the error that says that ``invariant`` is violated, and ``what`` violates it."""
    return InvariantError(f"invariant '{invariant}' is violated: {what}")


class Code(StrEnum):
    """What kind of thing is wrong, where code compares it; what exactly, the text says."""

    NEVER_SEEN = "never_seen"
    NEVER_SERVED = "never_served"
    NEVER_REACHED = "never_reached"
    NEVER_LINKED = "never_linked"
    NEVER_CARRIED = "never_carried"
    OTHER = "other"


NO_CONTACT = frozenset({Code.NEVER_SEEN, Code.NEVER_SERVED, Code.NEVER_REACHED, Code.NEVER_LINKED})
"""What says that somebody has no way to the server, or to whom the method needs."""
UNSERVABLE = NO_CONTACT | {Code.NEVER_CARRIED}
"""What says that a scenario is well-formed, and can never be served: a result of a sweep."""


class InputError(ValueError):
    """The input is wrong: the text says where, what and how to mend it; ``code`` of which kind."""

    code: Code = Code.OTHER

    def __init__(self, text: str = "", code: Code = Code.OTHER) -> None:
        super().__init__(text)
        self.code = code


@contextmanager
def as_input(before: str = "", located: Callable[[str], str] = str) -> Iterator[None]:
    """Turn a ValueError into an InputError that says the same behind ``before``, and where."""
    try:
        yield
    except ValueError as error:
        raise InputError(located(f"{before}{error}"), code_of(error)) from None


def code_of(error: BaseException) -> Code:
    """Return of which kind an error is."""
    return error.code if isinstance(error, InputError) else Code.OTHER


def missing(option: str, extra: str, error: ImportError) -> InputError:
    """Return what to say where the packages of an extra are not installed."""
    return InputError(
        f"{option}: needs packages that are not installed ({error}); install them with "
        f"{install_line(extra)}"
    )


class Interrupted(Exception):
    """The run was asked to stop; what was finished is saved and can be resumed."""


def custom_line(error: BaseException) -> str:
    """Return the last line of custom code that ``error`` came through, as in `` (mine.py:12)``.

    Custom is what belongs neither to leomix nor to what is installed; empty where there is none.
    """
    import sys
    import sysconfig
    import traceback
    from pathlib import Path

    from sim.process.installation import HOME, PACKAGES

    known = (*(f"{HOME / name}/" for name in PACKAGES), sys.prefix, sysconfig.get_path("stdlib"))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((*known, "<")):
            return f" ({Path(frame.filename).name}:{frame.lineno})"
    return ""


DURATIONS = "no zero or non-finite durations"
