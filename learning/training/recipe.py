"""What is asked of local training, as values: for how long, of which part, at what weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from statements.arrays import Floats, Ints, Mask

Counts = Sequence[int] | Ints
"""One number for each device (K,)."""


@dataclass(frozen=True, eq=False)
class LocalRounds:
    """Rounds of the K devices of a ``cluster``: device k trains ``rounds[k]`` of them.

    ``first_round[k]`` is the number of the first one among all that the device trains in a run;
    with it the minibatches are drawn.
    """

    cluster: str
    rounds: Counts
    first_round: Counts


Moves = Literal["all", "personal", "shared"]
"""What of a model moves: all that is trained, what is personal of it, or all but that."""
MOVES = get_args(Moves)
Turns = Sequence[tuple[Moves, Ints]]
"""What moves in how many rounds (K,) of the devices, one after another."""


@dataclass(frozen=True, eq=False)
class TrainedPart:
    """The part of the model that is trained: ``experts``, and what is shared with the ``gate``.

    A ``mask`` restricts the gate to ``experts``, equation (43): the logits of others become
    ``-inf``, or ``zero`` as the paper writes. ``reach`` (K, E) restricts each device's gate
    further, to its own part of them, so that no other expert moves there. ``moves`` says whether
    what is personal moves, or all but that, or both.
    """

    experts: Sequence[int]
    gate: bool
    mask: str | None = None
    reach: Sequence[Sequence[bool]] | Mask | None = None
    moves: Moves = "all"


Devices = Sequence[bool] | Mask
"""Which devices (K,) of a cluster."""


@dataclass(frozen=True, eq=False)
class Weighing:
    """Weights of the devices ``who`` (K,) of a ``cluster``, 0 for its others.

    A device weighs its share of the samples of the ``eligible`` devices (K,), all by default, times
    ``scale``, one number or one for each device, (K,). Where ``usage`` (K, E) is given, it weighs
    the changes of experts instead: a device's share of an expert's use, u_ke / sum_k u_ke.
    """

    cluster: str
    who: Devices
    eligible: Devices | None = None
    scale: float | Sequence[float] | Floats = 1.0
    usage: Sequence[Sequence[float]] | Floats | None = None
