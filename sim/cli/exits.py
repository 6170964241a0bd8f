"""What a command tells its caller by its exit code."""

from __future__ import annotations

from enum import IntEnum


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
