"""Requests of a cluster, replies, Cost, Cluster, Quorum.

A method is a generator per cluster. It yields one of the requests below and is resumed with the
reply when that much simulated time has passed. Requests speak of time, bytes and FLOPs only;
tensors stay with the method. All arrays run over the K devices of one cluster. What devices ask of
each other is in :mod:`learning.requests.peers`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, get_args

import numpy as np

from learning.requests.payload import Payload, at_least_0
from learning.requests.reasons import Reason
from statements.arrays import Floats, Ints, Mask


@dataclass(frozen=True)
class Cluster:
    """A cluster of devices: its name, its place in canonical order, how many devices.

    A satellite that is a client is a cluster of one; ``plane`` names its plane, where it is known.
    """

    name: str
    index: int
    devices: int
    plane: str = ""


@dataclass(frozen=True)
class Cost:
    """What one local round takes of a device.

    ``flops``; ``memory_bytes`` at the peak of the round, and ``expert_bytes`` of it for the
    weights of the experts that are loaded. Where devices train different experts, all three are
    arrays (K,).
    """

    flops: float | Floats
    memory_bytes: float | Floats = 0.0
    expert_bytes: float | Floats = 0.0

    def __post_init__(self) -> None:
        """Refuse what no device can compute."""
        at_least_0("Cost: flops", self.flops)

    def of(self, device: int) -> Cost:
        """Return what the round takes of one device, where these are arrays (K,)."""
        each = (np.asarray(part) for part in (self.flops, self.memory_bytes, self.expert_bytes))
        return Cost(*(float(part[device]) for part in each))


class Signal:
    """Tells those who listen that something has changed, once each time that they listen."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []

    def listen(self, told: Callable[[], None]) -> None:
        """Call ``told`` when the signal is given next."""
        self._listeners.append(told)

    def give(self) -> None:
        """Tell all who listen."""
        listeners = self._listeners
        self._listeners = []
        for told in listeners:
            told()


@dataclass(frozen=True)
class NextContact:
    """Wait for the cluster's next contact. Reply: :class:`Contact`, or None when none is left.

    A contact is the reply to one request only. ``fresh=False`` accepts the contact that is open now
    although it was a reply before, as long as time is left of it. A contact that never ends
    (``Contact.repeats``) may be the reply to any number of requests.

    ``wanted`` is called when a contact begins, and the contact is skipped if it returns False. With
    a ``signal``, further contacts are then skipped without a call, until the method gives the
    signal: it does so when ``wanted`` may return True again.
    """

    fresh: bool = True
    wanted: Callable[[], bool] | None = field(default=None, compare=False)
    signal: Signal | None = field(default=None, compare=False)


@dataclass(frozen=True, eq=False)
class TrainUntilContact:
    """Train through the disconnected phase. Reply: ``(Work, Contact | None)``.

    The phase counts from the last contact's set time to the next one's start, and holds at most
    ``learning.rounds.per_gap_max`` rounds. A round that the contact interrupts is kept and goes
    on in the next disconnected phase. ``from_now`` it counts from now, in contact or not, and
    holds at most ``rounds``; what begins ``anew`` drops a round that was interrupted before.

    ``wanted`` is called when a contact begins, with the work until then. If it returns False, the
    contact is skipped, and the next phase begins with what is left of the ``rounds``.

    In a contact that repeats it lasts ``learning.rounds.per_contact`` rounds, 1 where they fill.
    """

    cost: Cost
    who: Mask | None = None
    rounds: int | None = None
    from_now: bool = False
    anew: bool = False
    wanted: Callable[[Work], bool] | None = None

    def __post_init__(self) -> None:
        """Refuse another cost, and rounds below 0."""
        _trainable(self)


@dataclass(frozen=True, eq=False)
class Train:
    """Train at once. Reply: :class:`Work`.

    A round whose ``cost`` has no FLOPs takes no time, unless the scenario gives the seconds of a
    round; as many of them as fill a contact cannot be asked for.

    ``rounds=None`` means as many as the scenario gives a contact
    (``learning.rounds.per_contact``). Where ``partial``, a device that cannot end them in time
    trains fewer, at least one: as many as leave time for the upload behind it, before the contact
    ends and before the deadline of ``learning.aggregation``.
    """

    cost: Cost
    rounds: int | None = None
    who: Mask | None = None
    partial: bool = False

    def __post_init__(self) -> None:
        """Refuse another cost, and rounds below 0."""
        _trainable(self)


@dataclass(frozen=True, eq=False)
class Upload:
    """Send a payload from every device in ``who`` to the satellite. Reply: :class:`Receipt`.

    Lasts until all are through or the contact ends. What is missing then is carried over to the
    next upload of the same payload name and version, or given up where ``carry`` is False.
    """

    payload: Payload
    who: Mask | None = None
    carry: bool = True

    def __post_init__(self) -> None:
        """Refuse what is no payload."""
        _of_kind(self, "payload", self.payload, Payload)


@dataclass(frozen=True, eq=False)
class Download:
    """Send a payload from the satellite to every device in ``who``. Reply: :class:`Receipt`.

    What is ``personal``, other tensors for each device, is not broadcast even where the satellite
    broadcasts: the devices share the beam in turn.
    """

    payload: Payload
    who: Mask | None = None
    carry: bool = True
    personal: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no payload."""
        _of_kind(self, "payload", self.payload, Payload)


Step = Train | Upload | Download
"""A step of a chain."""


@dataclass(frozen=True)
class Chain:
    """Let every device run through ``steps`` on its own clock. Reply: one reply per step.

    A device begins a step when it has ended the one before; one that cannot end a transfer in
    the contact takes no part in the steps behind it. The reply comes when the last device ends.
    """

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        """Refuse a chain without steps, and one of anything else."""
        if not isinstance(self.steps, tuple | list) or not self.steps:
            raise ValueError(
                f"Chain: steps is {self.steps!r}; give a tuple of at least one Train, Upload or "
                "Download"
            )
        for number, step in enumerate(self.steps):
            _of_kind(self, f"steps[{number}]", step, Step)


def _of_kind(request: object, name: str, value: object, kind: Any) -> None:
    """Raise ValueError where a part of a request is of another kind."""
    if not isinstance(value, kind):
        kinds = [one.__name__ for one in get_args(kind) or (kind,)]
        raise ValueError(
            f"{type(request).__name__}: {name} is {value!r}; give a {' or '.join(kinds)}"
        )


def _trainable(request: Train | TrainUntilContact) -> None:
    """Raise ValueError where the cost is none, or rounds are below 0."""
    _of_kind(request, "cost", request.cost, Cost)
    if request.rounds is not None:
        at_least_0(f"{type(request).__name__}: rounds", request.rounds)


@dataclass(frozen=True, eq=False)
class Meet:
    """Wait until ``parties`` actors have come to ``key``. Reply: ``{actor: value}``.

    A meeting that cannot fill because the plan holds no contact any more for somebody who is
    missing never ends; an event says so. Any other that never fills makes the run fail.
    """

    key: str
    parties: int
    value: Any = None


@dataclass(frozen=True, eq=False)
class Measure:
    """Take a JSON value out of tensors: the only door besides evaluation. Reply: that value.

    The value is journalled, so that a resumed run need not compute it again. ``default`` is the
    answer of a timing-only run.
    """

    name: str
    compute: Callable[[], Any]
    default: Any


@dataclass(frozen=True, eq=False)
class Assign:
    """Write who is given which expert into the assignments table. Reply: None.

    ``score`` and ``assigned`` have one row per client, (C, E): clusters, or with ``by_device`` all
    devices of all clusters in canonical order. The score is what the assignment goes by (relevance,
    fitness), or (C, E) of what was measured. ``probability`` (C, E), ``samples`` (C, E; how many a
    client's experts have served since the last assignment) and ``expert_class`` (E,) where known.
    """

    score: Floats
    assigned: Mask
    probability: Floats | None = None
    samples: Ints | None = None
    expert_class: tuple[str, ...] | None = None
    by_device: bool = False


@dataclass(frozen=True)
class Forecast:
    """Look up what the contact plan holds for ``cluster`` next. Reply: :class:`Outlook` or None.

    That is the rest of a session that is open or, with ``fresh``, one that begins now or later.
    With ``sessions`` the reply is a list of the next so many, of fewer where the plan ends.
    """

    cluster: str
    fresh: bool = False
    sessions: int | None = None


@dataclass(frozen=True)
class Evaluate:
    """Evaluate the server's model when all that happens now has happened. Reply: None.

    For a method that knows when there is something new to be measured; it is evaluated at every
    complete cycle and at the end besides.
    """


@dataclass(frozen=True)
class EndRun:
    """End the run when all that happens now has happened. Reply: None.

    The model is evaluated then, as at any end. The manifest says ``why``.
    """

    why: str


@dataclass(frozen=True)
class Contact:
    """A cluster's session with the server as the method sees it, in seconds since the start.

    It may go over several satellites' contacts; ``contact_id`` and ``satellite`` are those at
    ``start_s``, when it was handed out. ``cycle`` is the number of complete cycles by then, and
    ``capacity`` works out ``capacity_bytes``, which few ask for. One that ``repeats`` is handed out
    again when the cluster asks for the next one and has used it, or the server's model is another
    one: as it never ends, or lasts longer than ``orbit.max_session_s``.
    """

    contact_id: int
    session: int
    satellite: str
    start_s: float
    end_s: float
    cycle: int
    capacity: Callable[[], float] = field(repr=False, compare=False)
    repeats: bool = False

    @property
    def capacity_bytes(self) -> float:
        """Bytes that the device with the poorest link can upload while it is served."""
        return self.capacity()


@dataclass(frozen=True, eq=False)
class Outlook:
    """A cluster's next session (or the rest of the one that is open), for each device (K,).

    ``carried`` works out ``uplink_bytes`` and ``downlink_bytes``, which few ask for;
    ``memory_bytes`` is inf where nothing limits it. ``round_s`` is the time of one local round of a
    given cost, ``rounds`` how many of them a contact has for sure: those of
    ``learning.rounds.per_contact``, or 1 where they fill what is left of it (``fill``).
    ``sessions`` counts those that the plan still holds, this one too. ``cuts_off`` says whether
    transfers and rounds have to end with it: over links (``link.isl.route: earliest``) they go on.
    """

    start_s: float
    end_s: float
    carried: Callable[[], tuple[Floats, Floats]] = field(repr=False)
    memory_bytes: Floats
    round_s: Callable[[Cost], Floats]
    rounds: int
    sessions: int
    cuts_off: bool = True

    @cached_property
    def _bytes(self) -> tuple[Floats, Floats]:
        return self.carried()

    @property
    def uplink_bytes(self) -> Floats:
        """Bytes (K,) that each device could send to the server in it if it were alone."""
        return self._bytes[0]

    @property
    def downlink_bytes(self) -> Floats:
        """Bytes (K,) that the server could send to each if it were alone; inf where neglected."""
        return self._bytes[1]


@dataclass(frozen=True, eq=False)
class Work:
    """Complete ``rounds`` (K,), their ``end_s`` (K,), who was ``excluded`` for want of memory."""

    rounds: Ints
    end_s: Floats
    excluded: Mask


@dataclass(frozen=True, eq=False)
class Receipt:
    """What got through: ``done`` (K,), ``end_s`` (K,; inf where not), bytes so far and left (K,).

    ``reason`` says why not all did; of several it is corrupted only where all that is missing is.
    ``given_up`` (K,) are those whose transfer was cut off, or refused, and will not be gone on with
    (None: nobody's).
    ``contact_id`` (K,) is the contact in which the last bit was sent (None without a contact); it
    means nothing where ``done`` is False.
    """

    done: Mask
    end_s: Floats
    delivered_bytes: Floats
    left_bytes: Floats
    reason: Reason = Reason.NONE
    given_up: Mask | None = None
    contact_id: Ints | None = None

    @classmethod
    def whole(cls, step: Upload | Download, contact_id: Ints | None = None) -> Receipt:
        """Return that of one satellite whose payload has gone by another way, over links."""
        one = np.ones(1)
        return cls(one > 0, one, one * step.payload.bytes, 0 * one, contact_id=contact_id)


# Whom an aggregation waits for: all, a share of them, or whoever comes in time.


@dataclass(frozen=True)
class Quorum:
    """When a chain with uploads ends, and a round that waits for clusters.

    ``share`` is that of devices, or clusters, that is enough; ``deadline_s`` the longest that
    one lasts. By default neither is limited.
    """

    share: float = 1.0
    deadline_s: float = math.inf

    @property
    def waits_for_all(self) -> bool:
        """Whether nobody is ever left out."""
        return self.share == 1.0 and self.deadline_s == math.inf

    def enough(self, of: int) -> int:
        """How many of so many have to come; 0.7 of 10 are 7, whatever floats make of it."""
        return math.ceil(self.share * of - 1e-9)

    @property
    def reached(self) -> Reason:
        """Say what ended a wait that did not take until all were there."""
        none = self.deadline_s == math.inf
        return Reason.QUORUM_REACHED if none else Reason.DEADLINE_REACHED


WAITS_FOR_ALL = Quorum()
"""Nobody is left out, and nothing is cut."""
