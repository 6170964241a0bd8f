"""Look angles against Skyfield's full chain and against derivatives."""

from datetime import UTC, datetime

import numpy as np
import pytest

import orbit


def _apart_deg(elevation, azimuth, other_elevation, other_azimuth):
    """Great-circle angle between two directions: azimuth alone means nothing near the zenith."""
    turn = (azimuth - other_azimuth + 180) % 360 - 180
    return np.hypot(elevation - other_elevation, turn * np.cos(np.radians(elevation)))


def test_look_angles_agree_with_full_skyfield_over_forty_days(
    satellites, sites, start, skyfield_view
):
    time_s = np.linspace(0, 40 * 86400, 199)
    for satellite in satellites[::3]:
        ours = orbit.look_angles(satellite, sites, start, time_s)
        assert ours.elevation_deg.shape == (199, len(sites))
        for k, site in enumerate(sites):
            elevation, azimuth, distance, rate = skyfield_view(satellite, site, start, time_s)
            apart = _apart_deg(ours.elevation_deg[:, k], ours.azimuth_deg[:, k], elevation, azimuth)
            assert apart.max() < 1e-6
            assert np.abs(ours.slant_range_km[:, k] - distance).max() < 5e-5
            assert np.abs(ours.range_rate_km_s[:, k] - rate).max() < 1e-6


def test_real_elements_agree_with_full_skyfield(element_files, sites, start, skyfield_view):
    time_s = np.linspace(-86400, 3 * 86400, 99)
    for satellite in orbit.read_satellites(element_files / "earth2026_stations.tle")[:4]:
        ours = orbit.look_angles(satellite, sites, start, time_s)
        for k, site in enumerate(sites):
            elevation, azimuth, distance, _ = skyfield_view(satellite, site, start, time_s)
            apart = _apart_deg(ours.elevation_deg[:, k], ours.azimuth_deg[:, k], elevation, azimuth)
            assert apart.max() < 1e-6
            assert np.abs(ours.slant_range_km[:, k] - distance).max() < 5e-5


def test_range_rate_is_the_derivative_of_range_but_for_sgp4s_own_velocity(satellites, sites, start):
    # SGP4's velocity leaves out small periodic terms: below 1 m/s for near-circular orbits.
    time_s = np.arange(0.0, 6000.0, 37.0)
    for satellite in satellites:
        late = orbit.look_angles(satellite, sites, start, time_s + 0.5).slant_range_km
        early = orbit.look_angles(satellite, sites, start, time_s - 0.5).slant_range_km
        rate = orbit.look_angles(satellite, sites, start, time_s).range_rate_km_s
        assert np.abs(rate - (late - early)).max() < 1e-3


def test_one_site_may_stand_alone(satellites, sites, start):
    alone = orbit.look_angles(satellites[0], sites[3], start, np.array([60.0]))
    among = orbit.look_angles(satellites[0], sites, start, np.array([60.0]))
    assert alone.elevation_deg.shape == (1, 1)
    assert alone.azimuth_deg[0, 0] == among.azimuth_deg[0, 3]


def test_a_failing_propagation_names_satellite_time_and_cause(sites):
    decaying = orbit.parse_satellites(
        "1 25544U 98067A   26234.50053383  .09133000  00000+0  90000-1 0  9997\n"
        "2 25544  51.6331 331.8814 0007668  72.6488 287.5339 15.49570248582031\n",
        checksum="ignore",
    )[0]
    epoch = datetime(2026, 8, 22, 12, tzinfo=UTC)
    days = np.arange(40) * 86400.0
    with pytest.raises(ValueError, match=r"SGP4 fails for '25544' at 2026-0.*decayed"):
        orbit.look_angles(decaying, sites, epoch, days)


@pytest.mark.parametrize("time_s", [[], [float("nan")], [[1.0, 2.0]]])
def test_times_that_are_no_row_of_seconds_are_refused(satellites, sites, start, time_s):
    with pytest.raises(ValueError, match="time_s"):
        orbit.look_angles(satellites[0], sites, start, np.array(time_s))
