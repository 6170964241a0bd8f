"""Orbits made from scratch: mean elements as SGP4 carries them, and sun-synchronous circles."""

from datetime import UTC, datetime
from math import cos, degrees, nan, radians, sqrt, tau

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orbit

EPOCH = datetime(2026, 8, 22, 12, tzinfo=UTC)
RADIUS_KM, MU_KM3_S2, J2, J3 = 6378.135, 398600.8, 0.001082616, 2.53881e-6
SUN_DEG_PER_DAY = 360 / 365.2422


@given(
    altitude_km=st.floats(160, 2000),
    inclination_deg=st.floats(0, 180),
    raan_deg=st.floats(-720, 720),
    latitude_deg=st.floats(-720, 720),
)
def test_a_circular_orbit_has_the_brouwer_axis_and_keplers_motion_asked_for(
    altitude_km, inclination_deg, raan_deg, latitude_deg
):
    made = orbit.circular_satellite(
        "c", altitude_km, inclination_deg, raan_deg, latitude_deg, EPOCH
    )
    axis_km = RADIUS_KM + altitude_km
    assert made.model.sgp4_tsince(0.0)[0] == 0
    assert made.model.a * RADIUS_KM == pytest.approx(axis_km, abs=1e-6)
    assert made.model.nm == pytest.approx(60 * sqrt(MU_KM3_S2 / axis_km**3), rel=1e-12)
    assert (made.norad_id, made.model.bstar, made.epoch) == (0, 0.0, EPOCH)


@pytest.mark.parametrize("inclination_deg", [30.0, 53.0, 97.6])
def test_a_circular_orbit_stays_round_and_starts_where_it_was_put(inclination_deg):
    made = orbit.circular_satellite("c", 600.0, inclination_deg, 40.0, 70.0, EPOCH)
    minutes = np.arange(0.0, 1440.0, 0.5)
    day = 2461274.5
    _, position, velocity = made.model.sgp4_array(np.full(minutes.shape, day), 0.5 + minutes / 1440)
    # Periodic terms of the radius (Spacetrack Report No. 3, section 6): J2 and long-period J3,
    # and one part in a hundred for their products.
    squared = cos(radians(inclination_deg)) ** 2
    j2_km = J2 * RADIUS_KM**2 / (RADIUS_KM + 600)
    j2_km *= 0.75 * abs(3 * squared - 1) + 0.25 * (1 - squared)
    bound_km = 1.01 * (j2_km + 0.5 * J3 / J2 * RADIUS_KM * sqrt(1 - squared))
    assert np.abs(np.linalg.norm(position, axis=1) - (RADIUS_KM + 600)).max() < bound_km
    pole = np.cross(position[0], velocity[0])
    node = np.cross([0, 0, 1], pole)
    along = np.degrees(
        np.arctan2(
            np.dot(np.cross(node, position[0]), pole) / np.linalg.norm(pole),
            np.dot(node, position[0]),
        )
    )
    assert along == pytest.approx(70.0, abs=0.1)
    assert np.degrees(np.arctan2(node[1], node[0])) == pytest.approx(40.0, abs=0.1)
    assert degrees(np.arccos(pole[2] / np.linalg.norm(pole))) == pytest.approx(
        inclination_deg, abs=0.1
    )


def test_the_node_drifts_as_the_first_order_theory_says():
    made = orbit.circular_satellite("c", 700.0, 98.0, 0.0, 0.0, EPOCH)
    axis_km = RADIUS_KM + 700
    motion = sqrt(MU_KM3_S2 / axis_km**3)
    drift = -1.5 * J2 * (RADIUS_KM / axis_km) ** 2 * motion * cos(radians(98.0))
    assert made.model.nodedot / 60 == pytest.approx(drift, rel=5e-3)


def test_an_epoch_is_kept_to_the_microsecond_across_time_zones(sites):
    epoch = datetime(2026, 2, 28, 23, 59, 59, 250000, tzinfo=UTC)
    made = orbit.circular_satellite("c", 600.0, 53.0, 10.0, 20.0, epoch)
    noon = orbit.circular_satellite("c", 600.0, 53.0, 10.0, 20.0, EPOCH)
    assert made.epoch == epoch
    for satellite, when in ((made, epoch), (noon, EPOCH)):
        whole = satellite.model.jdsatepoch + satellite.model.jdsatepochF
        days = (when - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / 86400
        assert whole - 2451545.0 == pytest.approx(days, abs=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"altitude_km": 159.9}, "altitude_km 159.9"),
        ({"altitude_km": nan}, "altitude_km nan"),
        ({"inclination_deg": 180.5}, "inclination_deg 180.5"),
        ({"raan_deg": float("inf")}, "raan_deg inf"),
        ({"argument_of_latitude_deg": nan}, "argument_of_latitude_deg nan"),
        ({"epoch": datetime(2026, 8, 22)}, "epoch 2026-08-22 00:00:00 has no time zone"),
    ],
)
def test_orbits_out_of_range_are_refused(change, words):
    good = {
        "name": "c", "altitude_km": 600.0, "inclination_deg": 53.0, "raan_deg": 0.0,
        "argument_of_latitude_deg": 0.0, "epoch": EPOCH,
    }  # fmt: skip
    with pytest.raises(ValueError, match=words):
        orbit.circular_satellite(**{**good, **change})


@given(
    perigee_km=st.floats(121, 40000),
    eccentricity=st.floats(0, 0.8),
    inclination_deg=st.floats(0, 180),
    angles=st.tuples(*[st.floats(-720, 720)] * 3),
)
def test_mean_elements_are_those_that_sgp4_starts_from(
    perigee_km, eccentricity, inclination_deg, angles
):
    axis_km = (RADIUS_KM + perigee_km) / (1 - eccentricity)
    made = orbit.keplerian_satellite(
        "k",
        EPOCH,
        semi_major_axis_km=axis_km,
        inclination_deg=inclination_deg,
        eccentricity=eccentricity,
        raan_deg=angles[0],
        argument_of_perigee_deg=angles[1],
        mean_anomaly_deg=angles[2],
        bstar=1e-5,
    )
    model = made.model
    assert model.sgp4_tsince(0.0)[0] == 0
    assert model.a * RADIUS_KM == pytest.approx(axis_km, rel=1e-12)
    assert (model.ecco, model.inclo, model.bstar) == (eccentricity, radians(inclination_deg), 1e-5)
    for given_deg, kept in zip(angles, (model.nodeo, model.argpo, model.mo), strict=True):
        assert cos(kept - radians(given_deg)) == pytest.approx(1, abs=1e-12)
    assert (made.norad_id, made.epoch) == (0, EPOCH)
    assert made.revolutions_per_day == pytest.approx(model.no_kozai * 1440 / tau)


def test_an_ellipse_reaches_its_perigee_and_apogee():
    axis_km, eccentricity = 10000.0, 0.3
    made = orbit.keplerian_satellite(
        "k", EPOCH, semi_major_axis_km=axis_km, inclination_deg=63.4, eccentricity=eccentricity
    )
    minutes = np.linspace(0, 1440 / made.revolutions_per_day, 5000)
    day = np.full(minutes.shape, made.model.jdsatepoch)
    _, position, _ = made.model.sgp4_array(day, made.model.jdsatepochF + minutes / 1440)
    radius = np.linalg.norm(position, axis=1)
    # The short-period terms of J2 move the radius by at most a few J2 RE^2 / p.
    slack_km = 3 * J2 * RADIUS_KM**2 / (axis_km * (1 - eccentricity**2))
    assert radius.min() == pytest.approx(axis_km * (1 - eccentricity), abs=slack_km)
    assert radius.max() == pytest.approx(axis_km * (1 + eccentricity), abs=slack_km)
    nearest = int(np.argmin(radius))
    assert min(nearest, 5000 - nearest) < 50


def test_a_circle_is_the_ellipse_without_eccentricity():
    circle = orbit.circular_satellite("c", 550.0, 53.0, 10.0, 20.0, EPOCH)
    ellipse = orbit.keplerian_satellite(
        "c",
        EPOCH,
        semi_major_axis_km=RADIUS_KM + 550.0,
        inclination_deg=53.0,
        raan_deg=10.0,
        mean_anomaly_deg=20.0,
    )
    assert circle == ellipse
    assert circle.model.sgp4_tsince(500.0) == ellipse.model.sgp4_tsince(500.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"semi_major_axis_km": 6490.0},
            r"semi_major_axis_km 6490.0 is outside 6498.1.* to 250000",
        ),
        ({"semi_major_axis_km": 3e5}, "semi_major_axis_km 300000.0"),
        ({"eccentricity": -0.1}, "eccentricity -0.1"),
        ({"eccentricity": 1.0}, "eccentricity 1.0 is outside 0 up to but not including 1"),
        (
            {"eccentricity": 0.1},
            "eccentricity 0.1 puts perigee at -78.1 km altitude; keep it at 120 km or more, "
            "with at most 0.07169",
        ),
        ({"inclination_deg": nan}, "inclination_deg nan"),
        ({"raan_deg": nan}, "raan_deg nan"),
        ({"argument_of_perigee_deg": nan}, "argument_of_perigee_deg nan"),
        ({"mean_anomaly_deg": nan}, "mean_anomaly_deg nan"),
        ({"bstar": 1.5}, "bstar 1.5 is outside -1 to 1"),
        ({"bstar": nan}, "bstar nan"),
        ({"inclination_deg": None}, "inclination_deg None is not a number; give one from 0 to 180"),
        ({"semi_major_axis_km": "7000"}, "semi_major_axis_km '7000' is not a number"),
        ({"raan_deg": "10"}, "raan_deg '10' is not a number; give an angle in degrees"),
        ({"mean_anomaly_deg": True}, "mean_anomaly_deg True is not a number"),
        ({"epoch": datetime(2026, 8, 22)}, "epoch 2026-08-22 00:00:00 has no time zone"),
    ],
)
def test_mean_elements_out_of_range_are_refused(change, words):
    good = {"name": "k", "epoch": EPOCH, "semi_major_axis_km": 7000.0, "inclination_deg": 53.0}
    with pytest.raises(ValueError, match=words) as caught:
        orbit.keplerian_satellite(**{**good, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("altitude_km", [160.0, 550.0, 800.0, 1500.0])
def test_the_node_of_a_sun_synchronous_orbit_follows_the_mean_sun(altitude_km):
    inclination_deg = orbit.sun_synchronous_inclination_deg(altitude_km)
    made = orbit.circular_satellite("s", altitude_km, inclination_deg, 10.0, 0.0, EPOCH)
    minutes = np.arange(0.0, 30 * 1440.0)
    days = made.model.jdsatepochF + minutes / 1440
    _, position, velocity = made.model.sgp4_array(np.full(days.shape, made.model.jdsatepoch), days)
    pole = np.cross(position, velocity)
    node = np.unwrap(np.arctan2(pole[:, 0], -pole[:, 1]))
    # Periodic terms of 1e-3 rad, half a turn of latitude apart, leave 1e-6 of the slope.
    slope = np.degrees(np.polyfit(minutes / 1440, node, 1)[0])
    assert slope == pytest.approx(SUN_DEG_PER_DAY, rel=1e-6)


@given(st.floats(160, 2000))
def test_sun_synchronous_inclinations_agree_with_the_first_order_formula(altitude_km):
    inclination = radians(orbit.sun_synchronous_inclination_deg(altitude_km))
    axis_km = RADIUS_KM + altitude_km
    per_day = 86400 * sqrt(MU_KM3_S2 / axis_km**3)
    drift = -1.5 * J2 * (RADIUS_KM / axis_km) ** 2 * per_day * cos(inclination)
    # The formula leaves out J2 squared and J4: a third of a percent in LEO.
    assert degrees(drift) == pytest.approx(SUN_DEG_PER_DAY, rel=4e-3)
    assert degrees(drift) > SUN_DEG_PER_DAY


def test_no_orbit_is_sun_synchronous_too_high_up():
    assert 175 < orbit.sun_synchronous_inclination_deg(5975.0) < 180
    for altitude_km, words in (
        (5990.0, "altitude_km 5990.0 is too high for a sun-synchronous orbit"),
        (159.0, "altitude_km 159.0 is outside 160 to 6000"),
        (nan, "altitude_km nan"),
        ("600", "altitude_km '600' is not a number; give one from 160 to 6000"),
    ):
        with pytest.raises(ValueError, match=words):
            orbit.sun_synchronous_inclination_deg(altitude_km)
