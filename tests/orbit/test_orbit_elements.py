"""Sites, and circular satellites whose mean orbit is what was asked for."""

from datetime import UTC, datetime
from math import cos, degrees, nan, radians, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orbit

EPOCH = datetime(2026, 8, 22, 12, tzinfo=UTC)
RADIUS_KM, MU_KM3_S2, J2, J3 = 6378.135, 398600.8, 0.001082616, 2.53881e-6


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


def test_the_representation_of_a_satellite_is_one_line():
    made = orbit.circular_satellite("Paul", 600.0, 53.0, 10.0, 20.0, EPOCH)
    assert repr(made) == "Satellite('Paul', norad_id=0, epoch=2026-08-22T12:00:00Z)"


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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"latitude_deg": 90.1}, "latitude_deg 90.1"),
        ({"longitude_deg": 360.0}, "longitude_deg 360.0"),
        ({"longitude_deg": -180.1}, "longitude_deg -180.1"),
        ({"altitude_m": 9001.0}, "altitude_m 9001.0"),
        ({"altitude_m": nan}, "altitude_m nan"),
        ({"min_elevation_deg": 90.0}, "min_elevation_deg 90.0"),
        ({"min_elevation_deg": -0.1}, "min_elevation_deg -0.1"),
    ],
)
def test_sites_out_of_range_are_refused_by_name(change, words):
    with pytest.raises(ValueError, match=f"site 'here': {words}"):
        orbit.Site(**{"name": "here", "latitude_deg": 0.0, "longitude_deg": 0.0, **change})


def test_one_turn_of_longitude_is_the_same_place(satellites, start):
    west, east = orbit.Site("w", 10.0, -20.0), orbit.Site("e", 10.0, 340.0)
    seen = orbit.look_angles(satellites[5], [west, east], start, np.arange(0.0, 6000.0, 60.0))
    np.testing.assert_allclose(seen.slant_range_km[:, 0], seen.slant_range_km[:, 1], atol=1e-8)
