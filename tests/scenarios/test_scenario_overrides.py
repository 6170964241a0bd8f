"""`--set key=value` acts as if the file had said so, and is blamed for its own errors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import scenarios

Write = Callable[[str | bytes], Path]
Refusal = Callable[..., str]


def test_text_from_the_command_line_is_read_as_yaml(write: Write, circular: str) -> None:
    scenario = scenarios.load(
        write(circular),
        {
            "orbit.altitude_km": "1.2e3",
            "learning.train": "false",
            "learning.options": "{layers: [1, 2]}",
            "start": "2027-01-01T00:00:00Z",
            "compute.seconds_per_round": "null",
            "compute.tflops": "2",
        },
    )
    assert scenario.orbit.altitude_km == 1200
    assert scenario.learning.train is False
    assert scenario.learning.options == {"layers": [1, 2]}
    assert scenario.start is not None and scenario.start.year == 2027
    assert (scenario.compute.seconds_per_round, scenario.compute.tflops) == (None, 2)


def test_values_from_python_are_taken_as_they_are(write: Write, circular: str) -> None:
    clusters = [{"name": "X", "latitude_deg": 1, "longitude_deg": 2.5}]
    scenario = scenarios.load(write(circular), {"seed": 7, "ground.clusters": clusters})
    assert scenario.seed == 7
    assert [c.name for c in scenario.ground.clusters] == ["X"]


def test_an_override_equals_the_same_words_in_the_file(write: Write, circular: str) -> None:
    changed = scenarios.load(write(circular), {"orbit.altitude_km": "550", "orbit.raan_deg": "3"})
    written = circular.replace("600", "550\n  raan_deg: 3")
    assert changed == scenarios.load(write(written))
    assert changed != scenarios.load(write(circular))


@pytest.mark.parametrize("name", ["circular", "walker"])
def test_a_sweep_sets_altitude_and_inclination(name: str) -> None:
    changes = {"orbit.altitude_km": 550.0, "orbit.inclination_deg": "sun-synchronous"}
    changed = scenarios.load(name, changes).orbit
    assert (changed.altitude_km, changed.inclination_deg) == (550, "sun-synchronous")
    assert scenarios.load(name, {"orbit.inclination_deg": 53}).orbit.inclination_deg == 53


def test_a_list_item_is_addressed_in_the_order_of_the_file(write: Write, circular: str) -> None:
    scenario = scenarios.load(write(circular), {"ground.clusters.0.devices": "9"})
    assert {c.name: c.devices for c in scenario.ground.clusters} == {"Munich": 9, "Bern": 1}


def test_a_whole_list_item_can_be_replaced(write: Write, circular: str) -> None:
    item = "{name: Oslo, latitude_deg: 59.9, longitude_deg: 10.8}"
    scenario = scenarios.load(write(circular), {"ground.clusters.1": item})
    assert [c.name for c in scenario.ground.clusters] == ["Munich", "Oslo"]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            {"orbit.altitude_km": "abc"},
            "--set orbit.altitude_km: got 'abc'; must be a number >= 160 and <= 2000 "
            "(altitude above the equator, km)",
        ),
        (
            {"orbit.altitud_km": "600"},
            "--set orbit.altitud_km: is not a known key; did you mean 'altitude_km'?",
        ),
        (
            {"orbit.path": "x.tle"},
            "--set orbit.path: is not used by source 'circular' "
            "(it belongs to tle, omm and contacts)",
        ),
        ({"seed": "[1"}, "--set seed: is not valid YAML: while parsing a flow sequence, "),
        ({"seed": "010"}, "--set seed: '010' is ambiguous; drop the leading zero"),
        ({"seed": "&a 1"}, "--set seed: the anchor 'a' is not allowed; leave it out"),
        ({"seed": "!!int 1"}, "--set seed: the tag 'tag:yaml.org,2002:int' is not allowed"),
        ({"seed": ".nan"}, "--set seed: .nan is not allowed; numbers must be finite"),
        ({"seed": float("inf")}, "--set seed: got inf; must be a whole number >= 0"),
        (
            {"ground.clusters.2.devices": "3"},
            "--set ground.clusters.2.devices: '2' is not an item of this list; allowed: 0 to 1",
        ),
        (
            {"ground.clusters.Bern.devices": "3"},
            "--set ground.clusters.Bern.devices: 'Bern' is not an item of this list",
        ),
        (
            {"ground.clusters.1.devices": "0"},
            "--set ground.clusters.1.devices: got 0; must be >= 1 and <= 10000 (number of devices; "
            "1 if no places are given)",
        ),
        (
            {"ground.clusters": "[]"},
            "--set ground.clusters: got a list; must be a list that is not empty",
        ),
        (
            {"ground.clusters.1": "{name: 7}"},
            "--set ground.clusters.1.name: got 7; must be text",
        ),
        (
            {"orbit.source.name": "x"},
            "--set orbit.source.name: orbit.source is 'circular', not a mapping; "
            "set orbit.source as a whole",
        ),
        ({"orbit..beams": "1"}, "--set 'orbit..beams': is not a key; write it like orbit.beams=2"),
        ({"": "1"}, "--set '': is not a key; write it like orbit.beams=2"),
        ({".".join("a" * 40): "1"}, "--set 'a.a.a.a.a"),
        ({"a\nb": "1"}, "--set 'a\\nb': is not a known key"),
        ({"orbit.beams": None}, "--set orbit.beams: got nothing; must be a whole number >= 1"),
    ],
)
def test_a_wrong_override_is_told_without_a_line(
    refusal: Refusal, circular: str, overrides: dict[str, Any], line: str
) -> None:
    assert refusal(circular, overrides).startswith(line)


def test_an_error_of_the_file_is_not_blamed_on_an_override(refusal: Refusal, circular: str) -> None:
    text = circular.replace("97.8", "300")
    assert refusal(text, {"orbit.altitude_km": 550}).startswith(
        "mine.yaml:6: orbit.inclination_deg:"
    )


def test_set_key_makes_sections_and_changes_the_mapping_in_place() -> None:
    mapping: dict[str, Any] = {"a": [1, {"b": 2}]}
    scenarios.set_key(mapping, "a.1.b", 3)
    scenarios.set_key(mapping, "a.0", "zero")
    scenarios.set_key(mapping, "c.d.e", None)
    assert mapping == {"a": ["zero", {"b": 3}], "c": {"d": {"e": None}}}
