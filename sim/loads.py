"""What a method makes a device load: the largest and the smallest round that it asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from learning.requests.cluster import Cost

EXCLUDED = "does not train"
"""How the detail of a fault begins that tells of a device with too little memory."""


@dataclass
class Load:
    """The rounds with most and with least memory that were asked for, and the most FLOPs of one."""

    most: Cost | None = None
    least: Cost | None = None
    flops: float = 0.0

    def add(self, cost: Cost) -> None:
        """Count a round that a method asks for."""
        self.flops = max(self.flops, float(np.max(cost.flops)))
        for one in _extremes(cost):
            if self.most is None or one.memory_bytes > self.most.memory_bytes:
                self.most = one
            if self.least is None or one.memory_bytes < self.least.memory_bytes:
                self.least = one

    def figures(self) -> dict[str, Any] | None:
        """Return the figures in bytes and FLOPs, None where no round was asked for."""
        if self.most is None or self.least is None:
            return None
        return {
            "memory_bytes": self.most.memory_bytes,
            "expert_bytes": self.most.expert_bytes,
            "least_memory_bytes": self.least.memory_bytes,
            "least_expert_bytes": self.least.expert_bytes,
            "round_flops": self.flops,
        }


def _extremes(cost: Cost) -> tuple[Cost, ...]:
    """The devices' rounds with least and with most memory; one where they do not differ."""
    if np.ndim(cost.memory_bytes) == 0:
        return (cost,)
    return cost.of(int(np.argmin(cost.memory_bytes))), cost.of(int(np.argmax(cost.memory_bytes)))
