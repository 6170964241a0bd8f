"""What a manifest stores reads back as the same scenario."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scenarios
from tests.kit.every_source import ORBITS, SEEN, mapping_with


def through_json(scenario: scenarios.Scenario) -> scenarios.Scenario:
    return scenarios.from_dict(json.loads(json.dumps(scenario.model_dump(mode="json"))))


@pytest.mark.parametrize("name", sorted(scenarios.shipped()))
def test_a_shipped_scenario_survives_json(name: str) -> None:
    scenario = scenarios.load(name)
    assert through_json(scenario) == scenario
    assert through_json(scenario).model_dump() == scenario.model_dump()


COLUMN_NAMES = st.text(min_size=1, max_size=5)
FRACTIONS = st.floats(0, 1, exclude_min=True)
OPTIONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | FRACTIONS | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    altitude_km=st.floats(160, 2000),
    latitude_deg=st.floats(-90, 90),
    seed=st.integers(0, 2**63 - 1),
    k_db=st.none() | st.floats(-300, 300),
    per_contact=st.just("fill") | st.integers(1, 99),
    tflops=st.none() | FRACTIONS,
    start=st.datetimes(datetime(1958, 1, 2), datetime(2099, 1, 1), timezones=st.timezones()),
    options=st.dictionaries(st.text(max_size=3), OPTIONS, max_size=3),
)
def test_every_scenario_survives_json(
    altitude_km: float,
    latitude_deg: float,
    seed: int,
    k_db: float | None,
    per_contact: int | str,
    tflops: float | None,
    start: datetime,
    options: dict[str, Any],
) -> None:
    cluster = {"name": "A", "latitude_deg": latitude_deg, "longitude_deg": 0}
    scenario = scenarios.from_dict(
        {
            "seed": seed,
            "start": start,
            "stop": {"days": 1},
            "orbit": {"source": "circular", "altitude_km": altitude_km, "inclination_deg": 90},
            "ground": {"clusters": [cluster]},
            "link": {"uplink": {"rician_k_db": k_db}, "downlink": "neglected"},
            "compute": {"tflops": tflops},
            "learning": {"rounds": {"per_contact": per_contact}, "options": options},
        }
    )
    again = through_json(scenario)
    assert again == scenario
    # In UTC: Python calls local times that a clock change skips or repeats unequal to all others.
    assert again.start == start.astimezone(UTC)
    assert again.learning.options == options


ANGLES = st.floats(0, 360, exclude_max=True)
SECONDS = st.floats(0, 1e9)
SERVED = st.fixed_dictionaries(
    {"beams": st.integers(1, 9), "min_contact_s": SECONDS, "serving": st.just("single")}
) | st.fixed_dictionaries(
    {"serving": st.just("any")},
    optional={
        "hand_over": st.none() | st.just("longest_remaining"),
        "hand_over_gap_s": SECONDS,
        "session": st.just("joined"),
        "sync_delay_s": SECONDS,
    },
)
INCLINATIONS = st.just("sun-synchronous") | st.integers(0, 180) | st.floats(0, 180)
OF_SOURCE = {
    "tle": {"satellite": st.none(), "checksum": st.sampled_from(["verify", "ignore"])},
    "omm": {"path": st.text(min_size=1, max_size=9)},
    "circular": {"inclination_deg": INCLINATIONS, "raan_deg": ANGLES},
    "keplerian": {"mean_anomaly_deg": ANGLES, "eccentricity": st.floats(0, 0.7)},
    "walker": {
        "pattern": st.sampled_from(["delta", "star"]),
        "inclination_deg": INCLINATIONS,
        "phasing": st.integers(0, 2),
    },
    "contacts": {"columns": st.dictionaries(st.sampled_from(["site", "rise_utc"]), COLUMN_NAMES)},
}
ANY_ORBIT = st.sampled_from(sorted(OF_SOURCE)).flatmap(
    lambda source: st.builds(
        lambda served, own: {**ORBITS[source], **served, **own},
        SERVED,
        st.fixed_dictionaries({}, optional=OF_SOURCE[source]),
    )
)
PLACES = st.fixed_dictionaries(
    {"latitude_deg": st.floats(-90, 90), "longitude_deg": st.floats(-180, 180)},
    optional={"name": st.text(min_size=1, max_size=5), "min_elevation_deg": st.floats(0, 89)},
)


def name_or_itself(place: dict[str, Any]) -> str:
    return place.get("name", str(place))


ANY_CLUSTER = st.one_of(
    st.fixed_dictionaries({"devices": st.integers(1, 9)}),
    st.fixed_dictionaries(
        {"places": st.lists(PLACES, min_size=1, max_size=4, unique_by=name_or_itself)}
    ),
    st.fixed_dictionaries({"places_path": st.text(min_size=1, max_size=9)}),
    st.fixed_dictionaries({"min_elevation_deg": st.none() | st.floats(0, 89)}),
)


@given(orbit=ANY_ORBIT, cluster=ANY_CLUSTER)
def test_every_source_and_every_cluster_survives_json(
    orbit: dict[str, Any], cluster: dict[str, Any]
) -> None:
    seen = orbit["source"] in SEEN
    scenario = scenarios.from_dict(mapping_with(orbit, cluster if seen else {"devices": 2}))
    again = through_json(scenario)
    assert again == scenario
    assert again.model_dump() == scenario.model_dump()
    said = again.orbit.model_dump(mode="json")
    assert {key: said[key] for key in orbit if key != "columns"} == {
        key: value for key, value in orbit.items() if key != "columns"
    }


def test_elements_kept_in_the_scenario_survive_json() -> None:
    lines = scenarios.element_file(scenarios.load("quickstart")).read_text()
    scenario = scenarios.load("quickstart", {"orbit.path": None, "orbit.elements": "x"})
    stored = scenario.model_dump(mode="json")
    stored["orbit"]["elements"] = lines
    assert through_json(scenarios.from_dict(stored)).orbit.elements == lines


def test_the_file_is_remembered_but_not_compared(write: Callable[..., Path], slots: str) -> None:
    path = write(slots)
    scenario = scenarios.load(path)
    assert scenario.source_path == path
    assert through_json(scenario).source_path is None
    assert through_json(scenario) == scenario
    assert "source_path" not in json.dumps(scenario.model_dump(mode="json"))


def test_scenarios_that_differ_in_one_value_differ(write: Callable[..., Path], slots: str) -> None:
    path = write(slots)
    assert scenarios.load(path) != scenarios.load(path, {"learning.rounds.per_gap_max": 3})
    assert scenarios.load(path) != "scenario"


def test_a_scenario_cannot_be_changed(write: Callable[..., Path], slots: str) -> None:
    scenario = scenarios.load(write(slots))
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        scenario.learning.step_size = 3.0


def test_a_mapping_that_is_validated_stays_as_it_was() -> None:
    stored = scenarios.load("quickstart").model_dump(mode="json")
    stored["ground"]["clusters"].reverse()
    before = json.dumps(stored)
    scenarios.from_dict(stored)
    assert json.dumps(stored) == before


@pytest.mark.parametrize(
    "start",
    [
        datetime(2000, 3, 26, 2, tzinfo=ZoneInfo("Asia/Novokuznetsk")),  # skipped by the clocks
        datetime(2025, 10, 26, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")),  # the first of two
        datetime(2025, 10, 26, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),  # the second
    ],
)
def test_a_local_start_at_a_clock_change_is_the_instant_that_python_takes_it_for(
    start: datetime,
) -> None:
    scenario = scenarios.load("circular", {"start": start})
    assert through_json(scenario).start == start.astimezone(UTC)
