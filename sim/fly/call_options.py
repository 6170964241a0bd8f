"""Options of calls of code that trains by itself: its configuration, and what its time goes by."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from pydantic.dataclasses import dataclass

from learning.methods.options import CHECKED, option


@dataclass(frozen=True, config=CHECKED)
class CallOptions:
    """What functions and apps have in common."""

    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    time: Literal["declared", "counted", "measured"] = option(
        "declared",
        "FLOPs of a call: flops_per_example, counted in PyTorch, or seconds times host_gflops",
    )
    flops_per_example: float = option(1e6, "FLOPs to train on one example, as declared", gt=0)
    host_gflops: float = option(10.0, "GFLOP that this machine does in a second, measured", gt=0)
    call_limit_s: float = option(3600.0, "longest time that a call may take here, s", gt=0)
