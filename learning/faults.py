"""Faults that a scenario asks for in updates: whose they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learning.requests.cluster import Mask
from learning.rng import stream


@dataclass(frozen=True)
class Spoiling:
    """Which updates are spoilt: a ``share`` of them, drawn from streams of ``seed``."""

    seed: int = 0
    share: float = 0.0

    def struck(self, cluster: str, number: int, devices: int) -> Mask:
        """Return whose update (K,) is spoilt among those of a cluster that arrive ``number``th."""
        if self.share == 0.0:
            return np.zeros(devices, bool)
        luck = stream(self.seed, "not finite", cluster, number).random(devices)
        struck: Mask = luck < self.share
        return struck
