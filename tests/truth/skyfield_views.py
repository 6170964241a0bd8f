"""Contact windows by full Skyfield, an independent truth, and how far those of leomix are from it.

Elevation and range are those of Skyfield's `altaz` (precession, nutation, UT1). Its rises, peaks
and sets are found here by an even grid and regula falsi: nothing of the finder.
tests/truth/accuracy.py prints the same comparison.
"""

from copy import copy
from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from skyfield.api import EarthSatellite, wgs84

import orbit
from tests.kit.skies import TIMESCALE, roots

MASKS_DEG = (0.0, 5.0, 10.0, 25.0, 45.0, 60.0)
# A mask this far above the peak of a pass (negative: below it).
GRAZES_DEG = (-0.05, -0.005, -0.0011, 0.0011, 0.01)
GRID_S = 10.0
# A pass that peaks by less above the mask may be missed, or seen where there is none.
GRAZING_DEG = 1e-3
# A slower crossing of the mask is too flat for its time to mean much.
FLAT_DEG_S = 0.02


class Differences(NamedTuple):
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
        counts = [mine + more for mine, more in zip(self[:4], other[:4], strict=True)]
        return Differences(*counts, *map(max, self[4:], other[4:]))

    def within(self, bound):
        """Whether all but the number of passes is at most that of `bound`."""
        return all(mine <= most for mine, most in zip(self[1:], bound[1:], strict=True))


EXACT = Differences(elevation_deg=1e-6, time_ms=0.1, range_m=0.02)
BOUNDS = {
    "hermite": Differences(elevation_deg=2e-4, time_ms=5.0, range_m=10.0), "sgp4": EXACT,
}  # fmt: skip


class Windows(NamedTuple):
    """Arrays (n,), of rises and sets (2, n); a steep one crosses the mask fast."""

    rise_s: np.ndarray
    set_s: np.ndarray
    peak_deg: np.ndarray
    clipped: np.ndarray
    steep: np.ndarray


class View:
    """One satellite from one site in full Skyfield; times are seconds since `start`."""

    def __init__(self, satellite, site, start, span_s):
        self.satellite, self.site, self.start, self.span_s = satellite, site, start, span_s
        self._line, self._place = _line(satellite, site)
        time_s, elevation_deg = self._turning_points()
        inside = (time_s >= 0) & (time_s <= span_s)
        self._time_s = time_s[inside]
        self._elevation_deg = elevation_deg[inside]

    def look(self, time_s):
        """Elevation in degrees and slant range in km."""
        if not len(time_s):
            return np.empty((2, 0))
        elevation, _, distance = self._line.at(_times(self.start, time_s)).altaz()
        return elevation.degrees, distance.km

    def grazing_masks(self, every):
        """Masks next to the peaks of every so manieth pass."""
        at = self._elevation_deg
        peaks_deg = at[1:-1][(at[1:-1] >= at[:-2]) & (at[1:-1] > at[2:])]
        peaks_deg = [float(peak) for peak in peaks_deg if 0.1 < peak < 80][::every]
        return [peak + graze for peak in peaks_deg for graze in GRAZES_DEG]

    def cut_in_passes(self, mask_deg):
        """The view from the middle of the first pass to the middle of the last one, or None."""
        passes = self.windows(mask_deg)
        if len(passes.rise_s) < 2:
            return None
        first_s, *_, last_s = ((passes.rise_s + passes.set_s) / 2).round().tolist()
        part = copy(self)
        part.start = self.start + timedelta(seconds=first_s)
        part.span_s = last_s - first_s
        inside = (self._time_s > first_s) & (self._time_s < last_s)
        ends_deg, _ = self.look([first_s, last_s])
        part._time_s = np.r_[0.0, self._time_s[inside] - first_s, part.span_s]
        part._elevation_deg = np.r_[ends_deg[0], self._elevation_deg[inside], ends_deg[1]]
        return part

    def windows(self, mask_deg):
        """All windows above a mask."""
        up = self._elevation_deg >= mask_deg
        first = np.flatnonzero(up & ~np.append(False, up[:-1]))
        last = np.flatnonzero(up & ~np.append(up[1:], False))
        clipped = np.stack([first == 0, last == len(up) - 1])
        edges_s = np.stack([self._time_s[first], self._time_s[last]])
        before = np.concatenate([first[~clipped[0]] - 1, last[~clipped[1]]])
        edges_s[~clipped] = roots(
            lambda time_s: self.look(time_s)[0] - mask_deg,
            self._time_s[before], self._time_s[before + 1], 1e-6,
        )  # fmt: skip
        tops = [self._elevation_deg[a : b + 1].max() for a, b in zip(first, last, strict=True)]
        steep = np.abs(self._change_deg(edges_s.ravel())) > 0.1 * FLAT_DEG_S
        return Windows(*edges_s, np.array(tops), clipped, steep.reshape(edges_s.shape))

    def _turning_points(self):
        """The grid, with all maxima and minima of the elevation put in."""
        time_s, times = _grid(self.start, self.span_s)
        elevation_deg = self._line.at(times).altaz()[0].degrees
        slope = np.sign(np.diff(elevation_deg))
        # No pass rises by three degrees from a sample that is a maximum.
        at = 1 + np.flatnonzero((slope[:-1] != slope[1:]) & (elevation_deg[1:-1] > -3))
        turns_s = roots(self._change_deg, time_s[at - 1], time_s[at + 1], 1e-4)
        order = np.argsort(np.append(time_s, turns_s), kind="stable")
        all_deg = np.append(elevation_deg, self.look(turns_s)[0])
        return np.append(time_s, turns_s)[order], all_deg[order]

    def _change_deg(self, time_s):
        """Change of the elevation during the tenth of a second around times."""
        return np.subtract(*np.split(self.look(np.append(time_s + 0.05, time_s - 0.05))[0], 2))


def look_angles(satellite, site, start, time_s):
    """Elevation, azimuth (deg), range (km), range rate (km/s) by Skyfield's full transformation."""
    line, place = _line(satellite, site)
    seen = line.at(_times(start, time_s)).frame_latlon_and_rates(place)
    elevation, azimuth, distance, _, _, rate = seen
    return elevation.degrees, azimuth.degrees, distance.km, rate.km_per_s


def found(view, mask_deg, refine):
    """The windows that leomix finds in a view's span."""
    span = view.start, view.start + timedelta(seconds=view.span_s)
    return orbit.contact_windows([view.satellite], [view.site], *span, mask_deg, refine)


def differences(view, mask_deg, true, windows):
    """How `windows` differ from the `true` ones of a view."""
    overlap = (true.rise_s[:, None] < windows.set_s) & (windows.rise_s < true.set_s[:, None])
    mine, theirs = np.nonzero(overlap)
    edges_s = np.stack([windows.rise_s, windows.set_s])
    true_s = np.stack(true[:2])
    clipped = np.stack([windows.clipped_start, windows.clipped_end])
    time_s = np.append(edges_s, windows.culminate_s)
    names = [f"{name}_slant_range_km" for name in ("rise", "set", "culminate")]
    elevation_deg, distance_km = view.look(time_s)
    off_km = distance_km - np.concatenate([getattr(windows, name) for name in names])
    off_deg = np.abs(elevation_deg[: edges_s.size].reshape(edges_s.shape) - mask_deg)
    off_s = np.abs(edges_s[:, theirs] - true_s[:, mine])
    free = ~clipped[:, theirs] & ~true.clipped[:, mine] & true.steep[:, mine]
    return Differences(
        passes=len(windows),
        missed=_alone(true.peak_deg > mask_deg + GRAZING_DEG, overlap),
        extra=_alone(windows.max_elevation_deg > mask_deg + GRAZING_DEG, overlap.T),
        wrong_flags=int((clipped[:, theirs] != true.clipped[:, mine]).sum()),
        elevation_deg=off_deg[~clipped].max(initial=0.0),
        time_ms=1e3 * off_s[free].max(initial=0.0),
        range_m=1e3 * np.abs(off_km).max(initial=0.0),
    )


def _alone(counts, overlap):
    """Windows (those that count) without a partner, or that share theirs with another one."""
    shared = np.maximum(overlap.sum(axis=0) - 1, 0)
    return int((counts & ~overlap.any(axis=1)).sum() + shared.sum())


def _line(satellite, site):
    place = wgs84.latlon(site.latitude_deg, site.longitude_deg, site.altitude_m)
    return EarthSatellite.from_satrec(satellite.model, TIMESCALE) - place, place


@lru_cache(maxsize=4)
def _grid(start, span_s):
    """An even grid that reaches beyond both ends of the span, which are in it too."""
    time_s = np.union1d(np.arange(-GRID_S, span_s + 2 * GRID_S, GRID_S), [0.0, span_s])
    return time_s, _times(start, time_s)


def _times(start, time_s):
    seconds = start.second + start.microsecond / 1e6 + np.asarray(time_s, dtype=float)
    return TIMESCALE.utc(start.year, start.month, start.day, start.hour, start.minute, seconds)
