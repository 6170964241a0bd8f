"""Planes told from elements: those that Walker patterns were made with, and of real fleets."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from sgp4.api import WGS72, Satrec
from sgp4.conveniences import jday_datetime

import orbit
from tests.kit.skies import START, element_file


def forgotten(made, days):
    """The same orbit by elements of a later epoch, without its plane: nodes have moved on."""
    old = made.model
    since_min = days * 1440
    node = old.nodeo + old.nodedot * since_min
    since_1949 = (START + timedelta(days=days)).timestamp() / 86400 + 7306.0
    model = Satrec()
    model.sgp4init(
        WGS72, "i", 1, since_1949, 0.0, 0.0, 0.0, old.ecco, 0.0, old.inclo, 0.3, old.no_kozai, node
    )  # fmt: skip
    return replace(orbit.Satellite.of_model(made.name, model), made=False)


def test_planes_are_those_that_a_walker_pattern_was_made_of():
    star = orbit.Shell(180, orbit.circular_axis_km(600), 86.4, 66, 6, 2, raan_deg=300)
    made = star.satellites_at(START)
    days = np.random.default_rng(1).uniform(0, 60, len(made))
    told = orbit.planes([forgotten(*each) for each in zip(made, days, strict=True)])
    pairs = {(one.plane, plane) for one, plane in zip(made, told, strict=True)}
    assert len(pairs) == 6 == len({plane for _, plane in pairs})
    assert orbit.planes(made) == [one.plane for one in made]
    # By the epochs' own nodes, which two months move by 23 degrees, nothing can be told.
    stale = [replace(one, epoch=START, plane="") for one in map(forgotten, made, days)]
    with pytest.raises(ValueError, match="66 satellites cannot be told from the elements"):
        orbit.planes(stale)


@pytest.mark.parametrize(("name", "many"), [("iridium-NEXT", 6), ("gps-ops", 6)])
def test_planes_of_real_fleets_are_those_of_their_angular_momentum(name, many):
    fleet = orbit.read_satellites(element_file(f"earth2026_{name}.tle"))
    fleet = [one for one in fleet if one.revolutions_per_day < 14.5]  # the others are coming down
    told = np.array(orbit.planes(fleet))
    assert len(set(told)) == many and min(np.unique(told, return_counts=True)[1]) > 4
    now = jday_datetime(max(one.epoch for one in fleet))
    states = [one.model.sgp4(*now)[1:] for one in fleet]
    momentum = np.array([np.cross(*state) for state in states])
    momentum /= np.linalg.norm(momentum, axis=1)[:, None]
    angle_deg = np.degrees(np.arccos(np.clip(momentum @ momentum.T, -1, 1)))
    same = told[:, None] == told
    assert angle_deg[~same].min() > 3 * angle_deg[same].max()


def test_planes_that_are_not_clear_are_not_told():
    def at(*nodes_deg):
        shells = [orbit.walker_delta(600, 60, 1, 1, 0, START, raan_deg=node) for node in nodes_deg]
        return [replace(one, plane="") for shell in shells for one in shell]

    assert orbit.planes(at(10)) == ["P01"] and orbit.planes(at(120, 0, 120.2)) == [
        *("P02", "P01", "P02")
    ]
    with pytest.raises(ValueError, match="there may be 2 or 1"):
        orbit.planes(at(0, 5))
    with pytest.raises(ValueError, match="they lie too close to each other"):
        orbit.planes(at(*range(0, 360, 1)))
