"""Options of networked experts, declared and checked once."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from learning.methods.options import CHECKED

LOSSES = {"fedsc": "spectral", "fedce": "ce", "none": "none"}
"""The loss of stage 1, by the option ``extractor``."""

GATE_TENSORS = ("weight", "bias")
"""What a gate is made of."""


@dataclass(frozen=True, config=CHECKED)
class NetworkedOptions:
    """Options of NMoE, by stage: the extractor, the experts, the gates, the queries."""

    extractor: Literal["fedsc", "fedce", "none"] = Field(
        "fedsc", description="how the extractor is trained; none: random features"
    )
    extractor_rounds: int = Field(20, ge=0, description="federated rounds of the extractor")
    share_correlations: bool = Field(
        True, description="whether clients of fedsc exchange their correlation matrices"
    )
    correlation_noise: float = Field(
        0.0, ge=0, description="standard deviation of the Gaussian noise on each exchanged entry"
    )
    estimator: Literal["shared", "pairs"] = Field(
        "shared", description="estimator of the spectral loss"
    )
    radius: float = Field(4.0, gt=0, description="mu of the spectral loss")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of the extractor's SGD")
    largest_gradient: float = Field(
        3.0, ge=0, description="norm that gradients are clipped to; 0: never"
    )
    extractor_step_size_ratio: float = Field(
        1.0, gt=0, description="step size of the extractor over learning.step_size"
    )
    expert_rounds: int = Field(20, ge=0, description="local rounds of each personal expert")
    gate: str = Field("fedgate", description="gate trainer: a shipped one or MODULE:CLASS")
    gate_rounds: int = Field(
        20, ge=0, description="rounds of fedgate, passes of rollgate, local trainings of rangate"
    )
    gate_order: Literal["fixed", "random"] = Field(
        "fixed", description="in which order rollgate visits the clients"
    )
    gate_sync: Literal["all", "weight", "bias"] = Field(
        "all", description="tensors of the gate that fedgate averages"
    )
    combine: Literal["prob", "logit"] = Field(
        "prob", description="which outputs of the experts are mixed"
    )
    exchange: Literal["auto", "experts", "features"] = Field(
        "auto", description="what gates are trained on; auto: what is fewer bytes"
    )
    inference_samples: int = Field(
        0, ge=0, description="samples of each client that are asked after training; 0: none"
    )
    inference_batch: int = Field(10, gt=0, description="samples per query")
    inference_interval_s: float = Field(10.0, gt=0, description="seconds between queries")
    inference_deadline_s: float = Field(
        60.0, gt=0, description="seconds after which an answer is late"
    )
    inference_late: Literal["wait", "renormalise", "local"] = Field(
        "renormalise", description="what becomes of a sample with late answers"
    )

    def __post_init__(self) -> None:
        if self.estimator == "pairs" and self.shares_correlations:
            raise ValueError(
                "estimator: 'pairs' has no correlation matrices to share; set share_correlations "
                "to false"
            )

    @property
    def loss(self) -> str:
        """Loss of stage 1."""
        return LOSSES[self.extractor]

    @property
    def shares_correlations(self) -> bool:
        """Whether each round of stage 1 has a second barrier, for correlation matrices."""
        return self.extractor == "fedsc" and self.share_correlations

    @property
    def descent(self) -> dict[str, float | None]:
        """Momentum and clipping of the extractor's SGD, and of central training."""
        return {"momentum": self.momentum, "largest_gradient": self.largest_gradient or None}
