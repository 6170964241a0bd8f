"""When satellites are in the shadow of the Earth: a limb test against an analytic Sun."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from orbit.checks import Rows
from orbit.contacts import as_satellites
from orbit.ephemeris import sampling_step_s
from orbit.look_angles import dot
from orbit.propagation import fails_on_the_way, good_stretch, in_teme
from orbit.roots import newton_roots
from orbit.satellite import Satellite
from orbit.utc import DAY_S, Start, span_s
from statements.arrays import Floats, Ints, Mask

if TYPE_CHECKING:
    from skyfield.api import EarthSatellite

# The sphere of Skyfield's `is_sunlit` (IERS Conventions 2003, table 1.1).
_LIMB_KM = 6378.1366
_MU_KM3_S2 = 398600.4418


@dataclass(frozen=True, eq=False)
class Eclipses(Rows):
    """Arrays (E,) of stays in the Earth's shadow, sorted by satellite and time.

    `satellite` is the index in the list that was asked about; `enter_s` and `leave_s` are seconds
    since the start. A clipped one was already under way at the start, or still at the end.
    """

    satellite: Ints
    enter_s: Floats
    leave_s: Floats
    clipped_start: Mask
    clipped_end: Mask


def eclipses(
    satellites: "Sequence[Satellite | EarthSatellite]", start: datetime, end: datetime
) -> Eclipses:
    """When the Earth hides the Sun from each satellite between two aware datetimes.

    The Sun is a point where it is at that time (neither light time nor aberration), the Earth a
    sphere of 6378.1366 km: the line of sight of Skyfield's `is_sunlit`. Edges are within 0.5 s of
    that up to the geostationary orbit, unless a stay barely grazes the limb. Stays are cut where
    SGP4 fails. Raises ValueError for an empty list, anything else than a satellite, a datetime
    without time zone or an end not after the start.
    """
    models = as_satellites(satellites)
    since = Start.of(start)
    lasts_s = span_s(start, end)
    found = [_stays(model, since, lasts_s) for model in models]
    whose = np.repeat(np.arange(len(models)), [stays.shape[1] for stays in found])
    enter_s, leave_s, *clipped = np.concatenate(found, axis=1)
    return Eclipses(whose, enter_s, leave_s, *(cut.astype(np.bool_) for cut in clipped))


# A root of the limb test is right to about a millisecond then.
_TOLERANCE = 1e-5


def _stays(satellite: Satellite, start: Start, lasts_s: float) -> Floats:
    """Entries, exits, and which of them are clipped (4, n), within so many seconds."""
    step_s = sampling_step_s(satellite)
    begin_s = 0.0
    end_s = lasts_s
    # The last step may reach beyond the end, so that no bit of an edge depends on it.
    grid_s = step_s * np.arange(ceil(lasts_s / step_s) + 1, dtype=np.float64)
    height, rate, _ = _limb_test(satellite, start, grid_s)
    if np.isnan(height).any() or fails_on_the_way(satellite, start, lasts_s):
        good = good_stretch(satellite, start, lasts_s, step_s)
        if good is None:
            return np.empty((4, 0))
        begin_s = good.first_s
        end_s = good.last_s
        grid_s = np.linspace(begin_s, end_s, ceil((end_s - begin_s) / step_s) + 1)
        height, rate, _ = _limb_test(satellite, start, grid_s)

    def roots(what: slice, left: Ints, rising: Mask) -> Floats:
        """Where a part of the limb test is zero, once between times `left` and the next ones."""
        first_s = grid_s[left]
        step_s = grid_s[left + 1] - grid_s[left]

        def function(which: Ints, x: Floats) -> tuple[Floats, Floats]:
            time_s = first_s[which] + x * step_s[which]
            value, slope = _limb_test(satellite, start, time_s)[what]
            return value, slope * step_s[which]

        low = np.zeros(len(left))
        high = np.ones(len(left))
        x = newton_roots(function, low, high, np.full(len(left), 0.5), rising, _TOLERANCE)
        return first_s + x * step_s

    # A stay between two samples shows as a minimum of the height.
    lit = height > 0
    falls = rate < 0
    dips = np.flatnonzero(lit[:-1] & lit[1:] & falls[:-1] & ~falls[1:])
    low_s = roots(slice(1, 3), dips, np.ones(len(dips), np.bool_))
    order = np.argsort(np.append(grid_s, low_s), kind="stable")
    grid_s = np.append(grid_s, low_s)[order]
    dark = np.append(height, _limb_test(satellite, start, low_s)[0])[order] < 0
    edges = np.flatnonzero(dark[1:] != dark[:-1])
    edge_s = roots(slice(0, 2), edges, dark[edges])
    edge_s = edge_s[edge_s < end_s]
    first_s = [begin_s] if dark[0] else []
    last_s = [end_s] if (len(first_s) + len(edge_s)) % 2 else []
    enter_s, leave_s = np.concatenate([first_s, edge_s, last_s]).reshape(-1, 2).T
    return np.stack([enter_s, leave_s, enter_s == begin_s, leave_s == end_s])


def _limb_test(satellite: Satellite, start: Start, time_s: Floats) -> tuple[Floats, Floats, Floats]:
    """Height (km) of the ray of the Sun above the limb and its first two rates, per second.

    On the side of the Sun the height grows with the way to the terminator's plane, where it is the
    satellite's own; it is negative in shadow only.
    """
    _, *state = in_teme(satellite, start, time_s)
    place, velocity = (np.ascontiguousarray(vector.T) for vector in state)
    ray = sun_km(start.julian_day + start.day_fraction(time_s)) - place
    ray /= np.sqrt(dot(ray, ray))
    along = dot(place, ray)
    climb = dot(velocity, ray)
    radius = np.sqrt(dot(place, place))
    behind = along < 0
    across = place - along * ray
    apart = np.where(behind, np.sqrt(dot(across, across)), radius)
    rate = dot(across, velocity) / apart
    outward = dot(velocity, velocity) - climb**2 - _MU_KM3_S2 * apart**2 / radius**3
    bend = (outward - rate**2) / apart
    sunward = dot(place, velocity) / radius + climb
    height = apart - _LIMB_KM + np.where(behind, 0.0, along)
    return height, np.where(behind, rate, sunward), bend


# VSOP87 (Bretagnon and Francou 1988) as abridged in Meeus, Astronomical Algorithms, appendix III:
# heliocentric longitude of the Earth, 1e-8 rad, of which those above 1 arcsecond are kept.
_LONGITUDE = np.array([
    (3341656, 4.6692568, 6283.0758500), (34894, 4.62610, 12566.15170),
    (3497, 2.7441, 5753.3849), (3418, 2.8289, 3.5231), (3136, 3.6277, 77713.7715),
    (2676, 4.4181, 7860.4194), (2343, 6.1352, 3930.2097), (1324, 0.7425, 11506.7698),
    (1273, 2.0371, 529.6910), (1199, 1.1096, 1577.3435), (990, 5.233, 5884.927),
    (902, 2.045, 26.298), (857, 3.508, 398.149), (780, 1.179, 5223.694), (753, 2.533, 5507.553),
    (505, 4.583, 18849.228), (492, 4.205, 775.523), (357, 2.920, 0.067), (317, 5.849, 11790.629),
    (284, 1.899, 796.298),
]).T  # fmt: skip
_AU_KM = 149597870.7
# Terrestrial Time less UTC: 42 s in 1970, 69 s since 2017; the Sun moves by 1 arcsecond in 24 s.
_TT_LESS_UTC_DAYS = 69.184 / DAY_S


def sun_km(julian_day: Floats) -> Floats:
    """Geometric position of the Sun (3, T) in TEME at Julian dates (UTC).

    Within 5 arcseconds from 1958 to 2100.
    """
    t = (julian_day + _TT_LESS_UTC_DAYS - 2451545.0) / 365250.0
    amount, phase, rate = _LONGITUDE
    turns = np.cos(phase + rate * t[:, None]) @ amount
    year = 6283.0758500 * t
    longitude = 175347046.0 + 628331966747.0 * t + turns + 52919.0 * t**2
    longitude += t * (206059.0 * np.cos(2.678235 + year) + 4303.0 * np.cos(2.6351 + 2 * year))
    longitude += t**2 * 8720.0 * np.cos(1.0721 + year)
    # Seen from the Earth; nutation by its longest term (IAU 1980), the Moon's node.
    node = np.radians(125.04452 - 19341.36261 * t)
    nutation = np.radians(-17.1996 / 3600) * np.sin(node)
    longitude = longitude * 1e-8 + np.pi + nutation
    tilt = np.radians(23.4392911 - 0.1300417 * t + 9.2025 / 3600 * np.cos(node))
    distance = 1.00013989 + 0.01670700 * np.cos(3.0984635 + year)
    x = np.cos(longitude)
    level = np.sin(longitude)
    y = level * np.cos(tilt)
    z = level * np.sin(tilt)
    back = nutation * np.cos(tilt)  # to the mean equinox
    flat = x * np.cos(back) + y * np.sin(back), y * np.cos(back) - x * np.sin(back)
    return _AU_KM * distance * np.stack([*flat, z])
