"""What networked experts can be asked for, and what goes together."""

from __future__ import annotations

from collections.abc import Sequence

from learning.config import LearningConfig
from learning.networked.shapes import KINDS

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
