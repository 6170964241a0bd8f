"""What the server has used of the updates that arrived: the rows of the table ``updates``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from statements.arrays import Floats, Ints, Mask


@dataclass(frozen=True, eq=False)
class UpdatesUsed:
    """What a server uses of the devices ``who`` (K,) of a cluster: a row of ``updates`` for each.

    ``version`` (K,) is the server's that each stems from, ``contact_id`` (K,) the contact in which
    its last bit was sent (None where that is not known). ``weigh`` gives the weights (K,) with
    which the changes are added, from the samples (K,) of the devices of every cluster.
    """

    cluster: str
    payload: str
    who: Mask
    version: Ints
    contact_id: Ints | None
    weigh: Callable[[Mapping[str, Ints]], Floats]


@dataclass(frozen=True, eq=False)
class Used:
    """The server has used ``updates``. Reply: None.

    Each becomes rows of the table ``updates``. ``version`` and ``round`` are the server's before it
    used them.
    """

    updates: Sequence[UpdatesUsed]
    version: int
    round: int
