"""Walker constellations: their relative geometry, against Walker's own definition."""

from datetime import UTC, datetime
from math import nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orbit

EPOCH = datetime(2026, 8, 22, 12, tzinfo=UTC)


def _positions(satellites, minutes):
    found = [satellite.model.sgp4_tsince(minutes) for satellite in satellites]
    assert all(error == 0 for error, _, _ in found)
    return np.array([position for _, position, _ in found])


def _turn_deg(angle, other):
    """The difference of two angles in degrees, between -180 and 180."""
    return (np.degrees(angle) - np.degrees(other) + 180) % 360 - 180


@st.composite
def _notations(draw):
    planes = draw(st.integers(1, 7))
    return planes * draw(st.integers(1, 6)), planes, draw(st.integers(0, planes - 1))


@given(_notations(), st.sampled_from([360, 180]), st.floats(0, 359), st.floats(0, 359))
@settings(max_examples=40)
def test_planes_satellites_and_phasing_are_spread_as_walker_says(notation, spread, node, latitude):
    total, planes, phasing = notation
    make = orbit.walker_delta if spread == 360 else orbit.walker_star
    made = make(780.0, 60.0, total, planes, phasing, EPOCH, node, latitude)
    assert len({satellite.name for satellite in made}) == len(made) == total
    each = total // planes
    for number, satellite in enumerate(made):
        plane, place = divmod(number, each)
        wanted = node + spread * plane / planes
        assert _turn_deg(satellite.model.nodeo, np.radians(wanted)) == pytest.approx(0, abs=1e-9)
        wanted = latitude + 360 * place / each + 360 * phasing * plane / total
        along = satellite.model.argpo + satellite.model.mo
        assert _turn_deg(along, np.radians(wanted)) == pytest.approx(0, abs=1e-9)


@given(_notations(), st.floats(0, 2000))
@settings(max_examples=30)
def test_a_delta_looks_the_same_from_every_plane(notation, minutes):
    """Turned by one plane's node it is the pattern whose satellites are f/t of a turn behind."""
    total, planes, phasing = notation
    turn = 2 * np.pi / planes
    to_the_next_plane = np.array(
        [[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    )
    here = orbit.walker_delta(1000.0, 53.0, *notation, EPOCH)
    behind = orbit.walker_delta(1000.0, 53.0, *notation, EPOCH, 0.0, -360 * phasing / total)
    turned = _positions(here, minutes) @ to_the_next_plane
    apart_km = np.linalg.norm(turned[:, None] - _positions(behind, minutes)[None], axis=2)
    assert apart_km.min(axis=0).max() < 1e-6
    assert apart_km.min(axis=1).max() < 1e-6


def test_a_star_has_neighbours_that_move_alike_and_one_seam():
    made = orbit.walker_star(780.0, 90.0, 66, 6, 3, EPOCH)
    firsts = made[::11]
    poles = []
    for satellite in firsts:
        _, position, velocity = satellite.model.sgp4_tsince(0.0)
        pole = np.cross(position, velocity)
        poles.append(pole / np.linalg.norm(pole))
    angles = [
        np.degrees(np.arccos(np.clip(np.dot(poles[k], poles[(k + 1) % 6]), -1, 1)))
        for k in range(6)
    ]
    # 30 deg between planes; the last and the first are 150 deg apart, so they pass each other.
    np.testing.assert_allclose(angles, [30, 30, 30, 30, 30, 150], atol=0.05)


def test_names_count_planes_and_places():
    names = [s.name for s in orbit.walker_delta(550.0, 53.0, 6, 3, 1, EPOCH)]
    assert names == ["P01-S01", "P01-S02", "P02-S01", "P02-S02", "P03-S01", "P03-S02"]
    shell = orbit.walker_delta(550.0, 53.0, 120, 1, 0, EPOCH)
    assert (shell[0].name, shell[-1].name) == ("P01-S001", "P01-S120")


@pytest.mark.parametrize("make", [orbit.walker_delta, orbit.walker_star])
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
        ({"phasing": False}, "phasing False is not a whole number"),
        ({"satellites": "24"}, "satellites '24' is not a whole number"),
        ({"altitude_km": "780"}, "altitude_km '780' is not a number; give one from 160 to 2000"),
        ({"raan_deg": "10"}, "raan_deg '10' is not a number; give an angle in degrees"),
        ({"argument_of_latitude_deg": None}, "argument_of_latitude_deg None is not a number"),
        ({"altitude_km": 100.0}, "altitude_km 100.0 is outside 160 to 2000"),
        ({"inclination_deg": 181.0}, "inclination_deg 181.0"),
        ({"raan_deg": nan}, "raan_deg nan"),
        ({"argument_of_latitude_deg": nan}, "argument_of_latitude_deg nan"),
        ({"epoch": datetime(2026, 8, 22)}, "has no time zone"),
    ],
)
def test_impossible_constellations_are_refused(make, change, words):
    good = {
        "altitude_km": 780.0, "inclination_deg": 60.0, "satellites": 24, "planes": 6,
        "phasing": 2, "epoch": EPOCH,
    }  # fmt: skip
    with pytest.raises(ValueError, match=words):
        make(**{**good, **change})
