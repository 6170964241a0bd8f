"""AOS, LOS and look angles of a cluster's devices during a contact."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from math import ceil, isfinite

import numpy as np

from orbit.checks import FloatArray, IntArray
from orbit.ephemeris import EARTH_RATE_RAD_S, Ephemeris, perigee_rate_rad_s
from orbit.even_spline import spline_rates
from orbit.look_angles import LookAngles, azimuth_deg, elevation_and_range, looks_from
from orbit.passes import find_passes, first_largest
from orbit.propagation import propagate
from orbit.satellite import Satellite
from orbit.sites import Site, SiteFrames, site_frames
from orbit.utc import Start
from orbit.visibility import Samples

# Radians that the satellite may turn about the Earth's centre between two knots: 7 s in a low
# orbit. A cubic spline is then within 0.1 mm of SGP4, and within 1 mm next to the ends.
_TURN_RAD = 0.008
_LEAST_STEPS = 5


@dataclass(frozen=True, eq=False)
class ContactTrack:
    """Earth-fixed path of a satellite from `first_s` to `last_s`, seconds since the start.

    A cubic spline, not-a-knot at both ends, through SGP4's states (n + 1, 6) at even `knots_s`
    since `first_s`, with the derivatives `rates` (n + 1, 6) there; n is at least 3. Position (km)
    and velocity (km/s) are interpolated apart: SGP4's velocity is not its position's derivative (up
    to 1 m/s off in low orbits, more in eccentric ones).
    """

    first_s: float
    last_s: float
    knots_s: FloatArray
    states: FloatArray
    rates: FloatArray

    @cached_property
    def powers(self) -> FloatArray:
        """Coefficients (4, 6, n) of each piece, by falling power of the time since its knot."""
        width, values, rate = np.diff(self.knots_s)[:, None], self.states, self.rates
        slope = np.diff(values, axis=0) / width
        bend = (rate[:-1] + rate[1:] - 2 * slope) / width
        powers = np.stack(
            [bend / width, (slope - rate[:-1]) / width - bend, rate[:-1], values[:-1]]
        )
        return np.ascontiguousarray(np.swapaxes(powers, 1, 2))

    def state(self, time_s: FloatArray) -> FloatArray:
        """States (..., 6) at finite times (...); outside the track it extrapolates: see `look`.

        Each component's values lie together in memory.
        """
        after_s, pieces = time_s - self.first_s, len(self.knots_s) - 1
        left = after_s * (pieces / self.knots_s[-1])
        piece = np.minimum(np.maximum(left, 0), pieces - 1).astype(np.intp)
        beyond_s = after_s - self.knots_s[piece]
        values = np.take(self.powers[0], piece, axis=1)
        for power in self.powers[1:]:
            values *= beyond_s
            values += np.take(power, piece, axis=1)
        components_last: FloatArray = np.moveaxis(values, 0, -1)
        return components_last

    def ephemeris(self) -> Ephemeris:
        """The positions as an ephemeris of one satellite."""
        knots, step_s = len(self.knots_s), self.knots_s[1:2]
        node = np.stack([self.states[:, :3].T, step_s * self.rates[:, :3].T])
        time_s = np.append(self.first_s + self.knots_s[:-1], self.last_s)
        return Ephemeris(np.zeros(knots, np.int64), time_s, step_s, node)

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
    return _contact_tracks([(satellite, first_s, last_s)], start)[0]


def _contact_tracks(
    spans: Sequence[tuple[Satellite, float, float]], start: datetime
) -> list[ContactTrack]:
    """`contact_track` of several satellites and spans."""
    knots_s = [_knots_s(*span) for span in spans]
    states = [
        propagate(satellite, Start.of(start), np.minimum(first_s + own_s, last_s))
        for (satellite, first_s, last_s), own_s in zip(spans, knots_s, strict=True)
    ]
    counts = [len(own_s) for own_s in knots_s]
    rates = spline_rates(np.concatenate(knots_s), np.concatenate(states), counts)
    each = np.split(rates, np.cumsum(counts)[:-1])
    return [
        ContactTrack(first_s, last_s, *spline)
        for (_, first_s, last_s), *spline in zip(spans, knots_s, states, each, strict=True)
    ]


def _knots_s(satellite: Satellite, first_s: float, last_s: float) -> FloatArray:
    """Even times since `first_s` that are dense enough for the orbit's perigee."""
    span_s = last_s - first_s
    # Earth-fixed, at most.
    turn_rad_s = EARTH_RATE_RAD_S + perigee_rate_rad_s(
        satellite.model.no_kozai / 60, satellite.model.ecco
    )
    steps = max(_LEAST_STEPS, ceil(span_s * turn_rad_s / _TURN_RAD))
    return np.linspace(0.0, span_s, steps + 1)


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
        device = np.arange(len(self.time_s))[:, None]
        return azimuth_deg(self.track.state(self.time_s), self._frames, device)


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
        if not (isfinite(rise_s) and isfinite(set_s) and set_s > rise_s):
            raise ValueError(
                f"contact {rise_s} s to {set_s} s does not last; give set_s after rise_s"
            )
        if not (isfinite(step_s) and step_s > 0):
            raise ValueError(
                f"step_s {step_s!r} is not a positive number of seconds; give one such as 8"
            )
    frames = site_frames(devices, min_elevation_deg)
    tracks = _contact_tracks([contact[:3] for contact in contacts], start)
    every = np.arange(len(devices))
    edges_s = zip(*aos_los(tracks, frames), strict=True)
    times = [
        _even_times(*own_s, contact[-1]) for own_s, contact in zip(edges_s, contacts, strict=True)
    ]
    seen = looks_along(tracks, times, frames, [every] * len(tracks))
    return [
        ContactGeometry(time_s[:, 0], time_s[:, -1], time_s, *look, track, frames)
        for time_s, look, track in zip(times, seen, tracks, strict=True)
    ]


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
    every_s = np.broadcast_to(time_s, elevation.shape)
    for some in blocks(*elevation.shape):
        seen = elevation_and_range(track.state(every_s[some]), frames, devices[some, None])
        elevation[some], slant_range[some], range_rate[some] = seen
    return elevation, slant_range, range_rate


# Samples that are searched at once, which bounds the memory of a long contact of many devices.
_CHUNK = 40_000
# Numbers of an array at most, so that a dozen of them stay in a core's own cache.
_BLOCK = 8_000


def blocks(devices: int, times: int, most: int = _BLOCK) -> Iterator[IntArray]:
    """Indices of the devices, a few at a time: arrays over these and times have `most` entries."""
    if devices * times:
        yield from np.array_split(np.arange(devices), min(devices, ceil(devices * times / most)))


def aos_los(tracks: Sequence[ContactTrack], frames: SiteFrames) -> tuple[FloatArray, FloatArray]:
    """AOS and LOS (N, K) of every device under each of N tracks."""
    ephemeris = Ephemeris.joined([track.ephemeris() for track in tracks])
    aos_s, los_s = np.empty((2, len(tracks), len(frames.sin_mask)))
    for devices in blocks(aos_s.shape[1], len(ephemeris.time_s), _CHUNK):
        aos_s[:, devices], los_s[:, devices] = _aos_los(ephemeris, frames, devices)
    first_s, last_s = np.array([(track.first_s, track.last_s) for track in tracks]).T[..., None]
    return np.clip(aos_s, first_s, last_s), np.clip(los_s, first_s, last_s)


def _aos_los(ephemeris: Ephemeris, frames: SiteFrames, devices: IntArray) -> FloatArray:
    """AOS and LOS (2, N, k) of some devices that follow each other."""
    samples, satellites = Samples.every(ephemeris, frames, devices), len(ephemeris.step_s)
    edges_s = np.full((2, len(devices), satellites), np.nan)
    passes = find_passes(samples, closest=False)
    pair = (passes.site - devices[0]) * satellites + passes.satellite
    best = first_largest(passes.sin_elevation, pair)
    edges_s.reshape(2, -1)[:, pair[best]] = passes.rise_s[best], passes.set_s[best]
    # Who sees none has no interval, at the highest elevation: where a pass without mask culminates.
    unseen = np.isnan(edges_s[0])
    if unseen.any():
        these = np.repeat(unseen, np.bincount(ephemeris.satellite), axis=1).ravel()
        bare = replace(frames, sin_mask=np.full(len(frames.sin_mask), -1.0))
        some = Samples.of(ephemeris, bare, samples.site[these], samples.row[these])
        edges_s[:, unseen] = find_passes(some, closest=False).culminate_s
    return np.swapaxes(edges_s, 1, 2)
