"""Many contacts at once: AOS, LOS and look angles, in rows that are pairs of contact and device."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil

import numpy as np

from orbit.look_angles import dot, elevation_and_range, local, of_local
from orbit.passes import EXACT, LineOfSight, Samples, find_passes, first_largest
from orbit.roots import newton_roots
from orbit.satellite import Satellite
from orbit.sites import SiteFrames
from orbit.tracks import Tracks, contact_tracks
from orbit.windows import groups
from statements.arrays import Floats, Ints, Mask, stretches


@dataclass(frozen=True, eq=False)
class EvenLooks:
    """What devices see at even times of N contacts, from the rise to the set of each.

    Contact n has `points` (N,) times, `time_s` (C,) and `states` (6, C) contact after contact. The
    rest is flat, device after device and contact after contact: elevation, slant range, its rate,
    and the height above the mask's cone.
    """

    points: Ints
    time_s: Floats
    states: Floats
    elevation_deg: Floats
    slant_range_km: Floats
    range_rate_km_s: Floats
    above_mask_km: Floats


@dataclass(frozen=True, eq=False)
class ContactViews:
    """Who sees the satellites of N contacts, and from when to when: one row a contact and device.

    Rows (R,) are sorted by contact, and there by device. `contact` indexes the `tracks`, `site` the
    `frames`, which are those of all places. AOS and LOS are as in `orbit.ContactGeometry`. No bit
    of a row depends on the others.
    """

    tracks: Tracks
    frames: SiteFrames
    contact: Ints
    site: Ints
    even: EvenLooks
    aos_s: Floats
    los_s: Floats

    def look(self, row: Ints, time_s: Floats) -> Floats:
        """Elevation (deg), range (km) and range rate (km/s), (3, P), of rows (P,) at times (P,)."""
        found = np.empty((3, len(time_s)))
        for some in blocks(len(time_s), _BLOCK):
            state = self.tracks.state(self.contact[row[some]], time_s[some]).T
            found[:, some] = elevation_and_range(state, self.frames, self.site[row[some]])
        return found

    def place(self, row: Ints, time_s: Floats) -> Floats:
        """Elevation (deg) and range (km) alone, (2, P), of rows (P,) at times (P,)."""
        found = np.empty((2, len(time_s)))
        for some in blocks(len(time_s), _BLOCK):
            position_km = self.tracks.state(self.contact[row[some]], time_s[some], 3).T
            found[:, some] = of_local(*local(position_km, self.frames, self.site[row[some]]))
        return found


def blocks(points: int, size: int) -> Iterator[slice]:
    """Stretches of points whose arrays stay in a core's own cache."""
    return (slice(first, first + size) for first in range(0, points, size))


def contact_views(
    satellites: Sequence[Satellite],
    start: datetime,
    rise_s: Floats,
    set_s: Floats,
    frames: Sequence[SiteFrames],
    place: Ints,
    points: Ints,
) -> ContactViews:
    """AOS and LOS of all devices in N contacts [rise_s, set_s] (N,), each over one of some places.

    `place` (N,) says which of the `frames`, each those of a place's devices; `points` (N,) how many
    even times of each contact are looked at, at least 2. A device's interval is the one around its
    highest elevation in the contact, cut at the contact's ends; AOS and LOS are where exact SGP4
    crosses its mask (the lowest elevation of a horizon) to 0.1 ms, grazing ones to 1e-6 deg.
    Raises ValueError for a contact that is not finite or does not last, or where SGP4 fails.
    """
    tracks = contact_tracks(satellites, start, rise_s, set_s)
    sites = np.array([len(frame.sin_mask) for frame in frames])
    devices = sites[place]
    before = (np.cumsum(sites) - sites)[place]
    contact, site = stretches(before, devices)
    every = SiteFrames(
        position_km=np.concatenate([frame.position_km for frame in frames]),
        axes=np.concatenate([frame.axes for frame in frames]),
        sin_mask=np.concatenate([frame.sin_mask for frame in frames]),
    )
    even = _even_looks(tracks, frames, place, points)
    edges_s = _aos_los(tracks, every, contact, site, even)
    return ContactViews(tracks, every, contact, site, even, *edges_s)


# Numbers of an array at most, so that a dozen of them stay in a core's own cache.
_BLOCK = 8_000


def _even_looks(
    tracks: Tracks, frames: Sequence[SiteFrames], place: Ints, points: Ints
) -> EvenLooks:
    """Looks of all devices of the `frames` of each contact's place."""
    contact, number = stretches(0 * points, points)
    step_s = (tracks.last_s - tracks.first_s) / (points - 1)
    time_s = tracks.first_s[contact] + number * step_s[contact]
    ends = np.cumsum(points)
    time_s[ends - 1] = tracks.last_s
    states = tracks.state(contact, time_s)
    devices = np.array([len(frame.sin_mask) for frame in frames])[place]
    first = np.cumsum(devices * points) - devices * points
    found = np.empty((4, int((devices * points).sum())))
    for frame, contacts in zip(frames, groups(place, len(frames)), strict=True):
        for some in _batches(contacts, len(frame.sin_mask) * points):
            columns = stretches((ends - points)[some], points[some])[1]
            parts = states if len(columns) == states.shape[1] else states[:, columns]
            sites = len(frame.sin_mask)
            for rows in blocks(sites, max(1, _BLOCK // len(columns))):
                seen = _seen(frame, rows, parts)
                begin = 0
                for count, at in zip(points[some].tolist(), first[some].tolist(), strict=True):
                    whole = found[:, at : at + sites * count].reshape(4, sites, count)
                    for values, into in zip(seen, whole, strict=True):
                        into[rows] = values[:, begin : begin + count]
                    begin += count
    return EvenLooks(points, time_s, states, *found)


def _batches(here: Ints, sizes: Ints) -> Iterator[Ints]:
    """Contacts that follow each other, together about a block, or one that is larger."""
    number = (np.cumsum(sizes[here]) - 1) // _BLOCK
    return (some for some in np.split(here, np.flatnonzero(np.diff(number)) + 1) if some.size)


def _seen(frames: SiteFrames, rows: slice, states: Floats) -> tuple[Floats, ...]:
    """Fields of `EvenLooks` (k, C) from some sites to states (6, C).

    Sums go term by term: a product of matrices may round otherwise where it has fewer rows.
    """
    position = frames.position_km[rows]
    axes = frames.axes[rows]
    product = np.empty((len(position), states.shape[1]))

    def along(vectors: Floats, motion: Floats) -> Floats:
        found = np.multiply.outer(vectors[:, 0], motion[0], out=np.empty_like(product))
        for axis in (1, 2):
            np.multiply.outer(vectors[:, axis], motion[axis], out=product)
            found += product
        return found

    east, north, up = (along(axes[:, axis], states[:3]) for axis in range(3))
    for axis, part in enumerate((east, north, up)):
        part -= dot(axes[:, axis].T, position.T)[:, None]
    elevation, slant_range = of_local(east, north, up)
    range_rate = along(position, states[3:])
    np.subtract(dot(states[:3], states[3:]), range_rate, out=range_rate)
    range_rate /= slant_range
    up -= np.multiply(slant_range, frames.sin_mask[rows, None], out=product)
    return elevation, slant_range, range_rate, up


def _aos_los(
    tracks: Tracks, frames: SiteFrames, contact: Ints, site: Ints, even: EvenLooks
) -> Floats:
    """AOS and LOS (2, R) of rows, cut at their contacts' ends.

    That of the highest pass above a device's mask; of one that sees none twice when it is highest.
    Where the elevation rises and then falls, and some even time is in view, both lie beside the
    even times in view; other rows are searched.
    """
    points = even.points[contact]
    first = np.cumsum(points) - points
    plain = _single_peaked(even.elevation_deg, first)
    plain &= (tracks.pieces <= 2 * (even.points - 1))[contact]
    visible = even.above_mask_km >= 0
    left = np.flatnonzero(visible[1:] != visible[:-1])
    row = np.searchsorted(first, left, "right") - 1
    inside = plain[row] & (left + 1 < (first + points)[row])
    left = left[inside]
    row = row[inside]
    rises = visible[left + 1]
    in_view = visible[first]
    in_view[row] = True
    plain &= in_view
    edges_s = np.stack([tracks.first_s[contact], tracks.last_s[contact]])
    crossed_s = _crossings(tracks, frames, (contact[row], site[row]), even, left - first[row], left)
    edges_s[0, row[rises]] = crossed_s[rises]
    edges_s[1, row[~rises]] = crossed_s[~rises]
    others = np.flatnonzero(~plain)
    if others.size:
        edges_s[:, others] = _searched(tracks, frames, contact[others], site[others])
    return np.clip(edges_s, tracks.first_s[contact], tracks.last_s[contact])


def _single_peaked(values: Floats, first: Ints) -> Mask:
    """Whether the values of each row, from `first` on to the next one's, rise and then fall."""
    rises = values[1:] > values[:-1]
    valley = np.flatnonzero(rises[1:] & ~rises[:-1]) + 1
    row = np.searchsorted(first, valley, "right") - 1
    # The last value of a row and the first one of the next are no neighbours.
    inside = (valley > first[row]) & (valley + 1 < np.append(first[1:], len(values))[row])
    single = np.ones(len(first), bool)
    single[row[inside]] = False
    return single


def _crossings(
    tracks: Tracks,
    frames: SiteFrames,
    who: tuple[Ints, Ints],
    even: EvenLooks,
    number: Ints,
    left: Ints,
) -> Floats:
    """When contacts' satellites cross the masks of sites, both (n,) in `who`.

    Each does once, after the even time with a `number` in its contact, at point `left`.
    """
    contact, site = who
    column = (np.cumsum(even.points) - even.points)[contact] + number
    begin_s = even.time_s[column]
    lasts_s = even.time_s[column + 1] - even.time_s[column]
    position = np.take(frames.position_km.T, site, axis=1)
    up = np.take(frames.up.T, site, axis=1)
    sin_mask = frames.sin_mask[site]
    before = even.above_mask_km[left]
    after = even.above_mask_km[left + 1]

    def above_mask(which: Ints, x: Floats) -> tuple[Floats, Floats]:
        state = tracks.state(contact[which], begin_s[which] + x * lasts_s[which])
        line = state[:3] - position[:, which]
        rate = state[3:] * lasts_s[which]
        return LineOfSight.of(up[:, which], line, rate).above_mask_and_rate(sin_mask[which])

    low = np.zeros(len(left))
    high = np.ones(len(left))
    guess = before / (before - after)
    x = newton_roots(above_mask, low, high, guess, before < 0, EXACT)
    return np.asarray(begin_s + x * lasts_s)


# Samples that are searched at once, which bounds the memory of a long contact of many devices.
_CHUNK = 40_000


def _searched(tracks: Tracks, frames: SiteFrames, contact: Ints, site: Ints) -> Floats:
    """AOS and LOS (2, n) of any pairs of contact and site, not yet cut at the contacts' ends."""
    contacts, satellite = np.unique(contact, return_inverse=True)
    ephemeris = tracks.ephemeris(contacts)
    count = np.bincount(ephemeris.satellite)
    order = np.lexsort((satellite, site))
    edges_s = np.empty((2, len(contact)))
    parts = min(len(order), ceil(int(count[satellite].sum()) / _CHUNK))
    for some in np.array_split(order, parts):
        of = satellite[some]
        at = site[some]
        row = stretches((np.cumsum(count) - count)[of], count[of])[1]
        pair = at * len(contacts) + of
        sites = np.repeat(at, count[of])
        found = np.full((2, len(some)), np.nan)
        passes = find_passes(Samples.of(ephemeris, frames, sites, row))
        best = first_largest(passes.sin_elevation, passes.site * len(contacts) + passes.satellite)
        place = passes.site[best] * len(contacts) + passes.satellite[best]
        found[:, np.searchsorted(pair, place)] = passes.rise_s[best], passes.set_s[best]
        # Who sees none has no interval, at the highest elevation: where a pass without mask
        # culminates.
        unseen = np.isnan(found[0])
        if unseen.any():
            these = np.repeat(unseen, count[of])
            bare = replace(frames, sin_mask=np.full(len(frames.sin_mask), -1.0))
            highest = find_passes(Samples.of(ephemeris, bare, sites[these], row[these]))
            found[:, unseen] = highest.culminate_s
        edges_s[:, some] = found
    return edges_s
