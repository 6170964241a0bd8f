"""Several shells in one scenario, and parts of them, against elements of published work."""

from datetime import UTC, datetime, timedelta
from math import pi, radians, sqrt, tau

import numpy as np
import pytest
from sgp4.api import WGS72, Satrec

import leomix
import orbit
import scenarios
import sim
from tests.kit.every_source import changed
from tests.kit.worlds import satellites_of
from tests.truth.skyfield_views import View

START = datetime(2026, 8, 22, tzinfo=UTC)
LOW = {"inclination_deg": 80, "satellites": 5, "planes": 5, "phasing": 1}
FEDSAT = [
    {"name": "low", "semi_major_axis_km": 6868.0880, **LOW},
    {"name": "high", "semi_major_axis_km": 8368.6104, **LOW, "raan_deg": 36},
]
WGS72_RADIUS_KM = 6378.135
NO_SHELL = dict.fromkeys(("altitude_km", "inclination_deg", "satellites", "planes"))


def satellites(**keys):
    return satellites_of(
        scenarios.from_dict(changed("walker", {f"orbit.{k}": v for k, v in keys.items()}))
    )


def by_hand(radius_km, plane, node_deg, inclination_deg=80):
    """As FedSat's authors do: Kepler's mean motion at that radius, called Kozai's."""
    model = Satrec()
    days = (START - datetime(1949, 12, 31, tzinfo=UTC)) / timedelta(days=1)
    motion = 60 * sqrt(398600.4418 / radius_km**3)
    angles = radians(inclination_deg), tau * plane / 5, motion, radians(node_deg + 72 * plane)
    model.sgp4init(WGS72, "i", 0, days, 0.0, 0.0, 0.0, 0.0, 0.0, *angles)
    return model


@pytest.mark.parametrize("latitude_deg", [53.10373, 90.0])
def test_visits_of_the_fedsat_constellation_are_those_of_its_own_elements(
    latitude_deg,
):
    made = satellites(**NO_SHELL, shells=FEDSAT)
    assert [satellite.name for satellite in made[::5]] == ["high-P01-S01", "low-P01-S01"]
    place = orbit.Site("Bremen", latitude_deg, 8.85132)
    end = START + timedelta(days=1)
    found = orbit.find_contacts(made, place, START, end, 10.0, "sgp4")
    visits = []
    for shell, radius_km, node_deg in (("low", 6871.0, 0.0), ("high", 8371.0, 36.0)):
        for plane in range(5):
            name = f"{shell}-P{plane + 1:02}-S01"
            known = orbit.Satellite(name, 0, START, by_hand(radius_km, plane, node_deg))
            seen = View(known, place, START, 86400.0).windows(10.0)
            visits += [(name, rise_s) for rise_s in seen.rise_s[~seen.clipped[0]].tolist()]
    assert len(visits) > 40
    rises = found[~found["clipped_start"]].sort_values(["satellite", "rise_utc"])
    expected, expected_s = zip(*sorted(visits), strict=True)
    assert rises["satellite"].tolist() == list(expected)
    found_s = (rises["rise_utc"] - START).dt.total_seconds().to_numpy()
    assert np.abs(found_s - expected_s).max() < 0.002


def test_fedisl_flies_where_its_authors_mean_motion_puts_it():
    """2000 km over a sphere of 6371 km, not over SGP4's; 8370.3 km is also what its windows fit."""
    known_km = by_hand(8371.0, 0, 0.0, 60).a * WGS72_RADIUS_KM
    for satellite in satellites_of(scenarios.load("fedisl")):
        axis_km = satellite.model.a * WGS72_RADIUS_KM
        assert axis_km == pytest.approx(known_km, abs=0.02)
        assert axis_km == pytest.approx(8370.3, abs=0.05)


@pytest.mark.parametrize("new", [1, 2, 5, 10])
def test_a_part_of_a_constellation_is_the_one_that_flystack_takes(new):
    """Its choose_sat_csv: every (10/new)-th plane and satellite, 10/new * (i + 1) from 1 on."""
    names = [f"{10 // new * (i + 1):02}" for i in range(new)]
    keys = {"satellites": 100, "planes": 10, "pattern": "star"}
    made = satellites(**keys, use={"planes": new, "satellites_per_plane": new})
    assert [satellite.name for satellite in made] == [f"P{p}-S{s}" for p in names for s in names]
    whole = {one.name: (one.plane, one.model.nodeo, one.model.mo) for one in satellites(**keys)}
    for one in made:
        assert (one.plane, one.model.nodeo, one.model.mo) == whole[one.name]


def test_shells_may_be_geostationary_and_in_parts():
    high = {"semi_major_axis_km": 42_164, "inclination_deg": 0, "satellites": 3, "planes": 1}
    low = {"altitude_km": 600, "inclination_deg": "sun-synchronous", "satellites": 8, "planes": 2}
    use = {"planes": 1, "satellites_per_plane": 2}
    made = satellites(**NO_SHELL, shells=[high, low], use=use)
    assert [made.name for made in made] == ["1-P01-S01", "1-P01-S03", "2-P02-S02", "2-P02-S04"]
    assert made[0].revolutions_per_day == pytest.approx(1.0027, abs=1e-3)
    assert made[1].model.mo - made[0].model.mo == pytest.approx(4 * pi / 3)
    assert made[3].model.mo - made[2].model.mo == pytest.approx(pi)


def test_a_run_over_shells_plans_with_all_of_them():
    keys = {"orbit.shells": FEDSAT, "orbit.use.planes": 3, "stop.days": 0.3}
    nothing = {f"orbit.{key}": None for key in NO_SHELL}
    found = leomix.plan(changed("walker", {**nothing, **keys})).contacts
    names = {f"{shell}-P{plane:02}-S01" for shell in ("low", "high") for plane in (1, 3, 5)}
    assert set(found.satellite) <= names
    assert {name.partition("-")[0] for name in found.satellite} == {"low", "high"}
    # There is memory for some thousand satellites, and the first look counts all of them.
    many = [{**LOW, "altitude_km": 600, "satellites": 10_000}, FEDSAT[1] | {"satellites": 10_000}]
    crowd = changed("walker", {**nothing, "orbit.shells": many, "stop.days": 36_525})
    with pytest.raises(sim.InputError, match="20000 satellites over 1 clusters"):
        leomix.plan(crowd)
