"""What is known of an event: why it happened, until when, and what an aggregation was made of.

The events table has a column for each of these values (``sim/facts``). Summaries, warnings, spans
and invariants read the columns. The column ``detail`` is text for people, which is
written here from the same values; the program never reads it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from learning.requests.reasons import Reason
from statements.arrays import Floats, Ints, Mask


class Cause(StrEnum):
    """Why a row of the events table is there; the words are those of the column ``cause``."""

    WAITS_FOR_BEAM = "beam"
    """A contact waits for a beam, or gives it up to a cluster that waited."""

    OUTAGE = "satellite outage"
    PLANNED = "planned outage"
    ABSENCE = "absence of a device"
    SLOW = "slow device"
    RESENT = "packets sent again"
    CORRUPTED = "corrupted upload"

    UPDATE_NOT_FINITE = "not finite"
    """The server refuses what training made."""
    MEMORY = "memory"
    """A device lacks the memory for what it was to train."""

    NO_CONTACT_LEFT = "no contact left"
    """A meeting never filled: the plan holds no contact any more for who was missing."""

    GIVES = "gives"
    TAKES = "takes"
    """Experts change hands. Who takes an expert is listed behind who gives it."""


INJECTED: dict[Cause, tuple[str, str]] = {
    Cause.OUTAGE: ("satellite outages", "injected: satellite {} out until {:.3f} s"),
    Cause.PLANNED: ("planned outages", "injected: {} out as planned until {:.3f} s"),
    Cause.ABSENCE: ("absences of devices", "injected: away until {:.3f} s"),
    Cause.SLOW: ("slow devices", "injected: {:g} times as slow"),
    Cause.RESENT: (
        "transfers with packets sent again",
        "injected: {} of {} packets of {} sent again",
    ),
    Cause.CORRUPTED: ("corrupted uploads", f"{{}} refused: {Reason.CORRUPTED}"),
}
"""Faults that the scenario asked for (``faults:``): what several are called, the text of one."""


def injected_text(cause: Cause, *values: object) -> str:
    """Write a fault that the scenario asked for: of whom, how much, or until when."""
    _, text = INJECTED[cause]
    return text.format(*values)


def update_refused(device: int, *, spoilt: bool) -> str:
    """The server refuses an update; the remedy is left out where an app ``spoilt`` it."""
    remedy = "" if spoilt else "; lower learning.step_size if this goes on"
    return f"update of device {device} refused: not finite{remedy}"


def parts_named(experts: Iterable[int], *, gate: bool = False) -> str:
    """Name parts of a model: ``experts:0,2``, ``gate``, or both."""
    listed = ",".join(map(str, experts))
    return " ".join([*([f"experts:{listed}"] if listed else []), *(["gate"] if gate else [])])


# What an aggregation was made of.


class Range(NamedTuple):
    """The least and the greatest of some whole numbers."""

    low: int
    high: int

    @classmethod
    def of(cls, values: NDArray[np.int64]) -> Self:
        """Return the range of an array (N,) with at least one value."""
        each: list[int] = values.tolist()  # of some devices: quicker than numpy
        return cls(min(each), max(each))

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


class Share(NamedTuple):
    """How many of all."""

    some: int
    all: int

    def __str__(self) -> str:
        return f"{self.some}/{self.all}"


@dataclass(frozen=True)
class Note:
    """Write a row of a ``kind`` into the events table (``drop``, ``fault``, ``wait``). Reply: None.

    ``detail`` is for people; ``cause`` is what the program counts it by.
    """

    kind: str
    version: int | None = None
    detail: str = ""
    cause: Cause | None = None


@dataclass(frozen=True)
class Aggregated:
    """The server has aggregated updates into a new version of its model. Reply: None.

    It becomes a row ``aggregate`` of the events table. ``what`` names what has been aggregated.
    ``devices``, ``updates``, ``models`` and ``clusters`` count what it was made of; with
    ``clusters`` it ends a round of clusters. ``staleness`` is how many versions lie between the
    server's version before and those that the updates stem from, and ``rounds`` how many local
    rounds they hold.

    An invariant compares ``staleness`` with the versions that the transfers have brought. It is
    None where no transfer to the server carries the update of each client, as over a ring.
    """

    version: int
    what: str
    devices: int | Share | None = None
    updates: int | None = None
    models: int | None = None
    clusters: Share | None = None
    staleness: Range | None = None
    rounds: Range | None = None

    def text(self) -> str:
        """Write it for people: the column ``detail``."""
        names = ("devices", "updates", "models", "clusters", "staleness", "rounds")
        counts = [(name, getattr(self, name)) for name in names]
        known = [f"{name}:{count}" for name, count in counts if count is not None]
        return " ".join([self.what, *known])


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
