"""AOS, LOS and look angles of a cluster's devices during a contact."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from math import ceil, isfinite, sqrt

import numpy as np

from orbit.checks import BoolArray, FloatArray, IntArray
from orbit.ephemeris import EvenSpline, EvenSplines
from orbit.look_angles import (
    LookAngles,
    azimuth_deg,
    elevation_and_range,
    looks_from,
    margins,
    sight,
)
from orbit.passes import bracketed_roots
from orbit.propagation import propagate
from orbit.satellite import Satellite
from orbit.sites import Site, SiteFrames, site_frames
from orbit.utc import Start

# A satellite's path during one contact: SGP4 once, then look angles at any time inside.


# Radians that the satellite may turn about the Earth's centre between two knots: 7 s in a low
# orbit. A cubic spline is then within 0.1 mm of SGP4, and within 1 mm next to the ends.
_TURN_RAD = 0.008
_EARTH_RATE_RAD_S = 7.292115e-5
_LEAST_STEPS = 5


@dataclass(frozen=True, eq=False)
class ContactTrack:
    """Earth-fixed path of a satellite from `first_s` to `last_s`, seconds since the start.

    `path` is a cubic spline over seconds since `first_s`. Its six components are position (km) and
    velocity (km/s), interpolated apart: SGP4's velocity is not its position's derivative (up to
    1 m/s off in low orbits, more in eccentric ones).
    """

    first_s: float
    last_s: float
    path: EvenSpline

    def state(self, time_s: FloatArray) -> FloatArray:
        """States (..., 6) at times (...); outside the track it extrapolates: see `look`."""
        state: FloatArray = self.path(time_s - self.first_s)
        return state

    def look(self, sites: Site | Sequence[Site], time_s: FloatArray) -> LookAngles:
        """Look angles (T, K) of K sites at times (T,), or at each site's own times (T, K).

        Against exact SGP4: slant range to 1 cm, range rate to 1 mm/s, elevation to 1e-6 deg.
        Raises ValueError for no site, or for times of another shape or outside the track.
        """
        sites = [sites] if isinstance(sites, Site) else sites
        frames = site_frames(sites, 0.0)
        times = np.asarray(time_s, dtype=np.float64)
        if times.ndim == 1:
            times = times[:, None]
        if times.ndim != 2 or times.shape[1] not in (1, len(sites)):
            raise ValueError(
                f"time_s has shape {np.shape(time_s)}; give (T,), or (T, {len(sites)}) with a "
                "column a site"
            )
        outside = times[~((times >= self.first_s) & (times <= self.last_s))]
        if outside.size:
            raise ValueError(
                f"time {outside[0]} s is outside the track; give times from {self.first_s} s to "
                f"{self.last_s} s"
            )
        return looks_from(self.state(times), frames, np.arange(len(sites)))


def contact_track(
    satellite: Satellite, start: datetime, first_s: float, last_s: float
) -> ContactTrack:
    """Propagate a satellite over [first_s, last_s], seconds since the aware UTC `start`.

    Knots are dense enough for the orbit's perigee. SGP4 itself jumps now and then in a few deep
    space orbits (where its inclination passes 0.2 rad, or its resonance integrator steps); next to
    such a jump the spline is no better than the jump is high. Raises ValueError for a span that is
    not finite or does not last, a start without time zone, or where SGP4 fails.
    """
    if not (isfinite(first_s) and isfinite(last_s) and last_s > first_s):
        raise ValueError(f"track {first_s} s to {last_s} s does not last; give a later last_s")
    span_s = last_s - first_s
    steps = max(_LEAST_STEPS, ceil(span_s * _fastest_turn_rad_s(satellite) / _TURN_RAD))
    knots_s = np.linspace(0.0, span_s, steps + 1)
    state = propagate(satellite, Start.of(start), np.minimum(first_s + knots_s, last_s))
    return ContactTrack(first_s, last_s, EvenSpline.through(knots_s, state))


def _fastest_turn_rad_s(satellite: Satellite) -> float:
    """Angular rate about the Earth's centre at perigee, Earth-fixed, at most.

    Two-body: r^2 f' = n a^2 sqrt(1 - e^2) with r = a (1 - e) gives n sqrt(1 + e) / (1 - e)^1.5.
    """
    motion, eccentricity = satellite.model.no_kozai / 60, satellite.model.ecco
    turn: float = motion * sqrt(1 + eccentricity) / (1 - eccentricity) ** 1.5
    return turn + _EARTH_RATE_RAD_S


Look = tuple[FloatArray, FloatArray, FloatArray]


@dataclass(frozen=True, eq=False)
class ContactGeometry:
    """AOS and LOS (K,) of each device, and its geometry (K, T) at even times from AOS to LOS.

    Times are seconds since the start; azimuth from north through east, 0 to 360 deg; positive range
    rates recede. A device that never sees the satellite above its mask has aos_s equal to los_s, at
    its highest elevation. `track` is the path that all this was seen along.
    """

    aos_s: FloatArray
    los_s: FloatArray
    time_s: FloatArray
    elevation_deg: FloatArray
    slant_range_km: FloatArray
    range_rate_km_s: FloatArray
    track: ContactTrack = field(repr=False)
    _frames: SiteFrames = field(repr=False)

    @cached_property
    def azimuth_deg(self) -> FloatArray:
        """Azimuths (K, T), worked out when first asked for."""
        azimuth: FloatArray = np.empty_like(self.time_s)
        for rows, state, device in _blocks(self.time_s, self.track):
            azimuth[rows] = azimuth_deg(state, self._frames, device)
        return azimuth


def contact_geometry(
    satellite: Satellite,
    devices: Sequence[Site],
    start: datetime,
    rise_s: float,
    set_s: float,
    min_elevation_deg: float,
    step_s: float = 8.0,
) -> ContactGeometry:
    """When and how each of K devices sees a satellite within the contact [rise_s, set_s].

    A device's interval is the one around its highest elevation in the contact, cut at the contact's
    ends; its own mask wins over `min_elevation_deg`. AOS and LOS are where exact SGP4 crosses the
    mask to 0.1 ms (grazing ones to 1e-6 deg), the rest is as exact as `ContactTrack.look`. T is the
    least number of even times, ends included, that keeps every device's spacing at `step_s` or
    below. Raises ValueError for no device, a contact that is not finite or does not last, a step
    that is not positive, a mask out of range, or where SGP4 fails.
    """
    contacts = [(satellite, rise_s, set_s, step_s)]
    return contact_geometries(contacts, devices, start, min_elevation_deg)[0]


def contact_geometries(
    contacts: Sequence[tuple[Satellite, float, float, float]],
    devices: Sequence[Site],
    start: datetime,
    min_elevation_deg: float,
) -> list[ContactGeometry]:
    """`contact_geometry` of several contacts of the same devices, to the last bit, but quicker.

    Of each contact: the satellite, rise_s, set_s and step_s. Raises ValueError as that does.
    """
    for _, rise_s, set_s, step_s in contacts:
        _check(rise_s, set_s, step_s)
    frames = site_frames(devices, min_elevation_deg)
    tracks = [contact_track(satellite, start, *span_s) for satellite, *span_s, _ in contacts]
    every = np.arange(len(devices))
    times = [
        _even_times(*edges_s, contact[-1])
        for edges_s, contact in zip(zip(*edges(tracks, frames), strict=True), contacts, strict=True)
    ]
    seen = looks_along(tracks, times, frames, [every] * len(tracks))
    return [
        ContactGeometry(time_s[:, 0], time_s[:, -1], time_s, *look, track, frames)
        for time_s, look, track in zip(times, seen, tracks, strict=True)
    ]


def _check(rise_s: float, set_s: float, step_s: float) -> None:
    if not (isfinite(rise_s) and isfinite(set_s) and set_s > rise_s):
        raise ValueError(f"contact {rise_s} s to {set_s} s does not last; give set_s after rise_s")
    if not (isfinite(step_s) and step_s > 0):
        raise ValueError(
            f"step_s {step_s!r} is not a positive number of seconds; give one such as 8"
        )


def _even_times(aos_s: FloatArray, los_s: FloatArray, step_s: float) -> FloatArray:
    """Times (K, T) from AOS to LOS, as few as are at most a step apart in every row."""
    count = max(2, ceil(float((los_s - aos_s).max()) / step_s) + 1)
    return np.ascontiguousarray(np.linspace(aos_s, los_s, count).T)


def looks_along(
    tracks: Sequence[ContactTrack],
    times_s: Sequence[FloatArray],
    frames: SiteFrames,
    devices: Sequence[IntArray],
) -> list[Look]:
    """Elevations (deg), ranges (km) and range rates (km/s), each (K, T), along each of some tracks.

    Of each track the times, (K, T) or (1, T), and the sites (K,) that look, by index.
    """
    if len(tracks) == 1:
        return [_look_along(tracks[0], times_s[0], frames, devices[0])]
    shapes = [(len(who), time_s.shape[1]) for who, time_s in zip(devices, times_s, strict=True)]
    states = [
        np.broadcast_to(track.state(time_s), (*shape, 6)).transpose(2, 0, 1).reshape(6, -1)
        for track, time_s, shape in zip(tracks, times_s, shapes, strict=True)
    ]
    who = np.concatenate([np.repeat(w, shape[1]) for w, shape in zip(devices, shapes, strict=True)])
    seen = elevation_and_range(np.concatenate(states, axis=1).T, frames, who)
    ends = np.cumsum([state.shape[1] for state in states])[:-1]
    parts = zip(*(np.split(values, ends) for values in seen), strict=True)
    return [
        (elevation.reshape(shape), slant_range.reshape(shape), rate.reshape(shape))
        for (elevation, slant_range, rate), shape in zip(parts, shapes, strict=True)
    ]


def _look_along(
    track: ContactTrack, time_s: FloatArray, frames: SiteFrames, devices: IntArray
) -> Look:
    """What `looks_along` says of one track, a few devices at a time."""
    elevation, slant_range, range_rate = np.empty((3, len(devices), time_s.shape[1]))
    for rows, state, device in _blocks(np.broadcast_to(time_s, elevation.shape), track):
        seen = elevation_and_range(state, frames, devices[device])
        elevation[rows], slant_range[rows], range_rate[rows] = seen
    return elevation, slant_range, range_rate


def _blocks(
    time_s: FloatArray, track: ContactTrack
) -> Iterator[tuple[slice, FloatArray, IntArray]]:
    """Devices a few at a time: their rows, their states (k, T, 6), and their indices (k, 1)."""
    devices, times = time_s.shape
    for device in blocks(devices, times):
        rows = slice(device[0], device[-1] + 1)
        yield rows, track.state(time_s[rows]), device[:, None]


# AOS and LOS of many devices under the tracks of satellites.


_TOLERANCE_S = 1e-7
# Numbers of an array at most, so that a long contact of many devices does not need all memory ...
_CHUNK = 200_000
# ... and so that a dozen arrays stay in a core's own cache.
_BLOCK = 8_000


def blocks(devices: int, times: int, most: int = _BLOCK) -> Iterator[IntArray]:
    """Indices of the devices, a few at a time, at least one if there is anything to do."""
    if devices * times:
        yield from np.array_split(np.arange(devices), min(devices, ceil(devices * times / most)))


def edges(tracks: Sequence[ContactTrack], frames: SiteFrames) -> tuple[FloatArray, FloatArray]:
    """AOS and LOS (N, K) of every device under each of N tracks."""
    # SGP4's own velocity would put a synchronous satellite's highest and lowest points seconds off.
    paths = EvenSplines.of([track.path for track in tracks]).first(3).moving()
    devices = len(frames.sin_mask)
    track, device = np.divmod(np.arange(len(tracks) * devices), devices)
    scans = (
        _Scan.of(paths, track[rows], frames, device[rows])
        for rows in blocks(len(track), int(paths.pieces.max()) + 1, _CHUNK)
    )
    after_s = np.concatenate([scan.edges() for scan in scans], axis=1)
    first_s, last_s = np.array([(track.first_s, track.last_s) for track in tracks]).T[:, track]
    # Of which rounding puts none past the end or short of it.
    whole_s = paths.x[paths.knot + paths.pieces][track]
    time_s = np.where(after_s == whole_s, last_s, np.minimum(first_s + after_s, last_s))
    aos_s, los_s = time_s.reshape(2, len(tracks), devices)
    return aos_s, los_s


@dataclass(frozen=True)
class _Scan:
    """Devices (k,) under their paths, at instants (k, n) that miss no change of the margin's sign.

    `paths` are of positions and their derivatives; they and `after_s` count from the tracks' first
    times: a short contact keeps its digits. Rows under a shorter path repeat its last instant.
    """

    paths: EvenSplines
    track: IntArray
    frames: SiteFrames
    device: IntArray
    after_s: FloatArray
    margin: FloatArray

    @classmethod
    def of(
        cls, paths: EvenSplines, track: IntArray, frames: SiteFrames, device: IntArray
    ) -> "_Scan":
        """Scan the paths' knots, and the tops and bottoms that hide between two of them."""
        every = np.arange(len(paths.pieces))[:, None]
        knots_s = paths.x[
            paths.knot[every] + np.minimum(np.arange(paths.pieces.max() + 1), paths.pieces[every])
        ]
        states = paths(every, knots_s).transpose(2, 0, 1)
        margin, rate = np.empty((2, len(track), knots_s.shape[1]))
        for some in blocks(*margin.shape):
            state = states.take(track[some], axis=1).transpose(1, 2, 0)
            seen = sight(state, frames, device[some, None])
            margin[some], rate[some] = seen.margin, seen.margin_rate_per_s
        after_s = knots_s[track]
        scan = cls(paths, track, frames, device, after_s, margin)
        row, left = np.nonzero(_hides_turn(margin, rate))
        return scan._with_turns(row, left, rate) if row.size else scan

    def _with_turns(self, row: IntArray, left: IntArray, rate: FloatArray) -> "_Scan":
        """The same with the turning points of some rows (m,) behind instants `left` (m,).

        `rate` (k, n) is the margin's.
        """

        def rate_at(which: IntArray, after_s: FloatArray) -> FloatArray:
            state = self.paths(self.track[row[which]], after_s)
            return sight(state, self.frames, self.device[row[which]]).margin_rate_per_s

        turn_s = bracketed_roots(
            rate_at, self.after_s[row, left], self.after_s[row, left + 1],
            rate[row, left], rate[row, left + 1], _TOLERANCE_S,
        )  # fmt: skip
        # A step that hides something for one device gets an instant more for all of them: the
        # turning point, or its first knot again.
        more = np.unique(left)
        place = left + 1 + np.searchsorted(more, left)
        after_s = np.insert(self.after_s, more + 1, self.after_s[:, more], axis=1)
        margin = np.insert(self.margin, more + 1, self.margin[:, more], axis=1)
        after_s[row, place] = turn_s
        margin[row, place] = self._margins(row, turn_s)
        return replace(self, after_s=after_s, margin=margin)

    def _margins(self, row: IntArray, after_s: FloatArray) -> FloatArray:
        """Margins (m,) of some rows at their times."""
        state = self.paths.first(3)(self.track[row], after_s)
        return margins(state, self.frames, self.device[row])

    def edges(self) -> FloatArray:
        """AOS and LOS (2, k), seconds after the track's first time."""
        below, place = self.margin < 0, np.arange(self.margin.shape[1])
        top = self.margin.argmax(axis=1)
        before, later = below & (place < top[:, None]), below & (place > top[:, None])
        ever = ~below[self._every, top]
        rises = np.flatnonzero(ever & before.any(axis=1))
        sets = np.flatnonzero(ever & later.any(axis=1))
        last_below = place[-1] - before[rises, ::-1].argmax(axis=1)
        last_above = later[sets].argmax(axis=1) - 1
        crossings = self._crossings(np.append(rises, sets), np.append(last_below, last_above))
        edges = np.stack([self.after_s[:, 0], self.after_s[:, -1]])
        edges[:, ~ever] = self.after_s[self._every, top][~ever]
        edges[0, rises], edges[1, sets] = np.split(crossings, [len(rises)])
        return edges

    @property
    def _every(self) -> IntArray:
        return np.arange(len(self.device))

    def _crossings(self, row: IntArray, left: IntArray) -> FloatArray:
        """Where the margin changes sign between instants `left` and the next."""

        def margin(which: IntArray, after_s: FloatArray) -> FloatArray:
            return self._margins(row[which], after_s)

        return bracketed_roots(
            margin, self.after_s[row, left], self.after_s[row, left + 1],
            self.margin[row, left], self.margin[row, left + 1], _TOLERANCE_S,
        )  # fmt: skip


def _hides_turn(margin: FloatArray, rate: FloatArray) -> BoolArray:
    """Which steps (k, n - 1) may rise above the mask, or dip below it, with neither end saying so.

    A step between two samples below the mask hides a top, one between two above it a bottom.
    """
    below, climbs = margin < 0, rate >= 0
    same_side = below[:, :-1] == below[:, 1:]
    turns = climbs[:, :-1] != climbs[:, 1:]
    hides: BoolArray = same_side & turns & (below[:, :-1] == climbs[:, :-1])
    return hides
