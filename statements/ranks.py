"""In which order things are said: the largest that was found first, what limits it after it."""

from collections.abc import Iterable
from enum import IntEnum

from statements.code import Code, Severity
from statements.statement import Statement


class Rank(IntEnum):
    """How large it is what is said; the first one is said first."""

    NO_RESULT = 1
    """Nothing came of a run, or nothing can."""
    LOST = 2
    """Some of what was sent, or asked for, is not there."""
    HELD_BACK = 3
    """It takes longer, carries less or learns less than it may look."""
    GIVEN = 4
    """What was given, or is there, is not what it should be."""
    LIMIT = 5
    """What limits the meaning of all that was found."""


_CODES: dict[Rank, tuple[Code, ...]] = {
    Rank.NO_RESULT: (
        *(Code.INVARIANT, Code.NO_ROOM),
        *(Code.NO_MEMORY, Code.NEVER_SEEN, Code.NEVER_SERVED, Code.NEVER_REACHED),
        *(Code.NEVER_LINKED, Code.DEVICE_MEMORY, Code.DIVERGING),
    ),
    Rank.LOST: (*(Code.LOST_REPLIES, Code.INCOMPLETE, Code.SPLIT_NETWORK),),
    Rank.HELD_BACK: (
        *(Code.SLOW_TRAINING, Code.MANY_ROUNDS),
        *(Code.WEAK_LINK, Code.LATE_ACQUISITION, Code.NARROW_BEAM),
        *(Code.LONG_SESSION, Code.NO_EXAMPLES),
    ),
    Rank.GIVEN: (
        *(Code.UNKNOWN_KEY, Code.WRONG_VALUE, Code.MISSING, Code.UNUSED, Code.CONFLICT),
        *(Code.UNSUPPORTED, Code.NO_CONSENT, Code.NO_FILE, Code.BROKEN_FILE, Code.WRONG_FILE),
        *(
            Code.NOT_RECORDED,
            Code.AMBIGUOUS,
            Code.FLOWN_ALTITUDE,
            Code.OLD_ELEMENTS,
            Code.TIME_SCALE,
            Code.LEFT_OUT,
        ),
        *(Code.HIGH_EFFICIENCY, Code.OWN_CODE, Code.NOT_CACHED, Code.NOT_INSTALLED),
        *(Code.UNREACHABLE, Code.OTHER),
    ),
    Rank.LIMIT: (
        *(Code.NOT_DRAWN, Code.FEW_SEEDS, Code.TEST_SAMPLES),
        *(Code.OTHER_LOSSES, Code.OTHER_VERSIONS),
    ),
}
RANKS: dict[Code, Rank] = {code: rank for rank, codes in _CODES.items() for code in codes}
"""The rank of each code."""


def by_rank(said: Iterable[Statement]) -> list[Statement]:
    """Return statements in the order in which they are said; notes come last."""
    return sorted(said, key=lambda one: (one.severity is Severity.NOTE, RANKS[one.code]))


def in_turn(said: Iterable[Statement]) -> tuple[list[Statement], list[Statement]]:
    """Return what is said before the figures of a run, and the notes that follow them."""
    ranked = by_rank(said)
    notes = [one for one in ranked if one.severity is Severity.NOTE]
    return ranked[: len(ranked) - len(notes)], notes
