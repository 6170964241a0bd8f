"""Contact windows against exact SGP4 and against themselves; tests/truth has their edges."""

from dataclasses import fields, replace
from datetime import timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from skyfield.api import EarthSatellite

import orbit
from tests.kit import skies
from tests.kit.skies import CIRCLES, DAY, DAY_S, EIGHT_SITES, START, refused, verified


@pytest.mark.parametrize(
    ("satellites", "hours", "below_deg"),
    # In eccentric orbits the range is least hours away from the culmination; the closest approach
    # of a short pass may lie outside of it.
    [(CIRCLES[::2], 24.0, (1e-5, 1e-3)), (CIRCLES[::5], 24.0, (30.0, 80.0)),
     *(((8195, 9880, 21897, 26975), hours, (0.5, 5.0, 20.0)) for hours in (48.0, 17.3, 3.1))],
)  # fmt: skip
def test_culminations_and_closest_approach_are_the_extrema_of_the_window(
    satellites, hours, below_deg
):
    satellites = [s if isinstance(s, orbit.Satellite) else verified(s) for s in satellites]
    start = max(satellite.epoch for satellite in satellites).replace(microsecond=0)
    end = start + hours / 24 * DAY
    all_ = orbit.contact_windows(satellites, EIGHT_SITES, start, start + 2 * DAY, 5.0)
    best_deg = {k: float(all_.max_elevation_deg[all_.site == k].max()) for k in set(all_.site)}
    masked = [
        replace(EIGHT_SITES[k], min_elevation_deg=max(0.0, top_deg - below))
        for k, top_deg in best_deg.items()
        for below in below_deg
    ]
    windows = orbit.contact_windows(satellites, masked, start, end, 5.0, "sgp4")
    assert len(windows) >= 10
    for w in range(0, len(windows), 1 + len(windows) // 80):
        time_s = np.linspace(windows.rise_s[w], windows.set_s[w], 3001)
        seen = orbit.look_angles(
            satellites[windows.satellite[w]], masked[windows.site[w]], start, time_s
        )
        off_deg = windows.max_elevation_deg[w] - seen.elevation_deg.max()
        assert -1e-9 <= off_deg < 0.5 * (time_s[1] - time_s[0]) ** 2
        assert -1e-3 < windows.min_slant_range_km[w] - seen.slant_range_km.min() < 2e-4
        assert windows.rise_s[w] <= windows.culminate_s[w] <= windows.set_s[w]
        rises = np.diff(seen.elevation_deg[:, 0]) > 0
        assert windows.culminations[w] == (rises[:-1] & ~rises[1:]).sum()


def test_a_span_inside_a_pass_is_one_window_clipped_at_both_ends():
    whole = orbit.contact_windows(CIRCLES, EIGHT_SITES, START, START + DAY, 10.0)
    w = int(np.flatnonzero(whole.culminate_s - whole.rise_s > 100)[0])
    satellite = CIRCLES[whole.satellite[w]]
    site = EIGHT_SITES[whole.site[w]]
    # A window cut before its culmination is highest at its end, and has none.
    for first_s, lasts_s, peaks, top_s in (
        (whole.rise_s[w] + 20, 50.0, 0, 50.0),
        (whole.culminate_s[w] - 1, 3.0, 1, 1.0),
    ):
        begin = START + timedelta(seconds=float(first_s))
        part = orbit.contact_windows(
            [satellite] * 2, [site], begin, begin + lasts_s * DAY / DAY_S, 10.0
        )
        assert (part.rise_s.tolist(), part.set_s.tolist()) == ([0.0] * 2, [lasts_s] * 2)
        assert part.clipped_start.all() and part.clipped_end.all()
        assert part.culminations.tolist() == [peaks] * 2
        seen = orbit.look_angles(satellite, site, begin, np.array([top_s]))
        assert part.culminate_s == pytest.approx(top_s, abs=1e-3)
        assert part.max_elevation_deg == pytest.approx(seen.elevation_deg[0, 0], abs=1e-5)


@pytest.mark.parametrize("refine", ["hermite", "sgp4"])
def test_neither_company_nor_the_length_of_the_span_changes_a_window(refine):
    """The span is so long that a few sites of one satellite fill a block."""
    alike = orbit.walker_delta(600.0, 80.0, 3, 3, 1, START)
    alike[1] = orbit.circular_satellite("j2", 600.0, 80.0, 120.0, 0.0, START, "secular_j2")
    end = START + 160 * DAY
    together = orbit.contact_windows(alike, EIGHT_SITES, START, end, 10.0, refine)
    for i, k in ((0, 0), (1, 7), (2, 3)):
        same = together.where((together.satellite == i) & (together.site == k))
        pair = [alike[i]], [EIGHT_SITES[k]]
        alone = orbit.contact_windows(*pair, START, end, 10.0, refine)
        assert len(alone) > 500
        for column in fields(alone)[2:]:
            ours = getattr(same, column.name)
            theirs = getattr(alone, column.name)
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-7, err_msg=column.name)


@pytest.mark.parametrize("mask", [10.0, [(0, 10), (180, 12)]])
def test_a_span_that_begins_at_a_set_or_ends_at_a_rise_of_a_table_has_nothing_of_that_pass(mask):
    site = orbit.Site("S", 48.1, 11.6, min_elevation_deg=mask)
    asked = CIRCLES[::3], [site]
    whole = orbit.contact_windows(*asked, START, START + DAY, 10.0, "sgp4")
    assert len(whole) > 8
    for w in range(len(whole)):
        rise, set_ = (
            START + timedelta(seconds=float(s[w])) for s in (whole.rise_s, whole.set_s)
        )  # to the microsecond, as a table has them
        after = orbit.contact_windows(*asked, set_, set_ + DAY / 12, 10.0, "sgp4")
        before = orbit.contact_windows(*asked, rise - DAY / 12, rise, 10.0, "sgp4")
        for found in (after, before):
            assert (found.set_s - found.rise_s).min(initial=1.0) >= 1e-6


def test_the_table_holds_the_windows_with_names_and_utc():
    end = START + DAY / 2
    there = START.astimezone(timezone(timedelta(hours=9)))
    # One satellite, also one of Skyfield, and one site may stand alone.
    theirs = EarthSatellite.from_satrec(CIRCLES[3].model, skies.TIMESCALE)
    alone = orbit.find_contacts(theirs, skies.MUNICH, there, end, 10.0)
    table = orbit.find_contacts([CIRCLES[3]], [skies.MUNICH], START, end, 10.0)
    pd.testing.assert_frame_equal(alone.iloc[:, 1:], table.iloc[:, 1:])
    assert {*table.satellite} == {"c3"} and {*table.site} == {"Munich"}
    windows = orbit.contact_windows(CIRCLES[3:4], [skies.MUNICH], START, end, 10.0)
    for name in ("rise", "culminate", "set"):
        since = (table[f"{name}_utc"] - pd.Timestamp(START)) / pd.Timedelta(seconds=1)
        np.testing.assert_allclose(since, getattr(windows, f"{name}_s"), atol=1e-8)
    np.testing.assert_array_equal(table.duration_s, windows.set_s - windows.rise_s)
    for column in fields(windows)[5:]:
        np.testing.assert_array_equal(table[column.name], getattr(windows, column.name))


def test_bad_input_is_refused_in_one_line():
    good = {"satellites": CIRCLES, "sites": [skies.MUNICH], "start": START, "end": START + DAY}
    for words, change in (
        ("no satellite given", {"satellites": []}),
        ("no site given", {"sites": []}),
        ("is not a datetime", {"end": "2026-08-23"}),
        ("sites: a NoneType is no list of sites; give a list", {"sites": None}),
        (r"a tuple is no site; give orbit\.Site\(name, latitude_deg", {"sites": [(48.1, 11.6)]}),
        ("min_elevation_deg is larger than any float", {"min_elevation_deg": 10**400}),
        ("refine 'exact' is unknown", {"refine": "exact"}),
    ):
        refused(words, orbit.contact_windows, **{**good, "min_elevation_deg": 10.0, **change})
