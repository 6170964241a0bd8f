"""Every source takes its own keys, within their ranges, and as they go together."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scenarios
from tests.kit.every_source import ORBITS, SEEN, mapping_with


def orbit_of(source: str, **keys: Any) -> Any:
    return scenarios.from_dict(mapping_with({**ORBITS[source], **keys})).orbit


def refused(source: str, **keys: Any) -> str:
    with pytest.raises(scenarios.ScenarioError) as caught:
        orbit_of(source, **keys)
    return str(caught.value)


def from_mapping(mapping: dict[str, Any]) -> str:
    with pytest.raises(scenarios.ScenarioError) as caught:
        scenarios.from_dict(mapping)
    return str(caught.value)


DEFAULTS = {
    "keplerian": {
        "eccentricity": 0, "raan_deg": 0, "argument_of_perigee_deg": 0, "mean_anomaly_deg": 0,
        "bstar": 0,
    },
    "walker": {"pattern": "delta", "phasing": 0, "raan_deg": 0, "argument_of_latitude_deg": 0},
    "contacts": {"windows": None, "satellite": None},
    "omm": {"elements": None, "satellite": None},
}  # fmt: skip


@pytest.mark.parametrize("source", DEFAULTS)
def test_what_is_left_out_takes_its_default(source: str) -> None:
    orbit = orbit_of(source)
    assert {key: getattr(orbit, key) for key in DEFAULTS[source]} == DEFAULTS[source]


@pytest.mark.parametrize("source", ["circular", "keplerian", "walker"])
def test_orbits_without_an_epoch_need_a_start(source: str) -> None:
    mapping = mapping_with(ORBITS[source]) | {"start": None}
    assert from_mapping(mapping) == (
        f"start: is missing; source {source!r} has no epoch, so write it like 2026-08-22T00:00:00Z"
    )


@pytest.mark.parametrize("source", ["tle", "omm", "contacts", "slots"])
def test_the_others_have_a_start_of_their_own(source: str) -> None:
    mapping = mapping_with(ORBITS[source]) | {"start": None}
    assert scenarios.from_dict(mapping).start is None


@pytest.mark.parametrize("source", SEEN)
def test_a_satellite_in_view_needs_days(source: str) -> None:
    mapping = mapping_with(ORBITS[source]) | {"stop": {"cycles": 4}}
    assert from_mapping(mapping) == (
        f"stop: days is missing; source {source!r} finds contacts over them, like days: 14"
    )


@pytest.mark.parametrize("stop", [{}, {"cycles": 3}, {"days": 2}, {"accuracy": 0.9}])
def test_ready_windows_end_by_themselves(stop: dict[str, float]) -> None:
    mapping = mapping_with(ORBITS["contacts"]) | {"stop": stop}
    assert scenarios.from_dict(mapping).stop.days == stop.get("days")


@pytest.mark.parametrize("source", ["circular", "walker"])
@pytest.mark.parametrize("right", [0, 180, 97.8, "sun-synchronous"])
def test_an_inclination_is_a_number_or_sun_synchronous(source: str, right: float | str) -> None:
    assert orbit_of(source, inclination_deg=right).inclination_deg == right


INCLINATION = "(inclination, degrees; 'sun-synchronous' for the one of this altitude)"


@pytest.mark.parametrize("source", ["circular", "walker"])
@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ("polar", "got 'polar'; must be a number 0..180 or 'sun-synchronous'"),
        ("97.8", "got '97.8'; must be a number 0..180 or 'sun-synchronous'"),
        (True, "got true; must be a number 0..180 or 'sun-synchronous'"),
        (None, "got nothing; must be a number 0..180 or 'sun-synchronous'"),
        ([97.8], "got a list; must be a number 0..180 or 'sun-synchronous'"),
        (181, "got 181; must be <= 180"),
        (-1, "got -1; must be >= 0"),
        (float("nan"), "got nan; must be a finite number"),
    ],
)
def test_any_other_inclination_is_refused(source: str, wrong: Any, line: str) -> None:
    assert refused(source, inclination_deg=wrong) == f"orbit.inclination_deg: {line} {INCLINATION}"


def test_a_missing_inclination_says_what_it_may_be() -> None:
    mapping = mapping_with({"source": "circular", "altitude_km": 600})
    assert from_mapping(mapping) == (
        "orbit.inclination_deg: is missing; give the inclination, degrees; 'sun-synchronous' for "
        "the one of this altitude"
    )


def test_only_circles_are_made_sun_synchronous() -> None:
    assert refused("keplerian", inclination_deg="sun-synchronous") == (
        "orbit.inclination_deg: got 'sun-synchronous'; must be a number >= 0 and <= 180 "
        "(inclination, degrees)"
    )


@pytest.mark.parametrize(
    ("source", "keys", "line"),
    [
        (
            "keplerian",
            {"semi_major_axis_km": 6499},
            "semi_major_axis_km: got 6499; must be >=",
        ),
        ("keplerian", {"eccentricity": 1}, "eccentricity: got 1; must be >= 0 and < 1"),
        ("keplerian", {"raan_deg": 360}, "raan_deg: got 360; must be >= 0 and < 360"),
        ("keplerian", {"bstar": 2}, "bstar: got 2; must be >= -1 and <= 1"),
        ("walker", {"altitude_km": 2001}, "altitude_km: got 2001; must be >= 160 and <= 2000"),
        ("walker", {"satellites": 0}, "satellites: got 0; must be >= 1 and <= 20000"),
        ("walker", {"satellites": 20_001}, "satellites: got 20001; must be >= 1 and <= 20000"),
        ("walker", {"planes": 2.0}, "planes: got 2.0; must be a whole number >= 1"),
        ("walker", {"phasing": -1}, "phasing: got -1; must be >= 0"),
        (
            "walker",
            {"pattern": "stars"},
            "pattern: got 'stars'; must be one of 'delta', 'star' (ascending nodes over 360 "
            "(delta) or 180 (star) degrees); did you mean 'star'?",
        ),
        ("tle", {"satellite": ""}, "satellite: got ''; must be text that is not empty"),
        ("omm", {"elements": 5}, "elements: got 5; must be text"),
        (
            "contacts",
            {"columns": {"rise_utcs": "AOS"}},
            "columns.rise_utcs: is not a known key; did you mean 'rise_utc'?",
        ),
        (
            "contacts",
            {"columns": {"rise_utc": 3}},
            "columns.rise_utc: got 3; must be text (time of rise, UTC); quote it: '3'",
        ),
        ("contacts", {"columns": "AOS"}, "columns: got 'AOS'; must be a mapping of keys"),
    ],
)
def test_a_value_out_of_range_is_told(source: str, keys: dict[str, Any], line: str) -> None:
    assert refused(source, **keys).startswith(f"orbit.{line}")


@pytest.mark.parametrize(
    ("source", "kind", "key"),
    [("tle", "element", "elements"), ("omm", "element", "elements"),
     ("contacts", "window", "windows")],
)  # fmt: skip
def test_a_file_or_its_text_is_given(source: str, kind: str, key: str) -> None:
    assert refused(source, path=None) == (
        f"orbit.path: is missing; give the {kind} file, or {key} with the lines"
    )
    assert refused(source, **{key: "text"}) == (
        f"orbit.{key}: cannot stand beside orbit.path; keep one of the two"
    )
    assert getattr(orbit_of(source, path=None, **{key: "text"}), key) == "text"


@given(semi_major_axis_km=st.floats(6500, 60_000), eccentricity=st.floats(0, 1, exclude_max=True))
def test_the_perigee_is_above_the_air(semi_major_axis_km: float, eccentricity: float) -> None:
    """Perigee radius a (1 - e), against 6378.135 km (the Earth of SGP4) and 120 km."""
    keys = {"semi_major_axis_km": semi_major_axis_km, "eccentricity": eccentricity}
    if semi_major_axis_km * (1.0 - eccentricity) >= 6498.135:
        assert orbit_of("keplerian", **keys).eccentricity == eccentricity
    else:
        assert refused("keplerian", **keys).startswith(f"orbit.eccentricity: got {eccentricity:g};")


def test_a_perigee_in_the_ground_says_how_to_mend_it() -> None:
    assert refused("keplerian", eccentricity=0.8) == (
        "orbit.eccentricity: got 0.8; puts the perigee at -1058 km of altitude, and it must be at "
        "least 120 km: lower it, or raise semi_major_axis_km"
    )


@given(satellites=st.integers(1, 40), planes=st.integers(1, 12), phasing=st.integers(0, 12))
def test_a_walker_pattern_fills_its_planes(satellites: int, planes: int, phasing: int) -> None:
    keys = {"satellites": satellites, "planes": planes, "phasing": phasing}
    if satellites not in range(planes, 500, planes):
        expected = f"got {satellites}; must be a multiple of orbit.planes, {planes}"
        assert refused("walker", **keys).startswith(f"orbit.satellites: {expected}")
    elif phasing >= planes:
        expected = f"got {phasing}; must be below orbit.planes, {planes}"
        assert refused("walker", **keys) == f"orbit.phasing: {expected}"
    else:
        assert orbit_of("walker", **keys).satellites == satellites


def test_columns_map_our_names_to_those_of_the_file() -> None:
    columns = {"rise_utc": "AOS", "duration_s": "Duration (s)"}
    found = orbit_of("contacts", columns=columns).columns
    assert found.model_dump(exclude_none=True) == columns


def test_ready_windows_have_no_slant_range_for_a_rate() -> None:
    mapping = mapping_with(ORBITS["contacts"]) | {"link": {"preset": "physical"}}
    assert from_mapping(mapping).startswith(
        "link.uplink.rate: got 'ergodic', but source 'contacts' has no slant range"
    )
