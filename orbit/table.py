"""Contact windows as a table with names and UTC."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING
from warnings import warn

import numpy as np

from orbit.arrays import FloatArray, IntArray
from orbit.clock import utc
from orbit.contacts import OnFailure, Refine, as_satellites, contact_windows
from orbit.elements import Satellite
from orbit.sites import Site
from orbit.validity import OrbitWarning, doubts

if TYPE_CHECKING:
    import pandas as pd
    from skyfield.api import EarthSatellite

_SHOWN_OTHERWISE = ("satellite", "site", "rise_s", "culminate_s", "set_s")


def find_contacts(
    satellites: "Satellite | EarthSatellite | Sequence[Satellite | EarthSatellite]",
    sites: Site | Sequence[Site],
    start: datetime,
    end: datetime,
    min_elevation_deg: float,
    refine: Refine = "hermite",
    on_failure: OnFailure | None = None,
) -> "pd.DataFrame":
    """`contact_windows` as a DataFrame, one row a window, sorted by rise.

    Columns: satellite, site (names); rise_utc, culminate_utc, set_utc (UTC timestamps, ns);
    duration_s; and from max_elevation_deg on those of `ContactWindows`, by the same names. One
    satellite or site may stand alone. Gives an OrbitWarning for each of `doubts`. Errors as there.
    """
    import pandas as pd

    models = as_satellites(satellites if isinstance(satellites, Sequence) else [satellites])
    sites = [sites] if isinstance(sites, Site) else list(sites)
    zero = pd.Timestamp(utc(start, "start")).as_unit("ns")

    def moments(seconds: FloatArray) -> "pd.DatetimeIndex":
        return zero + pd.to_timedelta(np.rint(seconds * 1e9).astype(np.int64), unit="ns")

    def named(things: Sequence[Satellite | Site], index: IntArray) -> "pd.Series":
        # A text column also when it has no rows.
        return pd.Series([thing.name for thing in things], dtype="str").take(index).array

    windows = contact_windows(models, sites, start, end, min_elevation_deg, refine, on_failure)
    for line in doubts(models, start, end):
        warn(line, OrbitWarning, stacklevel=2)
    return pd.DataFrame({
        "satellite": named(models, windows.satellite),
        "site": named(sites, windows.site),
        "rise_utc": moments(windows.rise_s),
        "culminate_utc": moments(windows.culminate_s),
        "set_utc": moments(windows.set_s),
        "duration_s": windows.set_s - windows.rise_s,
        **{
            column.name: getattr(windows, column.name)
            for column in fields(windows)
            if column.name not in _SHOWN_OTHERWISE
        },
    })  # fmt: skip
