"""Commands that there are no more, and what to do now."""

from __future__ import annotations

from collections.abc import Sequence

from sim.errors import InputError
from statements import Code, Other

REMOVED = {
    "why": "show RUN says what held the run back, and which key to change",
}


def check_removed(arguments: Sequence[str]) -> None:
    """Raise InputError for a command that there is no more."""
    command = next(iter(arguments), "")
    if command in REMOVED:
        raise InputError.of_option(
            command, Code.UNSUPPORTED, "is gone", Other(said=REMOVED[command])
        )
