"""Options of calls of code that trains by itself: its configuration, and what its time goes by."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from pydantic.dataclasses import dataclass

from learning.methods.options import CHECKED, option

T = TypeVar("T")


@dataclass(frozen=True, config=CHECKED)
class CallOptions:
    """What functions and apps have in common."""

    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    time: Literal["declared", "counted"] = option(
        "declared", "FLOPs of a call: flops_per_example, or those that PyTorch computes"
    )
    flops_per_example: float = option(1e6, "FLOPs to train on one example, as declared", gt=0)
    call_limit_s: float = option(3600.0, "longest time that a call may take here, s", gt=0)

    def counted(self, call: Callable[[], T]) -> tuple[T, float]:
        """Return what a call returns and, where they are counted, its FLOPs."""
        if self.time == "declared":
            return call(), 0.0
        from learning.training.flop_count import counted_flops  # imports torch

        return counted_flops(call)


@dataclass(frozen=True, config=CHECKED)
class FunctionOptions(CallOptions):
    """Options of functions of the user's."""

    code: str = option("", "MODULE:FUNCTION that trains; the others stand in the same module")
