"""Orbits made from scratch: Kepler's elements as SGP4 carries them, sun-synchrony, Walker."""

from datetime import UTC, datetime, timedelta
from math import cos, nan, radians, sqrt, tau

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skyfield.api import EarthSatellite

import orbit
from tests.kit.skies import START, TIMESCALE, refused

RADIUS_KM, MU_KM3_S2 = 6378.135, 398600.8
SUN_DEG_PER_DAY = 360 / 365.2422


@given(
    perigee_km=st.floats(121, 40000),
    eccentricity=st.just(0.0) | st.floats(0, 0.8),
    inclination_deg=st.just(0.0) | st.floats(1e-9, 180),
    angles=st.tuples(*[st.floats(-720, 720)] * 3),
    epoch=st.datetimes(datetime(1960, 1, 1), datetime(2050, 1, 1), timezones=st.just(UTC)),
)
def test_mean_elements_are_those_that_sgp4_starts_from(
    perigee_km, eccentricity, inclination_deg, angles, epoch
):
    axis_km = (RADIUS_KM + perigee_km) / (1 - eccentricity)
    made = orbit.keplerian_satellite(
        "k", epoch, semi_major_axis_km=axis_km, inclination_deg=inclination_deg,
        eccentricity=eccentricity, raan_deg=angles[0], argument_of_perigee_deg=angles[1],
        mean_anomaly_deg=angles[2], bstar=1e-5,
    )  # fmt: skip
    model = made.model
    assert model.sgp4_tsince(0.0)[0] == 0
    assert model.a * RADIUS_KM == pytest.approx(axis_km, rel=1e-12)
    assert model.nm == pytest.approx(60 * sqrt(MU_KM3_S2 / axis_km**3), rel=1e-12)
    assert (model.ecco, model.inclo, model.bstar) == (eccentricity, radians(inclination_deg), 1e-5)
    for given_deg, kept in zip(angles, (model.nodeo, model.argpo, model.mo), strict=True):
        assert cos(kept - radians(given_deg)) == pytest.approx(1, abs=1e-12)
    assert (made.norad_id, made.epoch, made.made) == (0, epoch, True)
    days = (epoch - datetime(2000, 1, 1, 12, tzinfo=UTC)) / timedelta(days=1)
    since_2000 = model.jdsatepoch + model.jdsatepochF - 2451545.0
    assert since_2000 == pytest.approx(days, abs=1e-9)
    assert made.revolutions_per_day == pytest.approx(model.no_kozai * 1440 / tau)


@pytest.mark.parametrize("altitude_km", [160.0, 550.0, 800.0, 1500.0])
def test_the_node_of_a_sun_synchronous_orbit_follows_the_mean_sun(altitude_km):
    inclination_deg = orbit.sun_synchronous_inclination_deg(altitude_km)
    made = orbit.circular_satellite("s", altitude_km, inclination_deg, 10.0, 0.0, START)
    minutes = np.arange(0.0, 30 * 1440.0, 3.0)
    days = made.model.jdsatepochF + minutes / 1440
    _, *states = made.model.sgp4_array(np.full(days.shape, made.model.jdsatepoch), days)
    pole = np.cross(*states)
    node = np.unwrap(np.arctan2(pole[:, 0], -pole[:, 1]))
    # Periodic terms of 1e-3 rad, half a turn of latitude apart, leave 1e-6 of the slope.
    slope = np.degrees(np.polyfit(minutes / 1440, node, 1)[0])
    assert slope == pytest.approx(SUN_DEG_PER_DAY, rel=1e-6)


def test_what_is_out_of_range_is_refused():
    good = {"epoch": START, "semi_major_axis_km": 7000.0, "inclination_deg": 53.0}
    for words, change in (
        ("semi_major_axis_km 6490.0 is outside 6498.1.* to 25000", {"semi_major_axis_km": 6490.0}),
        ("eccentricity 0.1 puts perigee at -78.1 km .* at most 0.07169", {"eccentricity": 0.1}),
        ("inclination_deg nan is outside 0 to 180", {"inclination_deg": nan}),
        ("raan_deg nan is not finite; give an angle in degrees", {"raan_deg": nan}),
        ("epoch 2026-08-22 00:00:00 has no time zone", {"epoch": datetime(2026, 8, 22)}),
    ):
        refused(words, orbit.keplerian_satellite, "k", **{**good, **change})
    assert 175 < orbit.sun_synchronous_inclination_deg(5975.0) < 180
    refused("altitude_km 5990.0 is too high", orbit.sun_synchronous_inclination_deg, 5990.0)
    for words, altitude_km, *notation in (
        ("satellites 25 is no multiple of planes 6", 780.0, 25, 6, 2),
        ("planes 0 is less than 1", 780.0, 24, 0, 2),
        ("phasing 6 is outside 0 to planes - 1; give 0 to 5", 780.0, 24, 6, 6),
        ("planes True is not a whole number; give an integer", 780.0, 24, True, 0),
    ):
        refused(words, orbit.walker_delta, altitude_km, 60.0, *notation, START)


@st.composite
def notations(draw):
    planes = draw(st.integers(1, 7))
    return planes * draw(st.integers(1, 6)), planes, draw(st.integers(0, planes - 1))


@given(notations(), st.sampled_from([360, 180]), st.floats(0, 359), st.floats(0, 359))
def test_planes_satellites_and_phasing_are_spread_as_walker_says(notation, spread, node, latitude):
    total, planes, phasing = notation
    pattern = orbit.Shell(spread, orbit.circular_axis_km(780.0), 60.0, *notation, node, latitude)
    made = pattern.satellites_at(START)
    delta = orbit.walker_delta(780.0, 60.0, *notation, START, node, latitude)
    assert spread != 360 or made == delta
    assert len(made) == total
    for number, satellite in enumerate(made):
        model, (plane, place) = satellite.model, divmod(number, total // planes)
        assert satellite.name == f"P{plane + 1:02d}-S{place + 1:02d}"
        wanted = node + spread * plane / planes
        assert cos(model.nodeo - radians(wanted)) == pytest.approx(1, abs=1e-12)
        wanted = latitude + 360 * place * planes / total + 360 * phasing * plane / total
        assert cos(model.argpo + model.mo - radians(wanted)) == pytest.approx(1, abs=1e-12)


@given(st.floats(160, 2000), st.floats(0, 180))
@settings(max_examples=30, deadline=None)
def test_the_flown_altitude_is_that_of_sgp4_at_the_node_and_on_the_mean(altitude_km, inclination):
    """The satellite begins at its node; by Skyfield, which asks the sgp4 library."""
    one = orbit.circular_satellite("S", altitude_km, inclination, 40.0, 0.0, START)
    flown = EarthSatellite.from_satrec(one.model, TIMESCALE)
    epoch = flown.epoch
    revolution_days = np.linspace(0.0, 2 * np.pi / one.model.no_kozai / 1440, 301)[:-1]
    when = TIMESCALE.tt_jd(epoch.whole, epoch.tt_fraction + np.append(0.0, revolution_days))
    heights_km = np.linalg.norm(flown.at(when).position.km, axis=0) - 6378.135
    expected = heights_km[0], heights_km[1:].mean()
    assert orbit.flown_altitudes_km(altitude_km, inclination) == pytest.approx(expected, abs=0.05)
