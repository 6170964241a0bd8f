"""Contact windows of satellites over sites, vectorised."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Literal, Protocol

import numpy as np

from orbit.arrays import BoolArray, FloatArray, IntArray
from orbit.clock import Start, span_s
from orbit.elements import Satellite
from orbit.passes import Passes, find_passes
from orbit.propagation import propagate_tracks
from orbit.refine import ExactStates, refined
from orbit.rotation import earth_rotation
from orbit.sight import look_deg, sight
from orbit.sites import Site, SiteFrames, site_frames
from orbit.windows import ContactWindows, sorted_windows

Refine = Literal["hermite", "sgp4"]
Columns = dict[str, FloatArray | IntArray | BoolArray]

_STEP_S = 60.0
# Samples of (satellite, site, time) held at once: some 100 MB.
_CHUNK = 6_000_000


def contact_windows(
    satellites: Sequence[Satellite],
    sites: Sequence[Site],
    start: datetime,
    end: datetime,
    min_elevation_deg: float,
    refine: Refine = "hermite",
) -> ContactWindows:
    """When each satellite is above the elevation mask of each site between two aware datetimes.

    SGP4 every 60 s, turned to the Earth-fixed frame by GMST 1982 of UT1, a cubic Hermite between,
    no atmosphere. With `refine="hermite"` rise and set are within some milliseconds of SGP4 itself;
    `"sgp4"` makes them, the elevation, the range and the rates exact. A site's own mask wins over
    `min_elevation_deg` (0 up to 90). Where SGP4 fails (a decayed satellite) a window ends, clipped.
    Raises ValueError for an empty list, a datetime without time zone, an end not after the start,
    a mask out of range or another `refine`.
    """
    if refine not in ("hermite", "sgp4"):
        raise ValueError(f'refine {refine!r} is unknown; write "hermite" or "sgp4"')
    if not satellites:
        raise ValueError("no satellite given; give at least one Satellite")
    origin, seconds = Start.of(start), span_s(start, end)
    frames = site_frames(sites, min_elevation_deg)
    samples = int(seconds / _STEP_S) + 2
    pieces = []
    for many, few in _chunks(len(satellites), len(sites), samples):
        tracks = propagate_tracks(satellites[many], origin, 0.0, seconds, _STEP_S)
        part = SiteFrames(frames.position_km[few], frames.axes[few], frames.sin_mask[few])
        passes = find_passes(tracks, part)
        source: _States = tracks
        if refine == "sgp4":
            rotation = earth_rotation(origin, 0.0, seconds)
            exact = ExactStates(satellites[many], origin, rotation)
            source, passes = exact, refined(passes, exact, part)
        pieces.append(_measured(passes, source, part, many.start, few.start))
    return sorted_windows(pieces)


class _States(Protocol):
    def states(self, satellite: IntArray, time_s: FloatArray) -> FloatArray:
        """Earth-fixed states (n, 6)."""


def _chunks(satellites: int, sites: int, samples: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of satellites and sites whose samples fit in memory together."""
    few = min(sites, max(1, _CHUNK // samples))
    many = max(1, _CHUNK // (samples * few))
    for left, right in pairwise([*range(0, satellites, many), satellites]):
        for low, high in pairwise([*range(0, sites, few), sites]):
            yield slice(left, right), slice(low, high)


def _measured(
    passes: Passes, source: _States, frames: SiteFrames, first_satellite: int, first_site: int
) -> Columns:
    """Columns of ContactWindows: elevation, range and rates at the passes' instants."""
    satellite, site = passes.satellite, passes.site
    columns: Columns = {
        "satellite": satellite + first_satellite,
        "site": site + first_site,
        "rise_s": passes.rise_s,
        "culminate_s": passes.culminate_s,
        "set_s": passes.set_s,
        "culminations": np.ones(len(site), dtype=np.int64),
        "clipped_start": passes.clipped_start,
        "clipped_end": passes.clipped_end,
        "sgp4_error": np.zeros(len(site), dtype=np.bool_),
    }
    for name in ("rise", "culminate", "set"):
        state = source.states(satellite, getattr(passes, f"{name}_s"))
        seen = sight(state, frames, site)
        elevation, columns[f"{name}_azimuth_deg"] = look_deg(state, frames, site)
        columns[f"{name}_slant_range_km"] = seen.slant_range_km
        columns[f"{name}_range_rate_km_s"] = seen.range_rate_km_s
        if name == "culminate":
            columns["max_elevation_deg"] = elevation
    near = sight(source.states(satellite, passes.closest_s), frames, site).slant_range_km
    ends = np.minimum(columns["rise_slant_range_km"], columns["set_slant_range_km"])
    columns["min_slant_range_km"] = np.minimum(near, ends)
    return columns
