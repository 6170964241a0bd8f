"""Orbits made from scratch: Kepler's elements as SGP4 carries them, sun-synchrony, Walker."""

from datetime import UTC, datetime
from math import cos, degrees, nan, radians, sqrt, tau

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orbit
from tests.kit.skies import START

RADIUS_KM, MU_KM3_S2, J2, J3 = 6378.135, 398600.8, 0.001082616, 2.53881e-6
SUN_DEG_PER_DAY = 360 / 365.2422


def _states(satellite, minutes):
    """Positions and velocities (T, 3) at minutes since the epoch, by SGP4 itself."""
    model, days = satellite.model, np.asarray(minutes) / 1440
    whole = np.full(days.shape, model.jdsatepoch)
    error, position, velocity = model.sgp4_array(whole, model.jdsatepochF + days)
    assert not error.any()
    return position, velocity


@given(
    perigee_km=st.floats(121, 40000),
    eccentricity=st.just(0.0) | st.floats(0, 0.8),
    inclination_deg=st.floats(0, 180),
    angles=st.tuples(*[st.floats(-720, 720)] * 3),
)
def test_mean_elements_are_those_that_sgp4_starts_from(
    perigee_km, eccentricity, inclination_deg, angles
):
    axis_km = (RADIUS_KM + perigee_km) / (1 - eccentricity)
    made = orbit.keplerian_satellite(
        "k", START, semi_major_axis_km=axis_km, inclination_deg=inclination_deg,
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
    assert (made.norad_id, made.epoch, made.made) == (0, START, True)
    assert made.revolutions_per_day == pytest.approx(model.no_kozai * 1440 / tau)


@pytest.mark.parametrize("inclination_deg", [30.0, 53.0, 97.6])
def test_a_circular_orbit_stays_round_and_starts_where_it_was_put(inclination_deg):
    made = orbit.circular_satellite("c", 600.0, inclination_deg, 40.0, 70.0, START)
    alike = orbit.keplerian_satellite(
        "c", START, semi_major_axis_km=RADIUS_KM + 600, inclination_deg=inclination_deg,
        raan_deg=40.0, mean_anomaly_deg=70.0,
    )  # fmt: skip
    assert made == alike and made.model.sgp4_tsince(500.0) == alike.model.sgp4_tsince(500.0)
    position, velocity = _states(made, np.arange(0.0, 1440.0, 0.5))
    # Periodic terms of the radius (Spacetrack Report No. 3, section 6): J2 and long-period J3,
    # and one part in a hundred for their products.
    squared = cos(radians(inclination_deg)) ** 2
    j2_km = J2 * RADIUS_KM**2 / (RADIUS_KM + 600)
    j2_km *= 0.75 * abs(3 * squared - 1) + 0.25 * (1 - squared)
    bound_km = 1.01 * (j2_km + 0.5 * J3 / J2 * RADIUS_KM * sqrt(1 - squared))
    assert np.abs(np.linalg.norm(position, axis=1) - (RADIUS_KM + 600)).max() < bound_km
    pole = np.cross(position[0], velocity[0])
    pole /= np.linalg.norm(pole)
    node = np.cross([0, 0, 1], pole)
    across = np.dot(np.cross(node, position[0]), pole)
    along = degrees(np.arctan2(across, np.dot(node, position[0])))
    assert along == pytest.approx(70.0, abs=0.1)
    assert degrees(np.arctan2(node[1], node[0])) == pytest.approx(40.0, abs=0.1)
    assert degrees(np.arccos(pole[2])) == pytest.approx(inclination_deg, abs=0.1)


def test_an_ellipse_reaches_its_perigee_and_apogee():
    axis_km, eccentricity = 10000.0, 0.3
    made = orbit.keplerian_satellite(
        "k", START, semi_major_axis_km=axis_km, inclination_deg=63.4, eccentricity=eccentricity
    )
    position, _ = _states(made, np.linspace(0, 1440 / made.revolutions_per_day, 5000))
    radius = np.linalg.norm(position, axis=1)
    # The short-period terms of J2 move the radius by at most a few J2 RE^2 / p.
    slack_km = 3 * J2 * RADIUS_KM**2 / (axis_km * (1 - eccentricity**2))
    assert radius.min() == pytest.approx(axis_km * (1 - eccentricity), abs=slack_km)
    assert radius.max() == pytest.approx(axis_km * (1 + eccentricity), abs=slack_km)
    nearest = int(np.argmin(radius))
    assert min(nearest, 5000 - nearest) < 50


@pytest.mark.parametrize("epoch", [START, datetime(2026, 2, 28, 23, 59, 59, 250000, tzinfo=UTC)])
def test_an_epoch_is_kept_to_the_microsecond(epoch):
    made = orbit.circular_satellite("c", 600.0, 53.0, 10.0, 20.0, epoch)
    assert made.epoch == epoch
    days = (epoch - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / 86400
    since_2000 = made.model.jdsatepoch + made.model.jdsatepochF - 2451545.0
    assert since_2000 == pytest.approx(days, abs=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"semi_major_axis_km": 6490.0}, r"semi_major_axis_km 6490.0 is outside 6498.1.* to 25000"),
        ({"semi_major_axis_km": "7000"}, "semi_major_axis_km '7000' is not a number"),
        ({"eccentricity": 1.0}, "eccentricity 1.0 is outside 0 up to but not including 1"),
        ({"eccentricity": 0.1}, "eccentricity 0.1 puts perigee at -78.1 km altitude; keep it at "
         "120 km or more, with at most 0.07169"),
        ({"inclination_deg": nan}, "inclination_deg nan is outside 0 to 180"),
        ({"raan_deg": nan}, "raan_deg nan is not finite; give an angle in degrees"),
        ({"argument_of_perigee_deg": "10"}, "argument_of_perigee_deg '10' is not a number"),
        ({"mean_anomaly_deg": True}, "mean_anomaly_deg True is not a number"),
        ({"bstar": 1.5}, "bstar 1.5 is outside -1 to 1"),
        ({"epoch": datetime(2026, 8, 22)}, "epoch 2026-08-22 00:00:00 has no time zone"),
    ],
)  # fmt: skip
def test_mean_elements_out_of_range_are_refused(change, words):
    good = {"name": "k", "epoch": START, "semi_major_axis_km": 7000.0, "inclination_deg": 53.0}
    with pytest.raises(ValueError, match=words) as caught:
        orbit.keplerian_satellite(**{**good, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("altitude_km", [160.0, 550.0, 800.0, 1500.0])
def test_the_node_of_a_sun_synchronous_orbit_follows_the_mean_sun(altitude_km):
    inclination_deg = orbit.sun_synchronous_inclination_deg(altitude_km)
    made = orbit.circular_satellite("s", altitude_km, inclination_deg, 10.0, 0.0, START)
    minutes = np.arange(0.0, 30 * 1440.0, 3.0)
    pole = np.cross(*_states(made, minutes))
    node = np.unwrap(np.arctan2(pole[:, 0], -pole[:, 1]))
    # Periodic terms of 1e-3 rad, half a turn of latitude apart, leave 1e-6 of the slope.
    slope = np.degrees(np.polyfit(minutes / 1440, node, 1)[0])
    assert slope == pytest.approx(SUN_DEG_PER_DAY, rel=1e-6)


@given(st.floats(160, 2000))
def test_sun_synchronous_inclinations_agree_with_the_first_order_formula(altitude_km):
    inclination = radians(orbit.sun_synchronous_inclination_deg(altitude_km))
    axis_km = RADIUS_KM + altitude_km
    per_day = 86400 * sqrt(MU_KM3_S2 / axis_km**3)
    drift = degrees(-1.5 * J2 * (RADIUS_KM / axis_km) ** 2 * per_day * cos(inclination))
    # The formula leaves out J2 squared and J4: a third of a percent in LEO.
    assert SUN_DEG_PER_DAY < drift < SUN_DEG_PER_DAY * 1.004


def test_no_orbit_is_sun_synchronous_too_high_up():
    assert 175 < orbit.sun_synchronous_inclination_deg(5975.0) < 180
    for altitude_km, words in (
        (5990.0, "altitude_km 5990.0 is too high for a sun-synchronous orbit"),
        (159.0, "altitude_km 159.0 is outside 160 to 6000"),
    ):
        with pytest.raises(ValueError, match=words):
            orbit.sun_synchronous_inclination_deg(altitude_km)


# Walker's constellations.


@st.composite
def notations(draw):
    planes = draw(st.integers(1, 7))
    return planes * draw(st.integers(1, 6)), planes, draw(st.integers(0, planes - 1))


def _turn_deg(angle, other_deg):
    """The difference of two angles, between -180 and 180 degrees."""
    return (np.degrees(angle) - other_deg + 180) % 360 - 180


@given(notations(), st.sampled_from([360, 180]), st.floats(0, 359), st.floats(0, 359))
def test_planes_satellites_and_phasing_are_spread_as_walker_says(notation, spread, node, latitude):
    total, planes, phasing = notation
    make = orbit.walker_delta if spread == 360 else orbit.walker_star
    made = make(780.0, 60.0, *notation, START, node, latitude)
    assert len({satellite.name for satellite in made}) == len(made) == total
    for number, satellite in enumerate(made):
        model, (plane, place) = satellite.model, divmod(number, total // planes)
        wanted = node + spread * plane / planes
        assert _turn_deg(model.nodeo, wanted) == pytest.approx(0, abs=1e-9)
        wanted = latitude + 360 * place * planes / total + 360 * phasing * plane / total
        assert _turn_deg(model.argpo + model.mo, wanted) == pytest.approx(0, abs=1e-9)


@given(notations(), st.floats(0, 2000))
def test_a_delta_looks_the_same_from_every_plane(notation, minutes):
    """Turned by one plane's node it is the pattern whose satellites are f/t of a turn behind."""
    total, planes, phasing = notation
    turn = 2 * np.pi / planes
    to_the_next_plane = np.array(
        [[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    )
    here, behind = (
        np.array([_states(satellite, [minutes])[0][0] for satellite in made])
        for made in (
            orbit.walker_delta(1000.0, 53.0, *notation, START),
            orbit.walker_delta(1000.0, 53.0, *notation, START, 0.0, -360 * phasing / total),
        )
    )
    apart_km = np.linalg.norm((here @ to_the_next_plane)[:, None] - behind[None], axis=2)
    assert max(apart_km.min(axis=0).max(), apart_km.min(axis=1).max()) < 1e-6


def test_a_star_has_neighbours_that_move_alike_and_one_seam():
    firsts = orbit.walker_star(780.0, 90.0, 66, 6, 3, START)[::11]
    poles = np.array([np.cross(*_states(satellite, [0.0]))[0] for satellite in firsts])
    poles /= np.linalg.norm(poles, axis=1)[:, None]
    cosines = np.sum(poles * np.roll(poles, -1, axis=0), axis=1)
    # 30 deg between planes; the last and the first are 150 deg apart, so they pass each other.
    np.testing.assert_allclose(np.degrees(np.arccos(cosines)), [30] * 5 + [150], atol=0.05)


def test_names_count_planes_and_places():
    names = [s.name for s in orbit.walker_delta(550.0, 53.0, 6, 3, 1, START)]
    assert names == ["P01-S01", "P01-S02", "P02-S01", "P02-S02", "P03-S01", "P03-S02"]
    shell = orbit.walker_delta(550.0, 53.0, 120, 1, 0, START)
    assert (shell[0].name, shell[-1].name) == ("P01-S001", "P01-S120")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"satellites": 25}, "satellites 25 is no multiple of planes 6"),
        ({"satellites": 0}, "satellites 0 is no multiple of planes 6"),
        ({"planes": 0}, "planes 0 is less than 1"),
        ({"phasing": 6}, "phasing 6 is outside 0 to planes - 1; give 0 to 5"),
        ({"phasing": -1}, "phasing -1 is outside"),
        ({"satellites": 24.0}, r"satellites 24\.0 is not a whole number"),
        ({"planes": True, "phasing": 0}, "planes True is not a whole number; give an integer"),
        ({"altitude_km": 100.0}, "altitude_km 100.0 is outside 160 to 2000"),
        ({"raan_deg": "10"}, "raan_deg '10' is not a number; give an angle in degrees"),
        ({"argument_of_latitude_deg": nan}, "argument_of_latitude_deg nan is not finite"),
    ],
)
def test_impossible_constellations_are_refused(change, words):
    good = {
        "altitude_km": 780.0, "inclination_deg": 60.0, "satellites": 24, "planes": 6,
        "phasing": 2, "epoch": START,
    }  # fmt: skip
    for make in (orbit.walker_delta, orbit.walker_star):
        with pytest.raises(ValueError, match=words):
            make(**{**good, **change})
