"""How long devices compute: seconds a round, and what a disconnected phase holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learning.method import Cluster
from learning.requests import Cost, Floats, Ints, Mask

ROUNDING = 1e-9
"""Relative slack when rounds are counted, so that 0.7 s hold seven rounds of 0.1 s."""


@dataclass(frozen=True)
class Compute:
    """Compute of every device: fixed ``seconds_per_round``, or the FLOPs over ``flops_per_s``.

    ``per_contact`` is a number of rounds or None for as many as fit; ``per_gap_max`` None for no
    limit. ``pace_s`` replaces the round time in disconnected phases (the paper's slots hold
    ``per_contact`` rounds each, however long a round is).
    """

    seconds_per_round: float | None
    flops_per_s: float | None
    memory_bytes: float | None
    per_contact: int | None
    per_gap_max: int | None
    pace_s: float | None = None

    def round_s(self, cost: Cost) -> float:
        """Seconds of one local round."""
        if self.seconds_per_round is not None:
            return self.seconds_per_round
        assert self.flops_per_s is not None  # the scenario's schema asks for one of the two
        return cost.flops / self.flops_per_s

    def fits(self, cost: Cost) -> bool:
        """Return whether a device's memory holds what the round needs."""
        return self.memory_bytes is None or cost.memory_bytes <= self.memory_bytes


def whole_rounds(seconds: Floats, round_s: float) -> Ints:
    """Count how many rounds of ``round_s`` fit into ``seconds`` (K,); negative time holds none."""
    counts = np.floor(np.maximum(seconds, 0.0) / round_s * (1 + ROUNDING) + ROUNDING)
    return counts.astype(np.int64)


class Devices:
    """The devices of one cluster: until when each is busy, and time left over from a cut round."""

    def __init__(self, cluster: Cluster, compute: Compute) -> None:
        self.cluster = cluster
        self.compute = compute
        self.free_s: Floats = np.zeros(cluster.devices)
        self.computed_s = 0.0
        self._kept_s: Floats = np.zeros(cluster.devices)

    def excluded(self, cost: Cost) -> Mask:
        """Devices (K,) whose memory is too small for the round."""
        return np.full(self.cluster.devices, not self.compute.fits(cost))

    def gap_rounds(
        self, cost: Cost, who: Mask, from_s: float, to_s: float
    ) -> tuple[Ints, Floats, Floats]:
        """Rounds (K,) that end in a disconnected phase, and when the training begins and ends.

        The time of a round that the phase cuts off is kept for the next one. Devices outside
        ``who`` rest, and keep what they had.
        """
        paced = self.compute.pace_s
        one_s = paced or self.compute.round_s(cost)
        able = who & ~self.excluded(cost)
        # In slots a gap holds a whole number of rounds, whatever the contact was spent on.
        begin = np.full_like(self.free_s, from_s) if paced else np.maximum(from_s, self.free_s)
        spent = np.where(able, np.maximum(to_s - begin, 0.0) + self._kept_s, 0.0)
        rounds = whole_rounds(spent, one_s)
        limit = self.compute.per_gap_max
        if limit is not None:
            rounds = np.minimum(rounds, limit)
            spent = np.where(rounds < limit, spent, rounds * one_s)
        left = np.maximum(spent - rounds * one_s, 0.0)
        self._kept_s = np.where(able, np.where(left < ROUNDING * one_s, 0.0, left), self._kept_s)
        end = np.minimum(begin + rounds * one_s, np.maximum(to_s, begin))
        self.free_s = np.where(rounds > 0, np.maximum(self.free_s, end), self.free_s)
        self.count(rounds, cost)
        return rounds, begin, end

    def count(self, rounds: Ints, cost: Cost) -> None:
        """Add complete rounds to the time that the devices have computed."""
        self.computed_s += float(rounds.sum()) * self.compute.round_s(cost)
