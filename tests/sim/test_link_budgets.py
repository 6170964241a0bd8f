"""``leomix link``: of which satellite, height and place a budget is."""

import json
import math

import pandas
import pytest

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
        # SGP4's radius of the Earth and its mean motion are not those of the sphere.
        assert row.slant_range_km == pytest.approx(km, abs=15)
        assert f"at {row.altitude_km:.0f} km, over Y" in done.out
        loss_db = 20 * math.log10(4 * math.pi * row.slant_range_km * 1e3 * 2e9 / 299792458)
        assert row.free_space_path_loss_db == pytest.approx(loss_db, abs=0.001)


def test_a_pass_names_its_satellite_and_place(leomix):
    shown = leomix("link", "plain-fedavg", "--contact", 3).out.splitlines()[1]
    listed = leomix("contacts", "plain-fedavg").out
    assert shown.startswith("contact 3: IRIDIUM 106, over ")
    assert shown.split("over ")[1].split(",")[0] in listed


def test_the_air_is_named_where_each_place_has_its_own(leomix):
    itu = ("--set", "link.uplink.atmosphere=itu", "--set", "link.uplink.exceedance_pct=1")
    done = leomix("link", "plain-fedavg", *itu)
    if done.status:
        pytest.skip("itur is not installed: pip install leomix[itu]")
    about = done.out.splitlines()[1]
    assert about.endswith(
        "over Munich with the air there (not that of Nairobi, Osaka and Sao Paulo)"
    )
