"""The columns of contact windows, measured at the instants of passes."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from orbit.arrays import FloatArray, IntArray
from orbit.looks import LookAngles, looks_from
from orbit.passes import Passes
from orbit.sites import SiteFrames
from orbit.windows import Columns

# Look angles (n,) of satellites from sites, both by index (n,), at times (n,).
Look = Callable[[IntArray, IntArray, FloatArray], LookAngles]


class Source(Protocol):
    """Where satellites are."""

    def states(self, satellite: IntArray, time_s: FloatArray) -> FloatArray:
        """Earth-fixed states (n, 6), km and km/s."""


def look_from(source: Source, frames: SiteFrames) -> Look:
    """How sites see the satellites of a source."""

    def look(satellite: IntArray, site: IntArray, time_s: FloatArray) -> LookAngles:
        return looks_from(source.states(satellite, time_s), frames, site)

    return look


def measured(passes: Passes, look: Look) -> Columns:
    """Columns of ContactWindows but `sgp4_error`."""
    rise, culminate, set_, closest = (
        look(passes.satellite, passes.site, time_s)
        for time_s in (passes.rise_s, passes.culminate_s, passes.set_s, passes.closest_s)
    )
    columns: Columns = {
        "satellite": passes.satellite,
        "site": passes.site,
        "rise_s": passes.rise_s,
        "culminate_s": passes.culminate_s,
        "set_s": passes.set_s,
        "max_elevation_deg": culminate.elevation_deg,
        "culminations": passes.culminations,
        "clipped_start": passes.clipped_start,
        "clipped_end": passes.clipped_end,
    }
    for name, seen in (("rise", rise), ("culminate", culminate), ("set", set_)):
        columns[f"{name}_azimuth_deg"] = seen.azimuth_deg
        columns[f"{name}_slant_range_km"] = seen.slant_range_km
        columns[f"{name}_range_rate_km_s"] = seen.range_rate_km_s
    ranges = [seen.slant_range_km for seen in (rise, culminate, set_, closest)]
    columns["min_slant_range_km"] = np.minimum.reduce(ranges)
    return columns
