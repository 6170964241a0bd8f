"""Disconnected phases: how devices compute in one, and what it holds of rounds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from learning.requests.cluster import Cost, Floats, Ints, Mask
from sim.devices.compute import ROUNDING, Compute
from sim.devices.faults import Presence


@dataclass(frozen=True, eq=False)
class Computing:
    """How fast the devices of a cluster compute, and when they are present (None: always)."""

    compute: Compute
    presence: Presence | None = None

    def excluded(self, cost: Cost, devices: int) -> Mask:
        """Devices (K,) whose memory is too small for the round."""
        too_small = ~self.compute.fits(cost)
        return too_small if too_small.ndim else np.full(devices, too_small)

    def pace_s(self, round_s: Floats) -> Floats:
        """Seconds of a disconnected phase that a round of ``round_s`` takes, () or (K,)."""
        pace_s = self.compute.pace_s
        return round_s if pace_s is None else np.asarray(pace_s)

    def pace(self, cost: Cost, devices: int) -> Pace:
        """Return what rounds of a cost take of so many devices."""
        excluded = self.excluded(cost, devices)
        excluded.setflags(write=False)
        alone_s = 0.0
        plain = self.presence is None and self.compute.pace_s is None
        if devices == 1 and plain and not excluded[0]:
            alone_s = float(np.broadcast_to(self.compute.round_s(cost), 1)[0])
        return Pace(cost, excluded, alone_s)


@dataclass(frozen=True, eq=False)
class Pace:
    """What rounds of one ``cost`` take of devices.

    ``excluded`` (K,) lack the memory. ``alone_s`` is the time of a round of the only device, if it
    is always present and its rounds follow on each other; 0 where that is not so.
    """

    cost: Cost
    excluded: Mask
    alone_s: float


@dataclass(frozen=True, eq=False)
class Phase:
    """A disconnected phase: rounds of one ``cost``, asked of the devices in ``who`` (K,).

    It lasts from ``from_s`` until the next contact, and is asked for ``most_rounds`` per device
    (None: as many as fit). ``limit`` is that, or else what ``learning.rounds`` allows.
    """

    cost: Cost
    who: Mask
    from_s: float
    most_rounds: int | None = None
    limit: int | None = None


@dataclass(frozen=True, eq=False)
class Gap:
    """What a disconnected phase holds for each device (K,).

    Complete ``rounds``, the time ``ended_s`` that was computed for them, and when they begin and
    end. ``kept_s`` is time left for the next phase, ``open_s`` what is computed of the round that
    it belongs to.
    """

    rounds: Ints
    ended_s: Floats
    begin_s: Floats
    end_s: Floats
    kept_s: Floats
    open_s: Floats

    @property
    def computed_s(self) -> Floats:
        """Time (K,) that rounds took which are complete now, or open."""
        return self.ended_s + self.open_s


def gap_of_one(phase: Phase, to_s: float, *, free_s: float, kept_s: float, round_s: float) -> Gap:
    """Return what a phase holds by ``to_s`` for the only device, which is always there.

    It is free from ``free_s`` on, has ``kept_s`` left of the phase before, and takes ``round_s``
    for a round: to the last bit what `Devices.gap` works out for any number of devices.
    """
    begin_s = max(phase.from_s, free_s)
    spent_s = max(to_s - begin_s, 0.0) + kept_s
    rounds = math.floor(spent_s / round_s * (1 + ROUNDING) + ROUNDING)
    limit = phase.limit
    if limit is not None:
        rounds = min(rounds, limit)
    work_s = rounds * round_s
    left_s = max(spent_s - work_s, 0.0)
    if left_s < ROUNDING * round_s or (limit is not None and rounds >= limit):
        left_s = 0.0
    end_s = min(begin_s + work_s, max(to_s, begin_s))
    return Gap(
        rounds=np.array([rounds]),
        ended_s=np.array([work_s]),
        begin_s=np.array([begin_s]),
        end_s=np.array([end_s]),
        kept_s=np.array([left_s]),
        open_s=np.array([left_s / round_s * round_s]),
    )
