"""What a learning task is, in plain numbers: no torch, so that timing-only runs can use it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelConfig:
    """A mixture of experts.

    ``hidden`` is the width of the residual stream, ``expert_hidden`` the inner width of one
    expert. An expert is one index over all ``layers``. ``lora_rank`` is the rank of the
    factors that each expert's matrices are tuned and uploaded with (EMS-FL, Remark 1).
    """

    kind: str = "vector-moe"
    experts: int = 4
    top_k: int = 1
    hidden: int = 64
    expert_hidden: int = 64
    layers: int = 1
    lora_rank: int = 4


@dataclass(frozen=True)
class DataConfig:
    """Which samples each device holds.

    ``own_domain_fraction`` of a cluster's samples come from its own domain, the rest evenly from
    the other domains; ``trial_samples`` per cluster are shared with the server beforehand.
    """

    kind: str = "digits"
    path: str | None = None
    own_domain_fraction: float = 1.0
    trial_samples: int = 30


@dataclass(frozen=True)
class LearningConfig:
    """Everything that decides a training result, apart from who trains when.

    ``clusters`` are names in canonical (sorted) order and ``devices`` how many each has.
    """

    seed: int
    clusters: tuple[str, ...]
    devices: tuple[int, ...]
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    step_size: float = 0.03
    gate_step_size_ratio: float = 0.1
    steps_per_round: int = 5
    batch_size: int = 32
