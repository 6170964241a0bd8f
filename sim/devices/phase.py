"""Disconnected phases: how devices compute in one, and what it holds of rounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learning.requests.cluster import Cost, Floats, Ints, Mask
from sim.devices.compute import Compute
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
