"""Devices are counted, or listed with their places, or read from a file of places."""

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

import scenarios
from tests.kit.every_source import ORBITS, mapping_with

PLACE = {"latitude_deg": 48.2, "longitude_deg": 11.5}
FORMS = {"devices": 3, "places": [PLACE], "places_path": "devices.csv"}


def cluster_of(source: str = "circular", **keys: Any) -> Any:
    mapping = mapping_with(ORBITS[source], keys)
    return scenarios.from_dict(mapping).ground.clusters[0]


def refused(source: str = "circular", **keys: Any) -> str:
    with pytest.raises(scenarios.ScenarioError) as caught:
        cluster_of(source, **keys)
    return str(caught.value).removeprefix("ground.clusters.0.")


@pytest.mark.parametrize("key", FORMS)
def test_one_form_is_given_and_the_others_stay_empty(key: str) -> None:
    cluster = cluster_of(**{key: FORMS[key]})
    assert [name for name in FORMS if getattr(cluster, name) is not None] == [key]


def test_a_cluster_that_says_nothing_has_one_device() -> None:
    for nothing in ({}, {"devices": None}, {"places": None, "places_path": None}):
        assert cluster_of(**nothing).devices == 1


@pytest.mark.parametrize(("first", "second"), list(combinations(FORMS, 2)))
def test_two_forms_contradict_each_other(first: str, second: str) -> None:
    keys = {first: FORMS[first], second: FORMS[second]}
    assert refused(**keys) == f"{second}: cannot stand beside {first}; keep one of them"


def test_three_forms_contradict_each_other() -> None:
    expected = "places_path: cannot stand beside devices and places; keep one of them"
    assert refused(**FORMS) == expected


@pytest.mark.parametrize("key", ["places", "places_path"])
def test_places_leave_no_use_for_a_disc(key: str) -> None:
    assert refused(radius_km=5, **{key: FORMS[key]}) == (
        f"radius_km: is not used with {key}, where every device has a place; leave it out"
    )
    assert cluster_of(radius_km=0, **{key: FORMS[key]}).devices is None


@pytest.mark.parametrize("source", ["slots", "contacts"])
@pytest.mark.parametrize("key", ["places", "places_path", "min_elevation_deg"])
def test_without_geometry_places_and_masks_have_no_use(source: str, key: str) -> None:
    value = FORMS.get(key, 5.0)
    assert refused(source, **{key: value}) == (
        f"{key}: is not used by source {source!r}, which has no geometry; leave it out"
    )


@pytest.mark.parametrize("source", ["slots", "contacts"])
def test_without_geometry_a_cluster_needs_no_place(source: str) -> None:
    assert cluster_of(source, devices=4).latitude_deg is None


@pytest.mark.parametrize("source", ["tle", "omm", "circular", "keplerian", "walker"])
def test_with_geometry_a_cluster_needs_its_place(source: str) -> None:
    assert refused(source, latitude_deg=None) == (
        f"latitude_deg: is missing for cluster 'A'; source {source!r} needs its place"
    )


def test_a_mask_of_its_own_wins_or_is_left_to_the_orbit() -> None:
    assert cluster_of().min_elevation_deg is None
    assert cluster_of(min_elevation_deg=25).min_elevation_deg == 25
    assert refused(min_elevation_deg=90).startswith(
        "min_elevation_deg: got 90; must be >= 0 and < 90"
    )


def test_a_place_is_complete_with_latitude_and_longitude() -> None:
    place = cluster_of(places=[PLACE]).places[0]
    assert (place.name, place.altitude_m, place.min_elevation_deg) == (None, 0, None)


@pytest.mark.parametrize(
    ("places", "line"),
    [
        ([], "places: got a list; must be a list that is not empty"),
        ([PLACE] * 10_001, "places: got a list; must be a shorter list"),
        ("devices.csv", "places: got 'devices.csv'; must be a list"),
        ([7], "places.0: got 7; must be a mapping of keys"),
        ([PLACE, {"latitude_deg": 1}], "places.1.longitude_deg: is missing; give the longitude"),
        (
            [{**PLACE, "latitude_deg": 91}],
            "places.0.latitude_deg: got 91; must be >= -90 and <= 90 (latitude, north +, degrees)",
        ),
        ([{**PLACE, "min_elevation_deg": 90}], "places.0.min_elevation_deg: got 90; must be >= 0"),
        (
            [{**PLACE, "name": "b"}, PLACE, PLACE, {**PLACE, "name": "b"}],
            "places.3.name: 'b' is taken; names must be unique",
        ),
        ([{**PLACE, "name": ""}], "places.0.name: got ''; must be text that is not empty"),
        (
            [{**PLACE, "altitude": 5}],
            "places.0.altitude: is not a known key; did you mean 'altitude_m'?",
        ),
    ],
)
def test_a_wrong_place_is_told(places: Any, line: str) -> None:
    message = refused(places=places)
    assert message.startswith(line)
    assert "more)" not in message


def test_a_file_of_places_is_found_from_the_folder_of_the_scenario(tmp_path: Path) -> None:
    text = scenarios.shipped_path("circular").read_text()
    (tmp_path / "mine.yaml").write_text(text)
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "osaka.csv").write_text("latitude_deg,longitude_deg\n34.7,135.5\n")
    changes = {"name": "Osaka", "latitude_deg": 34.7, "longitude_deg": 135.5}
    cluster = {**changes, "places_path": "sets/osaka.csv"}
    scenario = scenarios.load(tmp_path / "mine.yaml", {"ground.clusters.2": cluster})
    names = [c.name for c in scenario.ground.clusters]
    found = scenarios.places_file(scenario, names.index("Osaka"))
    assert found == tmp_path / "sets" / "osaka.csv"
