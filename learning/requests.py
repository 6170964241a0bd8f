"""What a learning method may ask of simulated time, and the answers it gets.

A method is a generator per cluster. It yields one of the requests below and is resumed with the
reply when that much simulated time has passed. Requests speak of time, bytes and FLOPs only;
tensors stay with the method. All arrays run over the K devices of one cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class TensorSize:
    """One tensor of a payload: its shape, the number format that is sent, and its bytes."""

    name: str
    shape: tuple[int, ...]
    format: str
    bytes: int


@dataclass(frozen=True, eq=False)
class Payload:
    """A thing to carry: its name in the traces, its size and the version it stems from.

    ``bytes`` and ``version`` are scalars or arrays (K,). ``tensors`` lists what it is made of,
    where the method says so.
    """

    name: str
    bytes: float | Floats
    version: int | Ints = 0
    tensors: tuple[TensorSize, ...] = ()


@dataclass(frozen=True)
class Cost:
    """What one local round takes of a device.

    ``flops``; ``memory_bytes`` at the peak of the round, and ``expert_bytes`` of it for the
    weights of the experts that are loaded.
    """

    flops: float
    memory_bytes: float = 0.0
    expert_bytes: float = 0.0


@dataclass(frozen=True)
class NextContact:
    """Wait for the cluster's next contact. Reply: :class:`Contact`, or None when none is left.

    ``fresh=False`` accepts the contact that is open now even if it was handed out before.
    """

    fresh: bool = True


@dataclass(frozen=True, eq=False)
class TrainUntilContact:
    """Train through the disconnected phase. Reply: ``(Work, Contact | None)``.

    The phase counts from the last contact's set time to the next one's start, and holds at most
    ``learning.rounds.per_gap_max`` rounds. A round that the contact interrupts is kept and goes
    on in the next disconnected phase.
    """

    cost: Cost
    who: Mask | None = None


@dataclass(frozen=True, eq=False)
class Train:
    """Train at once. Reply: :class:`Work`.

    ``rounds=None`` means as many as the scenario gives a contact
    (``learning.rounds.per_contact``).
    """

    cost: Cost
    rounds: int | None = None
    who: Mask | None = None


@dataclass(frozen=True, eq=False)
class Upload:
    """Send a payload from every device in ``who`` to the satellite. Reply: :class:`Receipt`.

    Lasts until all are through or the contact ends. What is missing then is carried over to the
    next upload of the same payload name and version, or given up where ``carry`` is False.
    """

    payload: Payload
    who: Mask | None = None
    carry: bool = True


@dataclass(frozen=True, eq=False)
class Download:
    """Send a payload from the satellite to every device in ``who``. Reply: :class:`Receipt`."""

    payload: Payload
    who: Mask | None = None
    carry: bool = True


@dataclass(frozen=True)
class Chain:
    """Let every device run through ``steps`` on its own clock. Reply: one reply a step.

    A device begins a step when it has ended the one before; one that cannot end a transfer in
    the contact takes no part in the steps behind it. The reply comes when the last device ends.
    """

    steps: tuple[Train | Upload | Download, ...]


@dataclass(frozen=True, eq=False)
class Meet:
    """Wait until ``parties`` actors have come to ``key``. Reply: ``{actor: value}``."""

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


@dataclass(frozen=True)
class Note:
    """Write a row into the events table (``aggregate``, ``drop``, ``fault``). Reply: None."""

    kind: str
    version: int | None = None
    detail: str = ""


@dataclass(frozen=True, eq=False)
class Assign:
    """Write who owns which expert into the assignments table. Reply: None.

    ``relevance`` and ``probability`` have shape (C, E), ``owner`` (E,) holds cluster indices and
    ``expert_class`` (E,), where it is given, what class an expert is of.
    """

    relevance: Floats
    probability: Floats
    owner: Ints
    expert_class: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Contact:
    """A cluster's session with the server as the method sees it, in seconds since the start.

    It may go over several satellites' contacts; ``contact_id`` and ``satellite`` are those at
    ``start_s``, when it was handed out. ``cycle`` is the number of complete cycles by then;
    ``capacity_bytes`` what the device with the poorest link can upload while it is served.
    """

    contact_id: int
    session: int
    satellite: str
    start_s: float
    end_s: float
    cycle: int
    capacity_bytes: float


@dataclass(frozen=True, eq=False)
class Work:
    """Complete ``rounds`` (K,), their ``end_s`` (K,), who was ``excluded`` for want of memory."""

    rounds: Ints
    end_s: Floats
    excluded: Mask


@dataclass(frozen=True, eq=False)
class Receipt:
    """What got through: ``done`` (K,), ``end_s`` (K,; inf where not), bytes so far and left (K,).

    ``reason`` is empty, ``contact ended`` or ``no contact``. ``given_up`` (K,) are those whose
    transfer was cut off and will not be gone on with (None: nobody's).
    """

    done: Mask
    end_s: Floats
    delivered_bytes: Floats
    left_bytes: Floats
    reason: str = ""
    given_up: Mask | None = None


Request = (
    NextContact
    | TrainUntilContact
    | Train
    | Upload
    | Download
    | Chain
    | Meet
    | Measure
    | Note
    | Assign
)
