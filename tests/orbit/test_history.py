"""Several element sets of one satellite: at each time the one whose epoch is nearest."""

from datetime import timedelta

import numpy as np
import pytest
from skyfield.api import EarthSatellite, wgs84

import orbit
from tests.kit.skies import START, TIMESCALE, refused

SITES = [orbit.Site("Munich", 48.1, 11.6), orbit.Site("Quito", -0.2, -78.5)]
AWAY = timedelta(days=1)
LOW = {"semi_major_axis_km": 6900.0, "inclination_deg": 97.5}


def made(days, anomaly_deg, number=1, **shape):
    """A set of an orbit whose satellite runs ahead of what an older one says."""
    epoch = START + timedelta(days=days)
    one = orbit.keplerian_satellite("S", epoch, mean_anomaly_deg=anomaly_deg, **(LOW | shape))
    return orbit.Satellite("S", number, epoch, one.model)


SETS = [made(0, 10.0), made(1, 200.0), made(1.5, 77.0)]
MIDDLES_S = np.array([0.5, 1.25]) * 86400


def elevation_deg(satellite, site, time_s):
    """By Skyfield."""
    theirs = EarthSatellite.from_satrec(satellite.model, TIMESCALE)
    at = TIMESCALE.utc(
        START.year,
        START.month,
        START.day,
        0,
        0,
        (START - START.replace(hour=0, minute=0)).total_seconds() + np.asarray(time_s),
    )
    place = wgs84.latlon(site.latitude_deg, site.longitude_deg, site.altitude_m)
    return (theirs - place).at(at).altaz()[0].degrees


def nearest(time_s):
    return SETS[int(np.searchsorted(MIDDLES_S, time_s))]


@pytest.mark.parametrize("refine", ["sgp4", "hermite"])
def test_every_contact_is_that_of_the_set_nearest_in_time(refine):
    (one,) = orbit.one_each([SETS[1], SETS[0], SETS[2]], "nearest")
    assert (one.name, one.norad_id, one.epoch) == ("S", 1, SETS[2].epoch)
    end = START + timedelta(days=2.5)
    found = orbit.contact_windows([one], SITES, START, end, 10.0, refine)
    assert len(found) > 10
    # Every edge is where Skyfield sees the mask crossed, or where one set follows another.
    for edge_s in (found.rise_s, found.set_s):
        for at_s, site in zip(edge_s, found.site, strict=True):
            if np.abs(MIDDLES_S - at_s).min() > 1 and 1 < at_s < 2.5 * 86400 - 1:
                seen = elevation_deg(nearest(at_s), SITES[site], [at_s])[0]
                assert seen == pytest.approx(10.0, abs=2e-3)
    # And nothing is missing: above the mask on a grid is inside of a window.
    grid_s = np.arange(0.0, 2.5 * 86400, 60.0)
    which = np.searchsorted(MIDDLES_S, grid_s)
    for number, site in enumerate(SITES):
        up = np.zeros(grid_s.shape, bool)
        for k, of_set in enumerate(SETS):
            up[which == k] = elevation_deg(of_set, site, grid_s[which == k]) > 10.01
        mine = found.where(found.site == number)
        inside = (grid_s[:, None] >= mine.rise_s) & (grid_s[:, None] <= mine.set_s)
        assert (inside.any(axis=1) | ~up).all() and up.sum() > 20


def test_a_window_goes_on_from_one_set_to_the_next():
    high = {"semi_major_axis_km": 42164.0, "inclination_deg": 0.05}
    sets = [made(days, 130.0 + 360.98565 * days, **high) for days in (0, 0.5, 1)]
    (one,) = orbit.one_each(sets, "nearest")
    alone = orbit.contact_windows(sets[:1], SITES, START, START + AWAY, 0.0)
    joined = orbit.contact_windows([one], SITES, START, START + AWAY, 0.0)
    assert len(alone) == len(joined) >= 1
    np.testing.assert_array_equal(joined.site, alone.site)
    np.testing.assert_array_equal(joined.set_s, alone.set_s)
    assert joined.clipped_start.all() and joined.clipped_end.all()
    assert not joined.sgp4_error.any()


def test_sets_are_told_by_number_or_name_and_a_wrong_word_is_refused():
    other = made(0, 1.0, number=2)
    nameless = [made(days, 1.0, number=0) for days in (0, 1)]
    found = orbit.one_each([*SETS, other, *nameless], "nearest")
    assert [(one.norad_id, len(orbit.sets_of(one))) for one in found] == [(1, 3), (2, 1), (0, 2)]
    latest = orbit.one_each(SETS, "latest")
    assert latest == [SETS[2]] and latest[0].model is SETS[2].model
    refused("sets 'newest' is unknown; write 'nearest' or 'latest'", orbit.one_each, SETS, "newest")
    # The age of elements is that of the nearest set.
    end = START + timedelta(days=8)
    assert not orbit.doubts(orbit.one_each(SETS, "nearest"), START, end)
    (old,) = orbit.doubts([SETS[0]], START, end)
    assert "8.0 days" in str(old)
    refused("'S' has several; take the latest", orbit.isl_windows, [*found[:2]], START, end)
    # A satellite that has fallen by one set is not there, and is where another one says.
    falling = made(0, 10.0, number=1, bstar=0.5, semi_major_axis_km=6560.0)
    failures = []
    (one,) = orbit.one_each([falling, made(6, 5.0)], "nearest")
    windows = orbit.contact_windows([one], SITES, START, end, 10, on_failure=failures.append)
    assert [failure.whole for failure in failures] == [False]
    assert windows.rise_s.max() > 5 * 86400
