"""Contact windows against Skyfield, against SGP4 every two seconds, and against themselves."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import sgp4
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from skyfield.api import EarthSatellite, wgs84

import orbit
from tests.kit.orbit import contacts

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("refine", "elevation_deg", "range_km", "rate_km_s"),
    [("hermite", 2e-5, 1e-3, 5e-5), ("sgp4", 1e-6, 2e-5, 1e-6)],
)
def test_rises_and_sets_are_on_the_mask_in_full_skyfield(
    satellites, sites, start, skyfield_view, refine, elevation_deg, range_km, rate_km_s
):
    windows = orbit.contact_windows(satellites, sites, start, start + DAY, 10.0, refine)
    assert len(windows) > 400
    for satellite, site in set(zip(windows.satellite, windows.site, strict=True)):
        mine = (windows.satellite == satellite) & (windows.site == site)
        place = satellites[satellite], sites[site], start
        for time_s, clipped, rates in (
            (windows.rise_s[mine], windows.clipped_start[mine], windows.rise_range_rate_km_s),
            (windows.set_s[mine], windows.clipped_end[mine], windows.set_range_rate_km_s),
        ):
            elevation, _, _, rate = skyfield_view(*place, time_s)
            assert np.abs(elevation - 10.0)[~clipped].max(initial=0) < elevation_deg
            assert np.abs(rate - rates[mine]).max() < rate_km_s
        elevation, _, distance, _ = skyfield_view(*place, windows.culminate_s[mine])
        assert np.abs(elevation - windows.max_elevation_deg[mine]).max() < elevation_deg
        assert (windows.min_slant_range_km[mine] <= distance + range_km).all()


def test_real_elements_rise_and_set_on_the_mask(element_files, sites, start, skyfield_view):
    satellites = orbit.read_satellites(element_files / "earth2026_stations.tle")[:3]
    satellites += orbit.read_satellites(element_files / "earth2026_starlink.tle")[::3000]
    for refine, limit in (("hermite", 2e-5), ("sgp4", 1e-6)):
        windows = orbit.contact_windows(satellites, sites, start, start + DAY, 10.0, refine)
        for w in range(0, len(windows), 7):
            seen_from = satellites[windows.satellite[w]], sites[windows.site[w]], start
            edges = [
                windows.rise_s[w] if not windows.clipped_start[w] else np.nan,
                windows.set_s[w] if not windows.clipped_end[w] else np.nan,
            ]
            edges = np.array([edge for edge in edges if np.isfinite(edge)])
            elevation, *_ = skyfield_view(*seen_from, edges)
            assert np.abs(elevation - 10.0).max(initial=0) < limit


def _differences(satellites, sites, start, seconds, step_s, mask_deg):
    """How windows differ from exact SGP4 at even steps: samples that contradict, windows unseen."""
    end = start + timedelta(seconds=seconds)
    windows = orbit.contact_windows(satellites, sites, start, end, mask_deg)
    time_s = np.arange(0.0, seconds, step_s)
    wrong = unseen = 0
    for i, satellite in enumerate(satellites):
        visible = orbit.look_angles(satellite, sites, start, time_s).elevation_deg >= mask_deg
        for k in range(len(sites)):
            mine = (windows.satellite == i) & (windows.site == k)
            left = np.searchsorted(time_s, windows.rise_s[mine])
            right = np.searchsorted(time_s, windows.set_s[mine])
            inside = np.zeros(len(time_s) + 1, dtype=int)
            np.add.at(inside, left, 1)
            np.add.at(inside, right, -1)
            edges = np.concatenate([windows.rise_s[mine], windows.set_s[mine]])
            near = np.abs(time_s[:, None] - edges).min(axis=1, initial=np.inf) < 0.005
            wrong += ((inside.cumsum()[:-1] > 0) != visible[:, k])[~near].sum()
            unseen += ((right == left) & ((windows.set_s - windows.rise_s)[mine] > step_s)).sum()
    return len(windows), wrong, unseen


@pytest.mark.parametrize(
    ("mask_deg", "least"), [(0.0, 500), (10.0, 400), (25.0, 100), (60.0, 30), (80.0, 5)]
)
def test_no_window_is_missed_or_invented_against_sgp4_every_two_seconds(
    satellites, sites, start, mask_deg, least
):
    count, wrong, unseen = _differences(satellites, sites, start, 86400.0, 2.0, mask_deg)
    assert count > least
    assert (wrong, unseen) == (0, 0)


def _vallado(*numbers):
    text = (Path(sgp4.__file__).parent / "SGP4-VER.TLE").read_text()
    found = [entry for entry in orbit.scan_satellites(text) if isinstance(entry, orbit.Satellite)]
    return [satellite for satellite in found if satellite.norad_id in numbers]


def test_eccentric_orbits_lose_no_window_either(sites):
    molniyas = _vallado(8195, 9880, 21897)
    start = datetime(2006, 6, 25, tzinfo=UTC)
    assert len(molniyas) == 3
    count, wrong, unseen = _differences(molniyas, sites, start, 172800.0, 10.0, 40.0)
    assert count > 20
    assert (wrong, unseen) == (0, 0)


def test_a_pass_that_hides_between_two_grid_samples_is_found(satellites, sites, start):
    long = orbit.contact_windows(satellites, sites, start, start + DAY, 10.0)
    whole = np.flatnonzero(~long.clipped_start & ~long.clipped_end)
    hidden = 0
    for w in whole[::40]:
        mask = float(long.max_elevation_deg[w]) - 0.002
        satellite, site = satellites[long.satellite[w]], sites[long.site[w]]
        short = orbit.contact_windows([satellite], [site], start, start + DAY, mask)
        at = np.abs(short.culminate_s - long.culminate_s[w]).argmin()
        assert abs(short.culminate_s[at] - long.culminate_s[w]) < 1e-3
        time_s = long.culminate_s[w] + np.arange(-30, 30, 0.01)
        elevation = orbit.look_angles(satellite, site, start, time_s).elevation_deg[:, 0]
        lasts = 0.01 * (elevation >= mask).sum()
        assert short.set_s[at] - short.rise_s[at] == pytest.approx(lasts, abs=0.1)
        hidden += lasts < 20
    assert hidden > 5


def test_the_edges_of_grazing_passes_are_refined_to_brents_roots(satellites, sites, start):
    long = orbit.contact_windows(satellites, sites, start, start + DAY, 10.0, "sgp4")
    whole = np.flatnonzero(~long.clipped_start & ~long.clipped_end)
    for w in whole[::40]:
        mask, peak_s = float(long.max_elevation_deg[w]) - 5e-5, float(long.culminate_s[w])
        satellite, site = satellites[long.satellite[w]], sites[long.site[w]]

        def above(time_s, satellite=satellite, site=site, mask=mask):
            seen = orbit.look_angles(satellite, site, start, np.array([time_s]))
            return seen.elevation_deg[0, 0] - mask

        short = orbit.contact_windows([satellite], [site], start, start + DAY, mask, "sgp4")
        at = np.abs(short.culminate_s - peak_s).argmin()
        rise_s = brentq(above, peak_s - 20, peak_s, xtol=1e-9)
        set_s = brentq(above, peak_s, peak_s + 20, xtol=1e-9)
        assert short.rise_s[at] == pytest.approx(rise_s, abs=1e-5)
        assert short.set_s[at] == pytest.approx(set_s, abs=1e-5)


def test_culmination_and_closest_approach_are_the_extrema_of_the_window(satellites, sites, start):
    windows = orbit.contact_windows(satellites, sites, start, start + DAY, 5.0, "sgp4")
    for w in range(0, len(windows), 25):
        time_s = np.linspace(windows.rise_s[w], windows.set_s[w], 2001)
        seen = orbit.look_angles(
            satellites[windows.satellite[w]], sites[windows.site[w]], start, time_s
        )
        top, near = seen.elevation_deg.max(), seen.slant_range_km.min()
        spacing_s = time_s[1] - time_s[0]
        assert -1e-9 <= windows.max_elevation_deg[w] - top < 0.5 * spacing_s**2
        assert -1e-2 < windows.min_slant_range_km[w] - near <= 1e-6
        assert windows.rise_s[w] <= windows.culminate_s[w] <= windows.set_s[w]


@given(cut=st.floats(600.0, 20000.0))
@example(cut=7946.199230495777)  # an even step times the count is not this span
@settings(max_examples=30, deadline=None)
def test_a_span_cut_in_two_gives_the_same_windows_flagged_at_the_cut(satellites, sites, start, cut):
    end, middle = start + timedelta(seconds=21600), start + timedelta(seconds=cut)
    cut = (middle - start).total_seconds()
    whole = orbit.contact_windows(satellites, sites, start, end, 10.0, "sgp4")
    early = orbit.contact_windows(satellites, sites, start, middle, 10.0, "sgp4")
    late = orbit.contact_windows(satellites, sites, middle, end, 10.0, "sgp4")
    across = (whole.rise_s < cut) & (whole.set_s > cut)
    assert len(early) + len(late) == len(whole) + across.sum()
    assert early.clipped_end.sum() == late.clipped_start.sum() == across.sum()
    assert (early.set_s[early.clipped_end] == cut).all()
    assert (late.rise_s[late.clipped_start] == 0).all()
    rises = np.sort(np.append(early.rise_s, cut + late.rise_s[~late.clipped_start]))
    sets = np.sort(np.append(early.set_s[~early.clipped_end], cut + late.set_s))
    np.testing.assert_allclose(rises, np.sort(whole.rise_s), atol=1e-5)
    np.testing.assert_allclose(sets, np.sort(whole.set_s), atol=1e-5)


def test_a_span_inside_a_pass_is_one_window_clipped_at_both_ends(satellites, sites, start):
    windows = orbit.contact_windows(satellites, sites, start, start + DAY, 10.0)
    w = int(np.argmax(np.where(windows.clipped_start, 0, windows.set_s - windows.rise_s)))
    middle = start + timedelta(seconds=float(windows.culminate_s[w]))
    pair = [satellites[windows.satellite[w]]], [sites[windows.site[w]]]
    inside = orbit.contact_windows(*pair, middle, middle + timedelta(seconds=3), 10.0)
    assert len(inside) == 1
    assert (inside.clipped_start[0], inside.clipped_end[0]) == (True, True)
    assert (inside.rise_s[0], inside.set_s[0]) == (0.0, 3.0)


def test_a_geostationary_satellite_is_in_one_window_without_end(sites):
    geo = _vallado(28626)
    start = datetime(2006, 6, 25, tzinfo=UTC)
    under = orbit.look_angles(geo[0], sites, start, np.array([0.0])).elevation_deg[0]
    seen = [site for site, elevation in zip(sites, under, strict=True) if elevation > 10]
    windows = orbit.contact_windows(geo, seen, start, start + 3 * DAY, 5.0)
    assert len(windows) == len(seen) > 0
    assert windows.clipped_start.all()
    assert windows.clipped_end.all()
    assert (windows.set_s == 3 * 86400).all()


def test_a_window_ends_clipped_where_a_decaying_satellite_can_no_longer_be_propagated(timescale):
    decaying = orbit.parse_satellites(
        "1 25544U 98067A   26234.50053383  .09133000  00000+0  90000-1 0  9997\n"
        "2 25544  51.6331 331.8814 0007668  72.6488 287.5339 15.49570248582031\n",
        checksum="ignore",
    )
    start = datetime(2026, 8, 22, 12, tzinfo=UTC)

    def first_error(time_s):
        times = timescale.utc(2026, 8, 22, 12, 0, time_s)
        error, *_ = decaying[0].model.sgp4_array(times.whole, times.tai_fraction - 37 / 86400)
        assert error[0] == 0
        assert error.max() == 6
        return int(np.flatnonzero(error)[0])

    last_s = 60.0 * (first_error(60.0 * np.arange(20 * 1440)) - 1)
    last_s += 1e-3 * (first_error(last_s + 1e-3 * np.arange(60_001)) - 1)
    body = EarthSatellite.from_satrec(decaying[0].model, timescale)
    below = wgs84.subpoint_of(body.at(timescale.utc(2026, 8, 22, 12, 0, last_s)))
    site = orbit.Site("impact", below.latitude.degrees, below.longitude.degrees, -500.0)
    with pytest.warns(orbit.OrbitWarning, match="25544"):
        windows = orbit.contact_windows(decaying, [site], start, start + 20 * DAY, 5.0)
    assert windows.set_s[-1] == pytest.approx(last_s, abs=2e-3)
    assert windows.clipped_end.tolist() == [False] * (len(windows) - 1) + [True]
    assert windows.sgp4_error.tolist() == windows.clipped_end.tolist()
    for column in fields(windows):
        assert np.isfinite(getattr(windows, column.name)).all()


def test_a_sites_own_mask_wins_over_the_argument(satellites, sites, start):
    own = [replace(site, min_elevation_deg=10.0 + 5 * k) for k, site in enumerate(sites)]
    mixed = orbit.contact_windows(satellites, own, start, start + DAY, 3.0)
    for k, site in enumerate(sites):
        alone = orbit.contact_windows(satellites, [site], start, start + DAY, 10.0 + 5 * k)
        mine = mixed.site == k
        np.testing.assert_array_equal(mixed.satellite[mine], alone.satellite)
        np.testing.assert_allclose(mixed.rise_s[mine], alone.rise_s, atol=1e-6)


def test_the_size_of_the_blocks_in_memory_changes_no_window(satellites, sites, start, monkeypatch):
    whole = orbit.contact_windows(satellites, sites, start, start + DAY, 10.0)
    # One site at a time, some sites at a time, some satellites at a time.
    for samples in (300, 1500, 5000, 40000):
        monkeypatch.setattr(contacts, "_CHUNK", samples)
        blocks = orbit.contact_windows(satellites, sites, start, start + DAY, 10.0)
        for column in fields(whole):
            ours, theirs = getattr(blocks, column.name), getattr(whole, column.name)
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9, err_msg=column.name)


def test_a_satellite_that_never_comes_gives_no_windows(sites, start):
    low = orbit.circular_satellite("equatorial", 500, 0.0, 0, 0, start)
    windows = orbit.contact_windows([low], sites[:2], start, start + DAY, 10.0)
    assert len(windows) == 0


def test_bad_input_is_refused_in_one_line(satellites, sites, start):
    naive = start.replace(tzinfo=None)
    good = {"satellites": satellites, "sites": sites, "start": start, "end": start + DAY}
    for bad, words in (
        ({"satellites": []}, "no satellite"),
        ({"sites": []}, "no site"),
        ({"start": naive}, "no time zone; write datetime"),
        ({"end": "2026-08-23"}, "is not a datetime"),
        ({"end": start}, "not after start"),
        ({"min_elevation_deg": 90.0}, "min_elevation_deg 90.0"),
        ({"min_elevation_deg": float("nan")}, "min_elevation_deg nan"),
        ({"refine": "exact"}, "refine 'exact' is unknown"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            orbit.contact_windows(**{**good, "min_elevation_deg": 10.0, **bad})
        assert "\n" not in str(caught.value)
