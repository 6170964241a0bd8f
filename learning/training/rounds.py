"""What is asked of local training: whose rounds, and of which part of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from learning.requests.cluster import Ints, Mask

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


@dataclass(frozen=True, eq=False)
class TrainedPart:
    """The part of the model that is trained: ``experts``, and what is shared with the ``gate``.

    A ``mask`` restricts the gate to ``experts``, equation (43): the logits of others become
    ``-inf``, or ``zero`` as the paper writes. ``reach`` (K, E) restricts each device's gate
    further, to its own part of them, so that no other expert moves there.
    """

    experts: Sequence[int]
    gate: bool
    mask: str | None = None
    reach: Sequence[Sequence[bool]] | Mask | None = None
