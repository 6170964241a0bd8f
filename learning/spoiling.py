"""Updates that a scenario wants not to be finite: drawn by name, made so, and then refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from learning.requests import Mask
from learning.streams import stream

if TYPE_CHECKING:
    from learning.task import Task
    from learning.values import Tensors

INJECTED = "injected: "
"""How the details of all rows begin that tell of a fault which the scenario asked for."""


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


def spoil(task: Task, offered: Tensors, *, who: Sequence[bool]) -> Tensors:
    """Return what is offered (K, ...) with no number left in it for the devices in ``who``."""
    rows = [device for device, struck in enumerate(who) if struck]
    spoilt = {name: tensor.clone() for name, tensor in offered.items()}
    for tensor in spoilt.values():
        tensor[rows] = math.nan
    return spoilt
