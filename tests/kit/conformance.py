"""Contact windows beside full Skyfield: an independent truth, and how far windows are from it.

Elevation and range are those of Skyfield's `altaz` (precession, nutation, UT1). Its rises, peaks
and sets are found here by an even grid, golden sections and bisection: nothing of the finder.
"""

from copy import copy
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import lru_cache

import numpy as np
from skyfield.api import EarthSatellite, load, wgs84

import orbit

TIMESCALE = load.timescale(builtin=True)
GRID_S = 10.0
# A pass that peaks by less above the mask may be missed, or seen where there is none.
GRAZING_DEG = 1e-3
# A slower crossing of the mask is too flat for its time to mean much.
FLAT_DEG_S = 0.02
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Differences:
    """What differs, at worst: degrees at an edge, milliseconds of an edge, metres of range."""

    passes: int = 0
    missed: int = 0
    extra: int = 0
    wrong_flags: int = 0
    elevation_deg: float = 0.0
    time_ms: float = 0.0
    range_m: float = 0.0

    def __add__(self, other):
        """Counts add up; of two errors the worse one counts."""
        pairs = {c.name: (getattr(self, c.name), getattr(other, c.name)) for c in fields(self)}
        return Differences(
            **{n: sum(pair) if isinstance(pair[0], int) else max(pair) for n, pair in pairs.items()}
        )

    def within(self, bound):
        """Whether all but the number of passes is at most that of `bound`."""
        names = [column.name for column in fields(self)[1:]]
        return all(getattr(self, name) <= getattr(bound, name) for name in names)


EXACT = Differences(elevation_deg=1e-6, time_ms=0.1, range_m=0.02)
BOUNDS = {
    "hermite": Differences(elevation_deg=2e-4, time_ms=5.0, range_m=10.0),
    "sgp4": EXACT,
    "skyfield": EXACT,
}


@dataclass(frozen=True)
class Windows:
    """Windows of one satellite and one site, arrays of one length; `peak_deg` is the highest."""

    rise_s: np.ndarray
    set_s: np.ndarray
    peak_deg: np.ndarray
    clipped_start: np.ndarray
    clipped_end: np.ndarray


class View:
    """One satellite from one site in full Skyfield; times are seconds since `start`."""

    def __init__(self, satellite, site, start, span_s):
        """Sample the elevation from `start` on, with its turning points."""
        self.satellite, self.site, self.start, self.span_s = satellite, site, start, span_s
        self._place = wgs84.latlon(site.latitude_deg, site.longitude_deg, site.altitude_m)
        self._line = EarthSatellite.from_satrec(satellite.model, TIMESCALE) - self._place
        time_s, elevation_deg = self._turning_points()
        inside = (time_s >= 0) & (time_s <= span_s)
        self._time_s, self._elevation_deg = time_s[inside], elevation_deg[inside]

    def look(self, time_s):
        """Elevation in degrees and slant range in km."""
        elevation, _, distance = self._line.at(_times(self.start, time_s)).altaz()
        return elevation.degrees, distance.km

    def rate_deg_s(self, time_s):
        """Rate of the elevation, by Skyfield's own derivative."""
        seen = self._line.at(_times(self.start, time_s)).frame_latlon_and_rates(self._place)
        return seen[3].degrees.per_second

    def peaks_deg(self):
        """The elevations of the maxima inside the span."""
        middle = self._elevation_deg[1:-1]
        return middle[(middle >= self._elevation_deg[:-2]) & (middle > self._elevation_deg[2:])]

    def cut(self, first_s, last_s):
        """The same view over a part of the span, from whole second to whole second."""
        part = copy(self)
        part.start, part.span_s = self.start + timedelta(seconds=first_s), last_s - first_s
        inside = (self._time_s > first_s) & (self._time_s < last_s)
        ends_deg, _ = self.look(np.array([first_s, last_s]))
        time_s = [[0.0], self._time_s[inside] - first_s, [part.span_s]]
        part._time_s = np.concatenate(time_s)
        part._elevation_deg = np.r_[ends_deg[0], self._elevation_deg[inside], ends_deg[1]]
        return part

    def windows(self, mask_deg):
        """All windows above a mask."""
        up = self._elevation_deg >= mask_deg
        first = np.flatnonzero(up & ~np.append(False, up[:-1]))
        last = np.flatnonzero(up & ~np.append(up[1:], False))
        clipped_start, clipped_end = first == 0, last == len(up) - 1
        rise_s, set_s = self._time_s[first], self._time_s[last]
        before = first[~clipped_start] - 1, last[~clipped_end]
        crossings_s = self._crossings(np.concatenate(before), mask_deg)
        rise_s[~clipped_start], set_s[~clipped_end] = np.split(crossings_s, [len(before[0])])
        tops = [self._elevation_deg[a : b + 1].max() for a, b in zip(first, last, strict=True)]
        return Windows(rise_s, set_s, np.array(tops), clipped_start, clipped_end)

    def _turning_points(self):
        """The grid, with all maxima and minima of the elevation put in."""
        time_s, times = _grid(self.start, self.span_s)
        elevation_deg = self._line.at(times).altaz()[0].degrees
        turns_s = np.concatenate([self._turns(time_s, elevation_deg, sign) for sign in (1, -1)])
        if turns_s.size:
            time_s = np.append(time_s, turns_s)
            elevation_deg = np.append(elevation_deg, self.look(turns_s)[0])
        order = np.argsort(time_s, kind="stable")
        return time_s[order], elevation_deg[order]

    def _turns(self, time_s, elevation_deg, sign):
        """Where sign * elevation has a maximum next to a sample, by golden sections."""
        before, middle, after = sign * np.stack(
            [elevation_deg[k : k - 2 or None] for k in range(3)]
        )
        # No pass rises by three degrees from a sample that is a maximum.
        high = (middle >= before) & (middle > after) & (elevation_deg[1:-1] > -3)
        at = 1 + np.flatnonzero(high)
        left, right = time_s[at - 1], time_s[at + 1]
        while left.size and (right - left).max() > 1e-3:
            width = GOLDEN * (right - left)
            low, high = right - width, left + width
            early = sign * self.look(low)[0] > sign * self.look(high)[0]
            left, right = np.where(early, left, low), np.where(early, high, right)
        return (left + right) / 2

    def _crossings(self, before, mask_deg):
        """Where the elevation crosses the mask between points `before` and the next ones.

        By regula falsi in its Illinois form: an end that stays counts half.
        """
        a, b = self._time_s[before], self._time_s[before + 1]
        at_a, at_b = (self._elevation_deg[before + k] - mask_deg for k in range(2))
        step = b - a
        while a.size and np.abs(step).max() > 1e-6:
            step = at_b * (a - b) / (at_b - at_a)
            middle = b + step
            at_middle = self.look(middle)[0] - mask_deg
            other = (at_middle < 0) != (at_b < 0)
            a, at_a = np.where(other, b, a), np.where(other, at_b, at_a / 2)
            b, at_b = middle, at_middle
        return b


def found(view, mask_deg, refine):
    """The windows that `contact_windows` finds in a view's span."""
    end = view.start + timedelta(seconds=view.span_s)
    return orbit.contact_windows(
        [view.satellite], [view.site], view.start, end, mask_deg, refine=refine
    )


def differences(view, mask_deg, true, windows):
    """How `windows` differ from the `true` ones of a view."""
    overlap = (true.rise_s[:, None] < windows.set_s) & (windows.rise_s < true.set_s[:, None])
    mine, theirs = np.nonzero(overlap)
    elevation_deg, time_ms, flags = zip(
        *(_edges(view, mask_deg, name, windows, theirs, true, mine) for name in ("rise", "set")),
        strict=True,
    )
    return Differences(
        passes=len(windows),
        missed=_alone(true.peak_deg > mask_deg + GRAZING_DEG, overlap),
        extra=_alone(windows.max_elevation_deg > mask_deg + GRAZING_DEG, overlap.T),
        wrong_flags=sum(flags),
        elevation_deg=max(elevation_deg),
        time_ms=max(time_ms),
        range_m=max(_range_m(view, windows, name) for name in ("rise", "culminate", "set")),
    )


def _alone(counts, overlap):
    """Windows (those that count) without a partner, or that share theirs with another one."""
    shared = np.maximum(overlap.sum(axis=0) - 1, 0)
    return int((counts & ~overlap.any(axis=1)).sum() + shared.sum())


def _edges(view, mask_deg, name, windows, theirs, true, mine):
    """Worst errors in degrees and in milliseconds of all rises or sets, and wrong flags."""
    flag = {"rise": "clipped_start", "set": "clipped_end"}[name]
    clipped, expected = getattr(windows, flag), getattr(true, flag)
    time_s, true_s = getattr(windows, f"{name}_s"), getattr(true, f"{name}_s")
    wrong = int((clipped[theirs] != expected[mine]).sum())
    both = ~clipped[theirs] & ~expected[mine]
    theirs, mine, free = theirs[both], mine[both], time_s[~clipped]
    off_deg = np.abs(view.look(free)[0] - mask_deg).max() if free.size else 0.0
    if not mine.size:
        return off_deg, 0.0, wrong
    steep = np.abs(view.rate_deg_s(true_s[mine])) > FLAT_DEG_S
    off_ms = 1e3 * np.abs(time_s[theirs] - true_s[mine])[steep].max(initial=0.0)
    return off_deg, off_ms, wrong


def _range_m(view, windows, name):
    """Worst error of the slant range at the rises, culminations or sets of `windows`."""
    if not len(windows):
        return 0.0
    _, distance_km = view.look(getattr(windows, f"{name}_s"))
    return 1e3 * np.abs(distance_km - getattr(windows, f"{name}_slant_range_km")).max()


@lru_cache(maxsize=4)
def _grid(start, span_s):
    """An even grid that reaches beyond both ends of the span, which are in it too."""
    time_s = np.arange(-GRID_S, span_s + 2 * GRID_S, GRID_S)
    time_s = np.union1d(time_s, [0.0, span_s])
    return time_s, _times(start, time_s)


def _times(start, time_s):
    seconds = start.second + start.microsecond / 1e6 + np.asarray(time_s, dtype=float)
    return TIMESCALE.utc(start.year, start.month, start.day, start.hour, start.minute, seconds)
