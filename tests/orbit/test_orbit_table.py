"""The table of contacts: names and UTC in the promised columns."""

from datetime import timedelta, timezone

import numpy as np
import pandas as pd

import orbit

COLUMNS = [
    "satellite", "site", "rise_utc", "culminate_utc", "set_utc", "duration_s",
    "max_elevation_deg", "min_slant_range_km",
    "rise_azimuth_deg", "culminate_azimuth_deg", "set_azimuth_deg",
    "rise_slant_range_km", "culminate_slant_range_km", "set_slant_range_km",
    "rise_range_rate_km_s", "culminate_range_rate_km_s", "set_range_rate_km_s",
    "culminations", "clipped_start", "clipped_end", "sgp4_error",
]  # fmt: skip


def test_the_table_holds_the_windows_with_names_and_utc(satellites, sites, start):
    end = start + timedelta(hours=12)
    table = orbit.find_contacts(satellites, sites, start, end, 10.0)
    windows = orbit.contact_windows(satellites, sites, start, end, 10.0)
    assert list(table.columns) == COLUMNS
    assert table["rise_utc"].is_monotonic_increasing
    assert str(table["rise_utc"].dt.tz) == "UTC"
    since = (table["set_utc"] - pd.Timestamp(start)) / pd.Timedelta(seconds=1)
    np.testing.assert_allclose(since, windows.set_s, atol=1e-8)
    length = (table["set_utc"] - table["rise_utc"]) / pd.Timedelta(seconds=1)
    np.testing.assert_allclose(length, table["duration_s"], atol=1e-8)
    assert list(table["site"]) == [sites[k].name for k in windows.site]
    assert list(table["satellite"]) == [satellites[k].name for k in windows.satellite]


def test_a_start_in_another_time_zone_is_the_same_instant(satellites, sites, start):
    end = start + timedelta(hours=6)
    there = start.astimezone(timezone(timedelta(hours=9)))
    pd.testing.assert_frame_equal(
        orbit.find_contacts(satellites, sites, there, end, 10.0),
        orbit.find_contacts(satellites, sites, start, end, 10.0),
    )


def test_one_satellite_and_one_site_may_stand_alone(satellites, sites, start):
    end = start + timedelta(days=1)
    alone = orbit.find_contacts(satellites[3], sites[7], start, end, 10.0)
    listed = orbit.find_contacts([satellites[3]], [sites[7]], start, end, 10.0)
    assert len(alone) > 0
    pd.testing.assert_frame_equal(alone, listed)


def test_a_table_without_contacts_keeps_its_columns(sites, start):
    low = orbit.circular_satellite("equatorial", 500, 0.0, 0, 0, start)
    table = orbit.find_contacts(low, sites[0], start, start + timedelta(days=1), 10.0)
    assert list(table.columns) == COLUMNS
    assert len(table) == 0
