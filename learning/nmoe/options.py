"""Options of networked experts, declared and checked once, and what clients are told of stage 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass as checked

from learning.methods.options import CHECKED, option
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


GATE_TENSORS = ("weight", "bias")
"""What a gate is made of."""


@checked(frozen=True, config=CHECKED)
class NetworkedOptions:
    """Options of NMoE, by stage: the extractor, the experts, the gates, the queries."""

    extractor: Literal["fedsc", "fedce", "none"] = option(
        "fedsc", "how the extractor is trained; none: random features"
    )
    extractor_rounds: NonNegativeInt = option(20, "federated rounds of the extractor")
    client_weights: Literal["alike", "samples"] = option(
        "alike", "how fedsc weighs clients; fedce always weighs them by samples"
    )
    share_correlations: bool = option(True, "clients of fedsc exchange their correlation matrices")
    correlation_noise: NonNegativeFloat = option(
        0.0, "standard deviation of the Gaussian noise on each exchanged entry"
    )
    radius: PositiveFloat = option(4.0, "mu of the spectral loss")
    momentum: float = option(0.9, "momentum of the extractor's SGD", ge=0, lt=1)
    largest_gradient: NonNegativeFloat = option(3.0, "norm that gradients are clipped to; 0: never")
    extractor_step_size_ratio: PositiveFloat = option(
        1.0, "step size of the extractor over learning.step_size"
    )
    expert_rounds: NonNegativeInt = option(20, "local rounds of each personal expert")
    gate: str = option("fedgate", "gate trainer: a shipped one or MODULE:CLASS")
    gate_rounds: NonNegativeInt = option(
        20, "rounds of fedgate, passes of rollgate, local trainings of rangate"
    )
    gate_sync: Literal["all", "weight", "bias"] = option(
        "all", "tensors of the gate that fedgate averages"
    )
    exchange: Literal["auto", "experts", "features"] = option(
        "auto", "what gates are trained on; auto: what is fewer bytes"
    )
    inference_samples: NonNegativeInt = option(
        0, "samples of each client that are asked after training; 0: none"
    )
    inference_batch: PositiveInt = option(10, "samples per query")
    inference_interval_s: PositiveFloat = option(10.0, "seconds between queries")
    inference_deadline_s: PositiveFloat = option(60.0, "seconds after which an answer is late")
    reach_hops: NonNegativeInt | None = option(
        None, "links between satellites to an expert at most, of those open then; null for any"
    )
    reach_ms: NonNegativeFloat | None = option(
        None, "light time over these links at most, milliseconds; null for any"
    )
    inference_late: Literal["wait", "renormalise", "local"] = option(
        "renormalise", "what becomes of a sample with late answers"
    )

    @property
    def loss(self) -> str:
        """Loss of stage 1."""
        return {"fedsc": "spectral", "fedce": "ce", "none": "none"}[self.extractor]

    @property
    def extractor_loss(self) -> ExtractorLoss:
        """Loss of stage 1, and its step size."""
        ratio = self.extractor_step_size_ratio
        return ExtractorLoss(self.loss, self.radius, ratio)

    @property
    def weighs_samples(self) -> bool:
        """Whether a client counts by its samples in stage 1, and not like any other."""
        return self.extractor == "fedce" or self.client_weights == "samples"

    @property
    def shares_correlations(self) -> bool:
        """Whether each round of stage 1 has a second barrier, for correlation matrices."""
        return self.extractor == "fedsc" and self.share_correlations

    @property
    def descent(self) -> Descent:
        """Momentum and clipping of the extractor's SGD, and of central training."""
        return Descent(self.momentum, self.largest_gradient or None)
