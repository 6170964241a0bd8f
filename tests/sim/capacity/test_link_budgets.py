"""``leomix link``: of which satellite, height and place a budget is."""

import json
import math
import re

import pandas
import pytest
from scipy.interpolate import CubicSpline

import scenarios
from tests.kit.worlds import budget, one_pass

SHELLS = [
    {"name": "a", "altitude_km": 550, "inclination_deg": 53, "satellites": 6, "planes": 2},
    {"name": "b", "altitude_km": 1200, "inclination_deg": 80, "satellites": 6, "planes": 2},
]
ECCENTRIC = {"source": "keplerian", "semi_major_axis_km": 26600, "eccentricity": 0.7}
BUDGETS = {
    "two shells": (
        {"source": "walker", "shells": SHELLS},
        [("a-P01-S01", 550), ("b-P01-S01", 1200)],
    ),
    "perigee and apogee": (
        ECCENTRIC | {"inclination_deg": 63.4},
        [("keplerian", 26600 * 0.3 - 6378), ("keplerian", 26600 * 1.7 - 6378)],
    ),
    "lowest and highest": (
        {
            "source": "walker",
            "shells": [
                SHELLS[0] | {"name": str(km), "altitude_km": km} for km in range(400, 1601, 200)
            ],
        },
        [("400-P01-S01", 400), ("1600-P02-S03", 1600)],
    ),
    "one height": (
        {"source": "circular", "altitude_km": 600, "inclination_deg": 97.8},
        [("", 600)],
    ),
}


@pytest.mark.parametrize("case", BUDGETS)
def test_a_budget_says_of_which_satellite_height_and_place_it_is(case, leomix, tmp_path):
    orbit, expected = BUDGETS[case]
    said = {"description": "heights", "start": "2026-08-22T12:00:00Z", "stop": {"days": 1}}
    said |= {"orbit": orbit, "ground": {"clusters": [{"name": "Y", "latitude_deg": 48}]}}
    said["ground"]["clusters"][0]["longitude_deg"] = 11
    said |= {"compute": {"seconds_per_round": 60}, "learning": {"method": "fedavg"}}
    (tmp_path / "mine.yaml").write_text(json.dumps(said))
    done = leomix("link", tmp_path / "mine.yaml", "-o", tmp_path / "budget.csv")
    table = pandas.read_csv(tmp_path / "budget.csv")
    overhead = table[table.elevation_deg == 90]
    assert len(overhead) == len(expected)
    for (name, km), row in zip(expected, overhead.itertuples(), strict=True):
        assert row.satellite.startswith(name) and row.place == "Y"
        # At 48 degrees the ellipsoid is 11.8 km nearer to the centre than the equator; J2 and J3
        # move a circular orbit by up to 10 km.
        assert row.slant_range_km == pytest.approx(km + 11.8, abs=10)
        assert row.slant_range_km == pytest.approx(row.altitude_km, abs=1e-6)
        assert f"at a height of {row.altitude_km:.0f} km, over Y" in done.out
        loss_db = 20 * math.log10(4 * math.pi * row.slant_range_km * 1e3 * 2e9 / 299792458)
        assert row.free_space_path_loss_db == pytest.approx(loss_db, abs=0.001)


STATIONS = {
    "Svalbard": (78.23, 15.39, 450),
    "Troll": (-72.01, 2.53, 1270),
    "Munich": (48.1, 11.5, 520),
    "Quito": (-0.2, -78.5, 2850),
}


@pytest.mark.parametrize("name", STATIONS)
def test_ranges_by_elevation_are_those_of_passes_over_the_place(name):
    """Of passes as they are, over the ellipsoid and along SGP4's orbit, which no sphere is."""
    place = dict(zip(("latitude_deg", "longitude_deg", "altitude_m"), STATIONS[name], strict=True))
    flown = {"source": "walker", "altitude_km": 550, "inclination_deg": 97.6, "satellites": 12}
    link = {"preset": "station", "station": {"dish_m": 13, "band": "X", "uplink_band": "S"}}
    said = {"description": "a station", "start": "2026-08-22T00:00:00Z", "stop": {"days": 0.5}}
    said |= {"roles": {"server": "stations", "clients": "satellites"}, "link": link}
    said |= {"orbit": flown | {"planes": 3, "phasing": 1, "min_elevation_deg": 10}}
    said |= {"ground": {"stations": [{"name": name} | place]}}
    said |= {"compute": {"seconds_per_round": 60}, "learning": {"method": "fedavg"}}
    scenario = scenarios.from_dict(said)
    [table] = budget(scenario)
    by_elevation = table.tables["downlink"]
    assert table.altitude_km == pytest.approx(
        by_elevation["slant_range_km"][-1] + place["altitude_m"] / 1e3, abs=1e-9
    )
    off_db = []
    for number in range(8):
        seen = one_pass(scenario, number).tables["downlink"]
        rising = seen["time_s"] <= seen["time_s"][seen["elevation_deg"].argmax()]
        at_deg = seen["elevation_deg"][rising]
        if len(at_deg) < 6:
            continue
        c_over_n0_dbhz = CubicSpline(at_deg, seen["c_over_n0_dbhz"][rising])
        for elevation_deg, dbhz in zip(
            by_elevation["elevation_deg"], by_elevation["c_over_n0_dbhz"], strict=True
        ):
            if at_deg[0] - 1e-6 <= elevation_deg <= at_deg[-1]:  # the mask, to rounding
                off_db.append(dbhz - c_over_n0_dbhz(elevation_deg))
    assert len(off_db) >= 8
    # The elevation is above the normal of the ellipsoid, so that it depends on the azimuth too.
    assert max(map(abs, off_db)) < 0.05
    assert abs(sum(off_db)) / len(off_db) < 0.03


def test_a_pass_has_the_terms_of_the_table_and_the_mode_that_is_used(leomix, tmp_path):
    rate = ("--set", "link.uplink.rate=modcod", "--set", "link.uplink.tx_power_dbm=33")
    leomix("link", "plain-fedavg", *rate, "--contact", 3, "-o", tmp_path / "pass.csv")
    table = pandas.read_csv(tmp_path / "pass.csv")
    assert table.modcod.nunique() > 3
    terms = ("free_space_path_loss", "atmospheric_loss", "scintillation_loss")
    names = [f"{term}_db" for term in (*terms, "shadowing_margin", "other_losses")]
    assert table[names].sum(axis=1).to_numpy() == pytest.approx(table.path_loss_db, abs=1e-9)
    boltzmann_db = 10 * math.log10(1.380649e-23)
    sum_db = table.eirp_dbw + table.g_over_t_db_k - table.path_loss_db - boltzmann_db
    assert table.c_over_n0_dbhz.to_numpy() == pytest.approx(sum_db, abs=1e-9)
    # The margin is to the lowest mode; to that of a better one it is less.
    lowest = table.modcod.isin(["none", "QPSK 1/4"])
    assert ((table.modcod_margin_db < table.margin_db) == ~lowest).all()
    assert (table.groupby("modcod").rate_mbps.nunique() == 1).all()


def test_the_air_is_named_where_each_place_has_its_own(leomix):
    itu = ("--set", "link.uplink.atmosphere=itu", "--set", "link.uplink.exceedance_pct=1")
    done = leomix("link", "plain-fedavg", *itu)
    if done.status:
        pytest.skip("itur is not installed: pip install leomix[itu]")
    about = done.out.splitlines()[1]
    assert about.endswith(
        "over Munich with the air there (not that of Nairobi, Osaka and Sao Paulo)"
    )


def test_the_budget_of_a_station_is_that_of_a_network_with_this_station_alone(leomix):
    shown = leomix("link", "three-stations", "--station", "Matera").out
    assert "over Matera with the air there (not that of Dongara and Singapore)" in shown
    rows = [line for line in shown.splitlines() if line.startswith(("20.00", "90.00"))]
    station = "{name: Matera, latitude_deg: 40.65, longitude_deg: 16.70, altitude_m: 490}"
    alone = leomix("link", "three-stations", "--set", f"ground.stations=[{station}]").out
    assert len(rows) == 4 and all(row in alone for row in rows)
    wrong = leomix("link", "three-stations", "--station", "Mattera")
    assert (wrong.status, "did you mean 'Matera'?" in wrong.err) == (2, True)
    both = leomix("link", "three-stations", "--station", "Matera", "--send", "1GB")
    assert (both.status, "does not go with --send" in both.err) == (2, True)


POLAR = {"orbit.inclination_deg": 97.4, "orbit.altitude_km": 450}


@pytest.mark.parametrize("command", ["validate", "link"])
@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (POLAR, "orbit.altitude_km: 450 is .* SGP4 flies at 456 km over the equator, 455 km on"),
        ({**POLAR, "orbit.propagation": "secular_j2"}, None),
        ({**POLAR, "orbit.inclination_deg": 52}, None),
    ],
)
def test_the_altitude_that_is_flown_is_told_where_it_is_another(leomix, command, keys, words):
    sets = [text for pair in keys.items() for text in ("--set", "{}={}".format(*pair))]
    said = leomix(command, "circular", *sets, "--set", "learning.train=false").err
    assert re.search(words, said) if words else "flies" not in said
