"""How the devices of a cluster weigh in what a server adds up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from learning.requests.cluster import Floats, Mask

Devices = Sequence[bool] | Mask
"""Which devices (K,) of a cluster."""


@dataclass(frozen=True, eq=False)
class Weighing:
    """Weights of the devices ``who`` (K,) of a ``cluster``, 0 for its others.

    A device weighs its share of the samples of the ``eligible`` devices (K,), all by default, times
    ``scale``, one number or one for each device, (K,). Where ``usage`` (K, E) is given, it weighs
    the changes of experts instead: a device's share of an expert's use, u_ke / sum_k u_ke.
    """

    cluster: str
    who: Devices
    eligible: Devices | None = None
    scale: float | Sequence[float] | Floats = 1.0
    usage: Sequence[Sequence[float]] | Floats | None = None
