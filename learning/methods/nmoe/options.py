"""Options of networked experts, declared and checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import isfinite

from learning.architecture.nmoe import KINDS
from learning.config import LearningConfig

# What networked experts can be asked for, and what goes together.


COMBINE = ("prob", "logit")
ESTIMATORS = ("shared", "pairs")
WAYS = ("gate", "local", "random")
LATE = ("wait", "renormalise", "local")


def known(what: str, value: str, allowed: Sequence[str]) -> str:
    """Return ``value``; raise ValueError unless it is one of ``allowed``."""
    if value not in allowed:
        raise ValueError(f"{what} is {value!r}; it is {', '.join(allowed[:-1])} or {allowed[-1]}")
    return value


def check_networked(config: LearningConfig) -> None:
    """Raise ValueError unless the model is one of networked experts, with one a device."""
    if config.model.kind not in KINDS:
        raise ValueError(
            f"learning.model.kind is {config.model.kind!r}; networked experts need "
            f"{' or '.join(repr(kind) for kind in KINDS)}"
        )
    if config.model.experts != sum(config.devices):
        raise ValueError(
            f"model.experts is {config.model.experts}; networked experts are one a device, "
            f"{sum(config.devices)} here"
        )
    if config.model.top_k > config.model.experts:
        raise ValueError(
            f"learning.model.top_k is {config.model.top_k}, but there are {config.model.experts} "
            "clients with an expert each; lower it"
        )


def check_training(
    combine: str,
    estimator: str,
    radius: float,
    momentum: float,
    largest_gradient: float | None,
) -> None:
    """Raise ValueError for settings of training that are out of range."""
    known("combine", combine, COMBINE)
    known("estimator", estimator, ESTIMATORS)
    if not 0 < radius < float("inf"):
        raise ValueError(f"radius is {radius}; it must be above 0, and finite")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum}; it must be 0 or more, and below 1")
    if largest_gradient is not None and not largest_gradient > 0:
        raise ValueError(f"largest_gradient is {largest_gradient}; it must be above 0, or None")


LOSSES = {"fedsc": "spectral", "fedce": "ce", "none": "none"}
"""The loss that each way to an extractor goes by."""

GATE_TENSORS = ("weight", "bias")
"""What a gate is made of."""

CHOICES = {
    "extractor": tuple(LOSSES),
    "estimator": ESTIMATORS,
    "combine": COMBINE,
    "gate_order": ("fixed", "random"),
    "exchange": ("auto", "experts", "features"),
    "inference_late": LATE,
}
"""Options that are one of several words."""


@dataclass(frozen=True)
class NetworkedOptions:
    """Options of NMoE, by stage.

    ``extractor``: ``fedsc``, ``fedce`` or ``none`` for random features; ``extractor_rounds``
    federated rounds of it. With ``share_correlations`` clients of FedSC exchange their correlation
    matrices, each entry with Gaussian noise of standard deviation ``correlation_noise``.
    ``estimator`` of the spectral loss (``shared`` or ``pairs``), its ``radius`` mu, ``momentum``
    and the norm ``largest_gradient`` that gradients are clipped to (0: never); the extractor's step
    size is ``extractor_step_size_ratio`` times ``learning.step_size``.

    ``expert_rounds`` local rounds of each personal expert. ``gate`` names a gate trainer: a shipped
    one or MODULE:CLASS. ``gate_rounds``: federated rounds of ``fedgate``, passes of ``rollgate``
    in the ``gate_order``, local trainings of ``rangate``; ``gate_sync``: ``all`` of the gate is
    averaged, or only ``weight`` or ``bias``. ``combine`` mixes the experts' ``prob`` or ``logit``.
    ``exchange`` of what gates are trained on: ``experts``, ``features``, or what is fewer bytes.

    ``inference_samples`` of each client are asked after training (0: none), ``inference_batch`` at
    a time, every ``inference_interval_s``. What is not answered ``inference_deadline_s`` after a
    query came is late (``inference_late``: ``wait`` on, ``renormalise`` or ``local``).
    """

    extractor: str = "fedsc"
    extractor_rounds: int = 20
    share_correlations: bool = True
    correlation_noise: float = 0.0
    estimator: str = "shared"
    radius: float = 4.0
    momentum: float = 0.9
    largest_gradient: float = 3.0
    extractor_step_size_ratio: float = 1.0
    expert_rounds: int = 20
    gate: str = "fedgate"
    gate_rounds: int = 20
    gate_order: str = "fixed"
    gate_sync: str = "all"
    combine: str = "prob"
    exchange: str = "auto"
    inference_samples: int = 0
    inference_batch: int = 10
    inference_interval_s: float = 10.0
    inference_deadline_s: float = 60.0
    inference_late: str = "renormalise"

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            _check_choice(name, getattr(self, name), allowed)
        for name in (field.name for field in fields(self)):
            _check_range(name, getattr(self, name))
        if self.estimator == "pairs" and self.shares_correlations:
            raise ValueError(
                "estimator: 'pairs' has no correlation matrices to share; set share_correlations "
                "to false"
            )
        if self.gate_sync != "all":
            _check_choice("gate_sync", self.gate_sync, ("all", *GATE_TENSORS))

    @property
    def loss(self) -> str:
        """Loss of stage 1."""
        return LOSSES[self.extractor]

    @property
    def shares_correlations(self) -> bool:
        """Whether stage 1 has a barrier more in each round, for correlation matrices."""
        return self.extractor == "fedsc" and self.share_correlations

    @property
    def synchronised(self) -> tuple[str, ...]:
        """Tensors of the gate that FedGate averages."""
        return GATE_TENSORS if self.gate_sync == "all" else (self.gate_sync,)


POSITIVE = (
    "radius",
    "extractor_step_size_ratio",
    "inference_batch",
    "inference_interval_s",
    "inference_deadline_s",
)
"""Options that must be above 0; other numbers may be 0."""


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}: {value!r} should be one of {', '.join(allowed)}")


def _check_range(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if name == "momentum" and not 0 <= value < 1:
        raise ValueError(f"{name}: {value} should lie in 0 to below 1")
    if name in POSITIVE and not (isfinite(value) and value > 0):
        raise ValueError(f"{name}: {value} should be above 0")
    if not (isfinite(value) and value >= 0):
        raise ValueError(f"{name}: {value} should be 0 or more")
