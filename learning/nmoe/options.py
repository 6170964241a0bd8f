"""Options of networked experts, declared and checked once."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from learning.methods.options import CHECKED, option

GATE_TENSORS = ("weight", "bias")
"""What a gate is made of."""

Gate = Literal["fedgate", "rollgate", "rangate", "random", "local", "central"]
"""How gates are trained: in the order of the classes in ``GATE_TRAINERS``."""


@dataclass(frozen=True, config=CHECKED)
class NetworkedOptions:
    """Options of NMoE, by stage: the extractor, the experts, the gates, the queries."""

    extractor: Literal["fedsc", "fedce", "none"] = option(
        "fedsc", "how the extractor is trained; none: random features"
    )
    extractor_rounds: NonNegativeInt = option(20, "federated rounds of the extractor")
    extractor_step_size_ratio: PositiveFloat = option(
        1.0, "step size of the extractor over learning.step_size"
    )
    expert_rounds: NonNegativeInt = option(20, "local rounds of each personal expert")
    gate: Gate = option("fedgate", "how the gates are trained, or who answers without them")
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

    @property
    def loss(self) -> str:
        """Loss of stage 1."""
        return {"fedsc": "spectral", "fedce": "ce", "none": "none"}[self.extractor]
