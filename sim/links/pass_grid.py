"""The times at which a pass is sampled, and curves between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

import orbit
from channel import Link, LinkCurve, Path
from learning.requests.cluster import Floats, Ints, Mask
from orbit.sites import site_frames
from sim.links.batching import Batched, GeometryQuery, alone
from sim.links.rate_grid import RateGrid, path_of, rate_grid

HORIZON_DEG = 1e-6
"""A hair above the horizon, at and below which there is no link."""
CELLS = 2
"""Cells of a grid for which curves are made at once where the band is shared anew all the time."""


@dataclass(frozen=True, eq=False)
class PassGrid:
    """Times of devices (K) along a pass, and what they see then: all (K, T).

    Rows are even from each device's AOS to its LOS; or, with the times ``common_s`` (T,), those cut
    to that. ``path`` is each device's draws, and ``seen`` (K,) says who sees the satellite at all.
    """

    track: orbit.ContactTrack
    devices: Sequence[orbit.Site]
    path: Path
    seen: Mask
    time_s: Floats
    elevation_deg: Floats
    slant_range_m: Floats
    common_s: Floats | None = None

    @classmethod
    def own(
        cls, geometry: orbit.ContactGeometry, devices: Sequence[orbit.Site], path: Path
    ) -> PassGrid:
        """Each device's own even times."""
        seen = geometry.los_s > geometry.aos_s
        range_m = geometry.slant_range_km * 1e3
        place = geometry.time_s, geometry.elevation_deg, range_m
        return cls(geometry.track, devices, path, seen, *place)

    def common(self, step_s: float) -> Batched[PassGrid]:
        """Even times from the pass's rise to its set for all devices, at most a step apart."""
        first_s, last_s = self.track.first_s, self.track.last_s
        common_s = np.linspace(first_s, last_s, max(2, ceil((last_s - first_s) / step_s) + 1))
        early, late = common_s < self.time_s[:, :1], common_s > self.time_s[:, -1:]
        looked = yield from self._looks(common_s[None, :], np.arange(len(self.devices)))
        own = self.time_s, self.elevation_deg, self.slant_range_m

        def cut(row: Floats, values: Floats) -> Floats:
            return np.where(early, row[:, :1], np.where(late, row[:, -1:], values))

        time_s, elevation_deg, range_m = map(cut, own, (common_s, *looked))
        place = time_s, elevation_deg, range_m
        return PassGrid(self.track, self.devices, self.path, self.seen, *place, common_s)

    def curve(self, link: Link) -> Batched[tuple[LinkCurve, RateGrid]]:
        """The curve of a link over the whole pass, one row a device."""
        grid = yield from self._rates(link, np.arange(len(self.devices)), slice(None))
        return LinkCurve(grid.time_s, np.where(self.seen[:, None], grid.rate_bps, 0.0)), grid

    def stretch(self, link: Link, now_s: float, who: Mask) -> tuple[LinkCurve, float]:
        """The curve of the devices in ``who`` (K,) from a time on, and until when it holds.

        The others' rows carry nothing.
        """
        assert self.common_s is not None  # who shares a band has common times
        last = len(self.common_s) - 1
        cell = min(int(np.searchsorted(self.common_s, now_s, "right")) - 1, last - 1)
        first = cell // CELLS * CELLS
        grid = alone(self._rates(link, np.flatnonzero(who), slice(first, first + CELLS + 1)))
        time, rate = (np.zeros((len(who), grid.time_s.shape[1])) for _ in range(2))
        time[who], rate[who] = grid.time_s, grid.rate_bps
        return LinkCurve(time, rate), float(self.common_s[min(first + CELLS, last)])

    def _rates(self, link: Link, who: Ints, part: slice) -> Batched[RateGrid]:
        lowest_deg = max(link.min_elevation_deg, HORIZON_DEG)

        def look(when_s: Floats, rows: Ints) -> Batched[tuple[Floats, Floats]]:
            inside = np.clip(when_s, self.track.first_s, self.track.last_s)
            elevation_deg, range_m = yield from self._looks(inside, who[rows])
            return np.maximum(elevation_deg, lowest_deg), range_m

        # AOS and LOS lie on the mask by construction; rounding must not put them below the gate.
        elevation_deg = np.maximum(self.elevation_deg[who, part], lowest_deg)
        here = elevation_deg, self.slant_range_m[who, part]
        step_s = None if self.common_s is None else float(self.common_s[1] - self.common_s[0])
        path, time_s = path_of(self.path, who), self.time_s[who, part]
        return (yield from rate_grid(link, path, time_s, look, here, step_s))

    def _looks(self, time_s: Floats, who: Ints) -> Batched[tuple[Floats, Floats]]:
        frames = site_frames(self.devices, 0.0)
        elevation_deg, range_m, _ = yield GeometryQuery(self.track, frames, time_s, who)
        return elevation_deg, range_m


# Linear interpolation of many rows at once, each at its own time.


def along(grid_s: Floats, values: Floats, when_s: Floats) -> Floats:
    """Value of each row of ``values`` (K, T) at its ``when_s`` (K,) on its own grid (K, T).

    Before and behind the grid it is the first and the last value.
    """
    rows = np.arange(len(grid_s))
    when = np.clip(when_s, grid_s[:, 0], grid_s[:, -1])
    at = np.clip(np.count_nonzero(grid_s <= when[:, None], axis=1) - 1, 0, grid_s.shape[1] - 2)
    step = grid_s[rows, at + 1] - grid_s[rows, at]
    share = np.divide(when - grid_s[rows, at], step, out=np.ones_like(when), where=step > 0)
    low, high = values[rows, at], values[rows, at + 1]
    value: Floats = low + (high - low) * share
    return value
