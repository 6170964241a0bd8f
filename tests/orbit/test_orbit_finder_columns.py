"""What a window says of its rise, culmination and set, and the slow reference by Skyfield."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import sgp4
from skyfield.api import EarthSatellite

import orbit
from tests.kit.orbit import contacts

DAY = timedelta(days=1)
NEAR = {"hermite": (1e-4, 1e-4, 5e-5), "sgp4": (2e-6, 2e-5, 1e-6), "skyfield": (1e-9, 1e-9, 1e-9)}


def _pairs(windows):
    return sorted(set(zip(windows.satellite, windows.site, strict=True)))


@pytest.mark.parametrize("refine", ["hermite", "sgp4"])
def test_angles_ranges_and_rates_are_full_skyfields(
    satellites, sites, start, skyfield_view, refine
):
    windows = orbit.contact_windows(satellites, sites, start, start + DAY / 2, 10.0, refine)
    angle_deg, range_km, rate_km_s = NEAR[refine]
    for i, k in _pairs(windows):
        mine = windows.where((windows.satellite == i) & (windows.site == k))
        for name in ("rise", "culminate", "set"):
            time_s = getattr(mine, f"{name}_s")
            elevation, azimuth, distance, rate = skyfield_view(
                satellites[i], sites[k], start, time_s
            )
            off = getattr(mine, f"{name}_azimuth_deg") - azimuth
            # Near the zenith the azimuth turns as fast as the angle across it shrinks.
            across = np.abs((off + 180) % 360 - 180) * np.cos(np.radians(elevation))
            assert across.max() < angle_deg
            assert np.abs(getattr(mine, f"{name}_slant_range_km") - distance).max() < range_km
            assert np.abs(getattr(mine, f"{name}_range_rate_km_s") - rate).max() < rate_km_s
            if name == "culminate":
                assert np.abs(mine.max_elevation_deg - elevation).max() < angle_deg


def test_skyfield_by_root_finding_confirms_sgp4(satellites, sites, start):
    few = satellites[3:9:2], sites[::3]
    exact = orbit.contact_windows(*few, start, start + DAY / 4, 10.0, "sgp4")
    slow = orbit.contact_windows(*few, start, start + DAY / 4, 10.0, "skyfield")
    assert len(slow) == len(exact) > 10
    for name in ("satellite", "site", "culminations", "clipped_start", "clipped_end"):
        np.testing.assert_array_equal(getattr(slow, name), getattr(exact, name))
    for name, limit in (
        ("rise_s", 1e-4),
        ("set_s", 1e-4),
        ("culminate_s", 1e-3),
        ("max_elevation_deg", 1e-6),
        ("min_slant_range_km", 2e-5),
        ("rise_slant_range_km", 1e-3),
        ("rise_range_rate_km_s", 1e-5),
        ("set_azimuth_deg", 1e-4),
    ):
        np.testing.assert_allclose(getattr(slow, name), getattr(exact, name), atol=limit)


def test_the_reference_rises_and_sets_on_the_mask_in_skyfield(
    satellites, sites, start, skyfield_view
):
    few = satellites[2:4], sites[4:6]
    windows = orbit.contact_windows(*few, start, start + DAY / 2, 20.0, "skyfield")
    assert len(windows) > 3
    for i, k in _pairs(windows):
        mine = windows.where((windows.satellite == i) & (windows.site == k))
        for time_s, clipped in (
            (mine.rise_s, mine.clipped_start),
            (mine.set_s, mine.clipped_end),
        ):
            elevation, *_ = skyfield_view(few[0][i], few[1][k], start, time_s)
            assert np.abs(elevation - 20.0)[~clipped].max(initial=0) < 1e-6
        around = mine.culminate_s + np.array([[-1.0], [0.0], [1.0]])
        shape = around.shape
        elevation, *_ = skyfield_view(few[0][i], few[1][k], start, around.ravel())
        before, top, after = elevation.reshape(shape)
        inside = (mine.culminate_s > mine.rise_s) & (mine.culminate_s < mine.set_s)
        assert (top >= np.maximum(before, after))[inside].all()


def _verification(*numbers):
    text = (Path(sgp4.__file__).parent / "SGP4-VER.TLE").read_text()
    entries = orbit.scan_satellites(text, checksum="ignore")
    found = [entry for entry in entries if isinstance(entry, orbit.Satellite)]
    return [satellite for satellite in found if satellite.norad_id in numbers]


def _brute_culminations(windows, satellites, sites, start, days, step_s):
    """Highest samples among their neighbours inside each window."""
    time_s = np.arange(0.0, days * 86400.0, step_s)
    counts = np.zeros(len(windows), dtype=int)
    for i, satellite in enumerate(satellites):
        elevation = orbit.look_angles(satellite, sites, start, time_s).elevation_deg
        for w in np.flatnonzero(windows.satellite == i):
            mine = elevation[:, windows.site[w]]
            peak = (mine[1:-1] > mine[:-2]) & (mine[1:-1] >= mine[2:])
            at_s = time_s[1:-1][peak]
            counts[w] = ((at_s > windows.rise_s[w]) & (at_s < windows.set_s[w])).sum()
    return counts


@pytest.mark.parametrize(
    ("numbers", "days", "step_s", "least"),
    [
        # Geostationary with some inclination, half-day eccentric, half-day circular, transfer.
        ((14128, 28626), 4, 30.0, 2),
        ((8195, 9880, 21897), 2, 20.0, 2),
        ((28129,), 4, 30.0, 1),
        ((26975, 23599), 2, 10.0, 1),
    ],
)
def test_culminations_are_counted_as_brute_force_counts_them(sites, numbers, days, step_s, least):
    satellites = _verification(*numbers)
    assert len(satellites) == len(numbers)
    start = max(satellite.epoch for satellite in satellites).replace(microsecond=0)
    windows = orbit.contact_windows(satellites, sites, start, start + days * DAY, 5.0)
    counts = _brute_culminations(windows, satellites, sites, start, days, step_s)
    np.testing.assert_array_equal(windows.culminations, counts)
    assert counts.max() >= least


def test_a_window_cut_before_its_culmination_counts_none(satellites, sites, start):
    whole = orbit.contact_windows(satellites, sites, start, start + DAY, 10.0)
    w = int(np.flatnonzero(whole.culminate_s - whole.rise_s > 100)[0])
    pair = [satellites[whole.satellite[w]]], [sites[whole.site[w]]]
    begin = start + timedelta(seconds=float(whole.rise_s[w]) + 20)
    rising = orbit.contact_windows(*pair, begin, begin + timedelta(seconds=50), 10.0)
    assert (len(rising), rising.culminations[0]) == (1, 0)
    assert (rising.clipped_start[0], rising.clipped_end[0]) == (True, True)
    assert rising.culminate_s[0] == rising.set_s[0] == 50.0
    seen = orbit.look_angles(pair[0][0], pair[1], begin, np.array([50.0]))
    assert rising.max_elevation_deg[0] == pytest.approx(seen.elevation_deg[0, 0], abs=1e-5)


def test_skyfields_own_satellites_are_taken(satellites, sites, start, timescale):
    bodies = [EarthSatellite.from_satrec(s.model, timescale) for s in satellites[:3]]
    theirs = orbit.contact_windows([*bodies, satellites[3]], sites, start, start + DAY, 10.0)
    ours = orbit.contact_windows(satellites[:4], sites, start, start + DAY, 10.0)
    np.testing.assert_array_equal(theirs.rise_s, ours.rise_s)
    np.testing.assert_array_equal(theirs.satellite, ours.satellite)
    with pytest.raises(ValueError, match="is no satellite"):
        orbit.contact_windows([satellites[0], "ISS"], sites, start, start + DAY, 10.0)


def _brute_nearest_km(windows, satellites, sites, start):
    """Least of many slant ranges inside each window."""
    nearest_km = np.empty(len(windows))
    for w, (i, k) in enumerate(zip(windows.satellite, windows.site, strict=True)):
        time_s = np.linspace(windows.rise_s[w], windows.set_s[w], 5001)
        seen = orbit.look_angles(satellites[i], sites[k], start, time_s)
        nearest_km[w] = seen.slant_range_km.min()
    return nearest_km


def _masked_below_their_tops(satellites, sites, start, days, below_deg):
    """Sites whose own masks are just below what they see at best."""
    all_ = orbit.contact_windows(satellites, sites, start, start + days * DAY, 5.0)
    return [
        replace(site, min_elevation_deg=float(all_.max_elevation_deg[all_.site == k].max()) - below)
        for k, site in enumerate(sites)
        for below in below_deg
        if (all_.site == k).any()
    ]


@pytest.mark.parametrize("hours", [48.0, 17.3, 3.1])
def test_the_closest_approach_is_the_nearest_inside_the_window(sites, hours):
    # In eccentric orbits the range is least hours away from the culmination.
    satellites = _verification(8195, 9880, 21897, 26975)
    start = max(satellite.epoch for satellite in satellites).replace(microsecond=0)
    masked = _masked_below_their_tops(satellites, sites, start, 2, (0.5, 5.0, 20.0))
    windows = orbit.contact_windows(satellites, masked, start, start + DAY * (hours / 24), 5.0)
    off_km = windows.min_slant_range_km - _brute_nearest_km(windows, satellites, masked, start)
    ends_km = np.minimum(windows.rise_slant_range_km, windows.set_slant_range_km)
    assert len(windows) >= 10
    assert (windows.min_slant_range_km == ends_km).any()
    assert -1e-3 < off_km.min() <= off_km.max() < 2e-4


def test_the_closest_approach_of_a_short_pass_may_lie_outside(satellites, sites, start):
    masked = _masked_below_their_tops(satellites, sites, start, 1, (1e-5, 1e-3))
    windows = orbit.contact_windows(satellites, masked, start, start + DAY, 5.0)
    off_km = windows.min_slant_range_km - _brute_nearest_km(windows, satellites, masked, start)
    assert len(windows) >= 2 * len(sites)
    assert np.abs(off_km).max() < 2e-4


@pytest.mark.parametrize("refine", ["hermite", "sgp4"])
def test_neither_company_nor_blocks_change_a_window(satellites, sites, start, refine, monkeypatch):
    together = orbit.contact_windows(satellites, sites, start, start + DAY / 2, 10.0, refine)
    monkeypatch.setattr(contacts, "_CHUNK", 300)
    for i in (0, 7):
        alone = orbit.contact_windows([satellites[i]], sites[2:4], start, start + DAY / 2, 10.0,
                                      refine)  # fmt: skip
        same = together.where((together.satellite == i) & np.isin(together.site, (2, 3)))
        for column in fields(alone):
            if column.name not in ("satellite", "site"):
                np.testing.assert_allclose(
                    getattr(alone, column.name), getattr(same, column.name), rtol=0, atol=1e-7
                )


def test_a_year_of_one_satellite_is_the_months_put_together(satellites, sites, start):
    pair = [satellites[4]], [replace(sites[7], min_elevation_deg=15.0)]
    year = orbit.contact_windows(*pair, start, start + 360 * DAY, 0.0, "sgp4")
    rises = []
    for month in range(12):
        begin = start + month * 30 * DAY
        part = orbit.contact_windows(*pair, begin, begin + 30 * DAY, 0.0, "sgp4")
        rises.append(part.rise_s[~part.clipped_start] + month * 30 * 86400.0)
    np.testing.assert_allclose(year.rise_s, np.concatenate(rises), atol=1e-5)
    assert len(year) > 1000


def test_far_from_any_leap_second_table_nothing_breaks(sites):
    start = datetime(2031, 3, 1, tzinfo=UTC)
    satellite = orbit.circular_satellite("later", 600, 60, 10, 20, start)
    windows = orbit.contact_windows([satellite], sites, start, start + DAY, 5.0, "sgp4")
    seen = [
        orbit.look_angles(satellite, sites[k], start, windows.rise_s[[w]]).elevation_deg[0, 0]
        for w, k in enumerate(windows.site)
    ]
    np.testing.assert_allclose(np.array(seen)[~windows.clipped_start], 5.0, atol=1e-7)
