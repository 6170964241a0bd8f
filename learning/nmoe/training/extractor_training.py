"""How the clients of NMoE train their extractor: the loss, its descent, and what clients share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from statements.arrays import Floats, Ints


@dataclass(frozen=True)
class ExtractorLoss:
    """The ``loss`` of stage 1: ``ce``, or ``spectral`` with mu = ``radius``.

    ``step_size_ratio`` multiplies ``learning.step_size``.
    """

    loss: str
    radius: float
    step_size_ratio: float = 1.0


@dataclass(frozen=True)
class Descent:
    """SGD with a ``momentum``; gradients are clipped to a norm of ``largest_gradient``, if any."""

    momentum: float
    largest_gradient: float | None


@dataclass(frozen=True, eq=False)
class CorrelationShare:
    """What the shared correlations hold of each device (K,) of a cluster; () where none are.

    A device's own matrix has ``counts`` (K,) in the sum of all, and ``alpha`` (K,) is the weight of
    its own in its loss.
    """

    counts: Sequence[int] | Ints = ()
    alpha: Sequence[float] | Floats = ()
