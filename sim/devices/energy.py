"""Energy of sending and of computing: ``training_j`` is that of training and of inference.

``transmit_j`` is radiated energy: 10^(dBm / 10) milliwatts times the time on air. An amplifier
takes several times as much; that, and what receiving, idling and the satellites that serve take, is
in none of these figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from learning.requests.cluster import Cluster
from sim.facts.energy import total
from statements.arrays import Floats, Ints


@dataclass(frozen=True)
class Transmitter:
    """A device's transmitter: its radiated power (None if only the EIRP is known), and its duty.

    ``peer_w`` is what it sends to other devices with: over sidelinks, and between satellites.
    """

    power_w: float | None = None
    duty: float = 1.0
    peer_w: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Use:
    """What the devices of a cluster (K,) have done so far, or more than that.

    Complete ``rounds`` of training; seconds in which they computed, also of rounds that are not
    complete, and for inference; seconds in which they sent to a satellite, and in ``peer_s`` (2,)
    all together over sidelinks and between satellites. A 0 stands for nothing of a kind.
    """

    rounds: Ints | int = 0
    computed_s: Floats | float = 0.0
    sending_s: Floats | float = 0.0
    peer_s: Floats | float = 0.0

    def __add__(self, more: Use) -> Use:
        """Return both together."""
        return Use(
            self.rounds + more.rounds,
            self.computed_s + more.computed_s,
            self.sending_s + more.sending_s,
            self.peer_s + more.peer_s,
        )


def energy_of(
    cluster: Cluster, use: Use, power_w: float | Floats | None, transmitter: Transmitter
) -> dict[str, Any]:
    """Return time and energy of a cluster's devices, all together; None for what is not known.

    The energy of sending is what is radiated.
    """
    air_s = float(np.sum(use.sending_s)) * transmitter.duty
    watts = np.nan if power_w is None else power_w
    training_j = float(np.sum(watts * use.computed_s))
    return {
        "cluster": cluster.name,
        "devices": cluster.devices,
        "device_rounds": int(np.sum(use.rounds)),
        "computed_s": float(np.sum(use.computed_s)),
        "training_j": None if np.isnan(training_j) else training_j,
        "air_s": air_s + float(np.sum(use.peer_s)),
        "transmit_j": None
        if transmitter.power_w is None
        else air_s * transmitter.power_w + float(np.sum(use.peer_s * np.array(transmitter.peer_w))),
    }


SPENT = ("device_rounds", "training_j", "transmit_j")


class Spending:
    """What all devices together had spent by each evaluation, and what the server had trained."""

    def __init__(self) -> None:
        self._by_time: dict[float, list[Any]] = {}

    def add(self, time_s: float, energy: Sequence[dict[str, Any]], server_rounds: int) -> None:
        """Note the energy of all clusters, and the server's own local rounds, by ``time_s``."""
        self._by_time[time_s] = [*(total(energy, key) for key in SPENT), server_rounds]

    def columns(self) -> dict[str, list[Any]]:
        """Return times and figures, in order of time."""
        rows = self._by_time.values()
        names = (*SPENT, "server_rounds")
        figures = {key: [row[place] for row in rows] for place, key in enumerate(names)}
        return {"time_s": list(self._by_time), **figures}
