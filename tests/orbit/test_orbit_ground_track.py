"""Subsatellite points against Skyfield's, and back from WGS 84 to the position."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skyfield.api import EarthSatellite, wgs84

import orbit
from tests.kit.orbit import Start, earth_fixed_km, ground_track, local_axes, propagate, timescale

START = datetime(2026, 8, 22, 3, tzinfo=UTC)


@pytest.mark.parametrize("inclination_deg", [0.0, 51.6, 90.0, 97.8])
def test_points_are_those_of_skyfield(inclination_deg: float) -> None:
    satellite = orbit.circular_satellite("made", 700.0, inclination_deg, 40.0, 10.0, START)
    time_s = np.linspace(0.0, 7200.0, 61)
    track = ground_track(satellite, START, time_s)
    moments = timescale().from_datetimes([START + timedelta(seconds=t) for t in time_s])
    body = EarthSatellite.from_satrec(satellite.model, timescale())
    there = wgs84.geographic_position_of(body.at(moments))
    # Skyfield stops earlier in its search for the latitude: 2 mm at 45 degrees.
    apart_deg = track.longitude_deg - there.longitude.degrees
    apart_deg = (apart_deg + 180.0) % 360.0 - 180.0
    assert np.abs(apart_deg * np.cos(np.radians(track.latitude_deg))).max() < 1e-10
    np.testing.assert_allclose(track.latitude_deg, there.latitude.degrees, atol=3e-8)
    np.testing.assert_allclose(track.altitude_km, there.elevation.km, atol=1e-9)


@given(st.floats(7000.0, 42000.0), st.integers(0, 180), st.floats(-1e6, 1e6))
def test_the_point_and_its_altitude_are_the_position(
    axis_km: float, inclination_deg: int, time_s: float
) -> None:
    satellite = orbit.keplerian_satellite(
        "made", START, semi_major_axis_km=axis_km, inclination_deg=inclination_deg
    )
    position = propagate(satellite, Start.of(START), np.array([time_s]))[0, :3]
    track = ground_track(satellite, START, np.array([time_s]))
    axes = local_axes(np.radians(track.latitude_deg), np.radians(track.longitude_deg))
    np.testing.assert_allclose(earth_fixed_km(axes, track.altitude_km)[0], position, atol=1e-6)


@pytest.mark.parametrize("time_s", [[], [np.nan], [[1.0]]])
def test_times_that_are_none_are_refused(time_s: list[float]) -> None:
    satellite = orbit.circular_satellite("made", 700.0, 50.0, 0.0, 0.0, START)
    with pytest.raises(ValueError, match="one row of finite seconds"):
        ground_track(satellite, START, np.array(time_s))
