"""Passes of satellites over places, and the points at which their devices see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np

import orbit
from channel import Path, doppler_hz
from channel.curve_table import spread
from learning.requests.cluster import Floats, Ints, Mask
from orbit.contact_geometry import contact_views
from orbit.sites import SiteFrames, site_frames
from sim.links.beam import Radios
from sim.links.rate_points import Grid

GRID_S_PER_KM, FINE_GRID_S_PER_KM = 6.0 / 600.0, 4.0 / 600.0
"""Spacing of a link curve's points over the shortest range: the nearer a satellite passes, the
faster its link changes. Payloads are then through to 0.3 ms of where they should be. What is
around a device may take nearly all of its rate away: what was sent until then has to be righter."""
NEAREST_KM, FARTHEST_KM = 150.0, 1800.0
LEAST_POINTS, MOST_POINTS = 40, 1000
"""Points of a short contact, and of one of some hours: a high orbit changes that much slower."""


def grid_step_s(fine: bool, nearest_km: float | Floats, lasts_s: float | Floats) -> float | Floats:
    """Spacing of the points of contacts' link curves, at most; ``fine`` in an environment."""
    near_km = np.minimum(np.maximum(nearest_km, NEAREST_KM), FARTHEST_KM)
    step_s = near_km * (FINE_GRID_S_PER_KM if fine else GRID_S_PER_KM)
    widest_s: float | Floats = np.minimum(step_s, lasts_s / LEAST_POINTS)
    return np.maximum(widest_s, lasts_s / MOST_POINTS)


def grid_points(fine: bool, nearest_km: float | Floats, lasts_s: float | Floats) -> Ints:
    """Points of a device's link curve in each contact, before those of jumps."""
    cells = np.ceil(lasts_s / grid_step_s(fine, nearest_km, lasts_s))
    return np.asarray(cells, np.int64) + 1


@dataclass(frozen=True, eq=False)
class Place:
    """A cluster on the ground: its centre, its devices (K), and the radios of all of these.

    A device's own mask wins over ``min_elevation_deg``.
    """

    centre: orbit.Site
    devices: Sequence[orbit.Site]
    min_elevation_deg: float
    radios: Radios

    @cached_property
    def frames(self) -> tuple[SiteFrames, SiteFrames]:
        """Local frames of the devices, and of the centre."""
        sites = self.devices, [self.centre]
        devices, centre = (site_frames(some, self.min_elevation_deg) for some in sites)
        return devices, centre

    @property
    def shares(self) -> bool:
        """Whether a direction is shared, so that its curves need common times."""
        return not all(radio is None or radio.alone for radio in self.radios)


@dataclass(frozen=True, eq=False)
class Pass:
    """A satellite over a place, and each device's draws.

    No device is nearer to the satellite than ``nearest_km``.
    """

    satellite: orbit.Satellite
    place: Place
    rise_s: float
    set_s: float
    nearest_km: float
    path: Path

    @property
    def _shape(self) -> tuple[bool, float, float]:
        fine = self.place.radios[0].link.environment is not None
        return fine, self.nearest_km, self.set_s - self.rise_s

    @property
    def step_s(self) -> float:
        """Spacing of its points, at most."""
        return float(grid_step_s(*self._shape))

    @property
    def points(self) -> int:
        """Points of all devices before jumps, about; with common times twice as many."""
        each = int(grid_points(*self._shape))
        return each * len(self.place.devices) * (2 if self.place.shares else 1)


@dataclass(frozen=True, eq=False)
class PassPoints:
    """Points of all devices of each pass (P,): ``devices`` rows of so many ``points`` each.

    Times, elevations and ranges are flat, row after row and pass after pass.
    """

    devices: Ints
    points: Ints
    step_s: Floats | None
    time_s: Floats
    elevation_deg: Floats
    slant_range_m: Floats

    @property
    def steps_s(self) -> Floats:
        """Seconds (P,) between common times."""
        assert self.step_s is not None  # those of each row's own differ
        return self.step_s

    @property
    def places(self) -> tuple[Floats, Floats, Floats]:
        """Times, elevations and ranges."""
        return self.time_s, self.elevation_deg, self.slant_range_m

    def grid(self, some: Mask) -> Grid:
        """The rows of some passes (P,)."""
        rows = np.repeat(some, self.devices)
        step_s = None if self.step_s is None else np.repeat(self.step_s, self.devices)
        points = np.repeat(self.points, self.devices)
        return Grid(np.arange(len(rows)), points, *self.places, step_s).of(rows)

    def block(self, number: int, values: Floats) -> Floats:
        """The values (K, T) of one pass: a view."""
        first, shape = self._first[number], (self.devices[number], self.points[number])
        return values[first : first + shape[0] * shape[1]].reshape(shape)

    @cached_property
    def _first(self) -> Ints:
        first: Ints = np.cumsum(self.devices * self.points) - self.devices * self.points
        return first


class PassGeometry:
    """What the devices of P passes of one plan see: rows are devices in passes.

    ``own`` are points from each device's AOS to its LOS, even in time. ``common`` are even times of
    all devices from the pass's rise to its set, cut to each one's AOS and LOS; passes over places
    that share no direction have none. ``seen`` says of each row whether its device sees the
    satellite at all. ``doppler_hz`` (P, 2) is the largest shift over the centre, and for a device
    against the centre's.
    """

    def __init__(self, passes: Sequence[Pass], start: datetime) -> None:
        """See all of them, at least one."""
        places = list({id(p.place): p.place for p in passes}.values())
        numbers = {id(place): number for number, place in enumerate(places)}
        place = np.array([numbers[id(p.place)] for p in passes])
        rise_s, set_s, step_s = np.array([(p.rise_s, p.set_s, p.step_s) for p in passes]).T
        frames = [some.frames[which] for which in (0, 1) for some in places]
        satellites = [p.satellite for p in passes]
        self.views = views = contact_views(satellites, start, rise_s, set_s, frames, place)
        self.devices: Ints = np.bincount(views.contact, minlength=len(passes))
        self.first_row: Ints = np.cumsum(self.devices) - self.devices
        self.seen: Mask = views.los_s > views.aos_s
        shares = np.array([p.place.shares for p in passes])
        frequency_hz = np.array([p.place.radios[0].link.frequency_hz for p in passes])
        centre = sum(len(some.devices) for some in places) + place
        self.own, rates_km_s = self._own(step_s, centre)
        shifts = doppler_hz(self._fastest_km_s(centre, *rates_km_s), frequency_hz[:, None])
        self.doppler_hz: Floats = -shifts
        self.common = self._common(rise_s, set_s, np.where(shares, step_s, np.inf))

    def _own(self, step_s: Floats, centre: Ints) -> tuple[PassPoints, tuple[Floats, Floats]]:
        """As few points as are at most a step apart in all rows of a pass.

        With range rates there, from the devices and from the centres.
        """
        views, lasts_s = self.views, self.views.los_s - self.views.aos_s
        longest_s = np.maximum.reduceat(lasts_s, self.first_row)
        points = np.maximum(2, np.ceil(longest_s / step_s).astype(np.int64) + 1)
        each = np.repeat(points, self.devices)
        row, place = spread(np.zeros_like(each), each)
        time_s = views.aos_s[row] + place * (lasts_s / (each - 1))[row]
        time_s[np.cumsum(each) - 1] = views.los_s
        look, over_km_s = views.look_beside(row, time_s, centre[views.contact[row]])
        elevation_deg, range_km, range_rate_km_s = look
        seen = time_s, elevation_deg, range_km * 1e3
        return PassPoints(self.devices, points, None, *seen), (range_rate_km_s, over_km_s)

    def _common(self, rise_s: Floats, set_s: Floats, step_s: Floats) -> PassPoints:
        """Points a step apart at most; none where the step is infinite."""
        views, own = self.views, self.own
        steps = np.ceil((set_s - rise_s) / step_s).astype(np.int64)
        points = np.where(np.isinf(step_s), 0, np.maximum(2, steps + 1))
        even_s = (set_s - rise_s) / np.maximum(points - 1, 1)
        contact, place = spread(np.zeros_like(points), points)
        common_s = rise_s[contact] + place * even_s[contact]
        common_s[np.cumsum(points)[points > 0] - 1] = set_s[points > 0]
        state = views.tracks.state(contact, common_s)
        first = np.repeat(np.cumsum(points) - points, self.devices)
        row, which = spread(first, np.repeat(points, self.devices))
        looked = views.look_at(row, state, which)
        last = np.cumsum(np.repeat(own.points, self.devices)) - 1
        first = last - np.repeat(own.points, self.devices) + 1
        time_s = common_s[which]
        early, late = time_s < views.aos_s[row], time_s > views.los_s[row]
        outside, ends = early | late, np.where(early, first[row], last[row])
        there = ends[outside]
        elevation_deg, range_m = looked[0], looked[1] * 1e3
        time_s[outside], elevation_deg[outside] = own.time_s[there], own.elevation_deg[there]
        range_m[outside] = own.slant_range_m[there]
        return PassPoints(self.devices, points, even_s, time_s, elevation_deg, range_m)

    def _fastest_km_s(self, centre: Ints, here_km_s: Floats, over_km_s: Floats) -> Floats:
        """Largest range rates (P, 2): over the centre, and of a device against the centre's.

        At the own points: right to about a tenth of a percent.
        """
        views, own = self.views, self.own
        first = np.cumsum(own.devices * own.points) - own.devices * own.points
        seen = np.repeat(self.seen, np.repeat(own.points, own.devices))
        fastest_km_s = np.maximum.reduceat(np.abs(over_km_s), first)
        for end_s in (views.tracks.first_s, views.tracks.last_s):
            _, end_km_s = views.look_beside(self.first_row, end_s, centre)
            fastest_km_s = np.maximum(fastest_km_s, np.abs(end_km_s))
        left_km_s = np.maximum.reduceat(np.abs(here_km_s - over_km_s) * seen, first)
        return np.stack([fastest_km_s, left_km_s], axis=1)
