"""Contact windows as a table with names and UTC."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from orbit.clock import utc
from orbit.contacts import Refine, contact_windows
from orbit.elements import Satellite
from orbit.sites import Site

if TYPE_CHECKING:
    import pandas as pd


def find_contacts(
    satellites: Satellite | Sequence[Satellite],
    sites: Site | Sequence[Site],
    start: datetime,
    end: datetime,
    min_elevation_deg: float,
    refine: Refine = "hermite",
) -> "pd.DataFrame":
    """`contact_windows` as a DataFrame, one row a window, sorted by rise.

    Columns: satellite, site (names); rise_utc, culminate_utc, set_utc (UTC timestamps, ns);
    duration_s, max_elevation_deg, min_slant_range_km, rise_range_rate_km_s, set_range_rate_km_s;
    clipped_start, clipped_end. One satellite or site may stand alone. Errors as there.
    """
    import pandas as pd

    satellites = [satellites] if isinstance(satellites, Satellite) else list(satellites)
    sites = [sites] if isinstance(sites, Site) else list(sites)
    windows = contact_windows(satellites, sites, start, end, min_elevation_deg, refine)
    zero = pd.Timestamp(utc(start, "start")).as_unit("ns")
    rise_utc, culminate_utc, set_utc = (
        zero + pd.to_timedelta(np.rint(seconds * 1e9).astype(np.int64), unit="ns")
        for seconds in (windows.rise_s, windows.culminate_s, windows.set_s)
    )
    return pd.DataFrame({
        "satellite": [satellites[index].name for index in windows.satellite],
        "site": [sites[index].name for index in windows.site],
        "rise_utc": rise_utc,
        "culminate_utc": culminate_utc,
        "set_utc": set_utc,
        "duration_s": windows.set_s - windows.rise_s,
        "max_elevation_deg": windows.max_elevation_deg,
        "min_slant_range_km": windows.min_slant_range_km,
        "rise_range_rate_km_s": windows.rise_range_rate_km_s,
        "set_range_rate_km_s": windows.set_range_rate_km_s,
        "clipped_start": windows.clipped_start,
        "clipped_end": windows.clipped_end,
    })  # fmt: skip
