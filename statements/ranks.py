"""In which order things are said: the largest that was found first, what limits it after it."""

from collections.abc import Iterable
from enum import IntEnum

from statements.code import UNSERVABLE, Code, Severity
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


RANKS: dict[Code, Rank] = {
    **dict.fromkeys(
        (
            *(Code.INVARIANT, Code.NO_ROOM, Code.NO_MEMORY, Code.DEVICE_MEMORY, Code.DIVERGING),
            *UNSERVABLE,
        ),
        Rank.NO_RESULT,
    ),
    **dict.fromkeys((Code.LOST_REPLIES, Code.INCOMPLETE, Code.SPLIT_NETWORK), Rank.LOST),
    **dict.fromkeys(
        (
            *(Code.SLOW_TRAINING, Code.MANY_ROUNDS, Code.WEAK_LINK, Code.LATE_ACQUISITION),
            *(Code.NARROW_BEAM, Code.LONG_SESSION, Code.NO_EXAMPLES),
        ),
        Rank.HELD_BACK,
    ),
    **dict.fromkeys(
        (
            *(Code.NOT_DRAWN, Code.FEW_SEEDS, Code.TEST_SAMPLES),
            *(Code.OTHER_LOSSES, Code.OTHER_VERSIONS),
        ),
        Rank.LIMIT,
    ),
}
"""The rank of each code whose rank is not ``GIVEN``."""


def by_rank(said: Iterable[Statement]) -> list[Statement]:
    """Return statements in the order in which they are said; notes come last."""

    def place(statement: Statement) -> tuple[bool, Rank]:
        return statement.severity is Severity.NOTE, RANKS.get(statement.code, Rank.GIVEN)

    return sorted(said, key=place)


def in_turn(said: Iterable[Statement]) -> tuple[list[Statement], list[Statement]]:
    """Return what is said before the figures of a run, and the notes that follow them."""
    ranked = by_rank(said)
    notes = [one for one in ranked if one.severity is Severity.NOTE]
    return ranked[: len(ranked) - len(notes)], notes
