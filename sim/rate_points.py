"""Points of the rate along a pass: what the devices of a link are seen at, and how it adds up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from channel import Link, Path, bends_deg, rate_state, received_signal
from learning.requests.cluster import Floats, Ints, Mask
from sim.in_step import Asking, Rates, alone

Look = Callable[[Floats, Ints], Asking[tuple[Floats, Floats]]]
"""Elevation (deg) and slant range (m), (R, J), of some devices at their own times (R, J), by their
rows (R,)."""


@dataclass(frozen=True, eq=False)
class Points:
    """Points (K, T) in order of time: true rates, and those of the curve.

    ``inner`` points are those whose rate is moved for the bits of both cells beside them.
    """

    time_s: Floats
    true_bps: Floats
    curve_bps: Floats
    snr_db: Floats
    rician_k: Floats
    inner: Mask

    def with_more(self, other: Points) -> Points:
        """Both together, row by row; of points at one time this grid's are first."""
        every_s = np.concatenate([self.time_s, other.time_s], axis=1)
        order = np.argsort(every_s, axis=1, kind="stable")
        return self._beside(other).picked(order)

    def with_columns(self, columns: Ints, other: Points) -> Points:
        """Both together; each column of the other before one of these columns."""
        places = np.append(np.arange(self.time_s.shape[1]), columns - 0.5)
        return self._beside(other).at(np.argsort(places))

    def _beside(self, other: Points) -> Points:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Points(*(np.concatenate(pair, axis=1) for pair in pairs))

    def at(self, columns: Ints) -> Points:
        """The points in some columns."""
        return Points(*(x[:, columns] for x in vars(self).values()))

    def picked(self, which: Ints) -> Points:
        """Of each row those in some columns (K, J) of its own."""
        return Points(*(np.take_along_axis(x, which, axis=1) for x in vars(self).values()))


@dataclass(frozen=True, eq=False)
class Sightline:
    """A link whose devices (K) are looked at along a pass."""

    link: Link
    path: Path
    look: Look
    devices: int

    @cached_property
    def _everybody(self) -> Ints:
        return np.arange(self.devices)

    @property
    def bends_deg(self) -> list[float]:
        """Elevations at which the rate has a kink."""
        return [] if is_constant(self.link) else bends_deg(self.link).tolist()

    def elevation_deg(self, time_s: Floats) -> Floats:
        """Elevations (K, J) at times (K, J)."""
        return alone(self.look(time_s, self._everybody))[0]

    def snr_db(self, time_s: Floats) -> Floats:
        """SNR (K, J) at times (K, J)."""
        place = alone(self.look(time_s, self._everybody))
        return received_signal(self.link, *place, self.path).snr_db

    def state(self, time_s: Floats, rows: Ints) -> Ints:
        """States (R, J) of the rate of some devices, by their rows (R,), at times (R, J)."""
        return rate_state(self.link, *alone(self.look(time_s, rows)), path_of(self.path, rows))

    def points(self, time_s: Floats) -> Asking[Points]:
        """Points with their true rates."""
        place = yield from self.look(time_s, self._everybody)
        snr_db, rician_k, rate_bps = yield Rates(self.link, *place, self.path)
        return Points(time_s, rate_bps, rate_bps, snr_db, rician_k, np.zeros(time_s.shape, bool))


def is_constant(link: Link) -> bool:
    """Whether the rate does not change between its jumps."""
    return link.rate in ("modcod", "fixed")


def path_of(path: Path, rows: Ints) -> Path:
    """The luck of some devices; one that is the same for all stays so."""
    fields = (np.asarray(x) for x in vars(path).values())
    return Path(*(x[rows] if x.ndim else x for x in fields))
