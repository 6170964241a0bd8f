"""The JSON Schema that editors complete from, by an independent validator."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import jsonschema
import pytest

import scenarios
from tests.kit.scenarios import parse_yaml

SCHEMA = scenarios.schema()
CHECK = jsonschema.Draft202012Validator(SCHEMA)


def written(name: str) -> Any:
    """A shipped scenario as it stands in its file."""
    return parse_yaml(scenarios.shipped_path(name).read_text(encoding="utf-8")).value


def keys() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every key: its section, its name, its schema."""
    for section in (SCHEMA, *SCHEMA["$defs"].values()):
        for key, value in section.get("properties", {}).items():
            yield section["title"], key, value


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", scenarios.shipped())
def test_shipped_scenarios_hold_it(name: str) -> None:
    assert list(CHECK.iter_errors(written(name))) == []


@pytest.mark.parametrize("name", scenarios.shipped())
def test_what_a_loaded_scenario_says_in_full_holds_it_too(name: str) -> None:
    said = scenarios.load(name).model_dump(mode="json")
    assert list(CHECK.iter_errors(said)) == []


def mappings(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to all mappings in a document whose keys are the schema's, not the user's."""
    if isinstance(value, dict) and path[-1:] not in (("options",), ("paths",)):
        yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        if isinstance(inner, dict | list):
            yield from mappings(inner, (*path, key))


@pytest.mark.parametrize("name", scenarios.shipped())
def test_an_unknown_key_is_refused_wherever_it_stands(name: str) -> None:
    document = written(name)
    for path in mappings(document):
        changed = deepcopy(document)
        place = changed
        for key in path:
            place = place[key]
        place["altitud_km"] = 5
        assert not CHECK.is_valid(changed), path


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("orbit.source", "tel"),
        ("orbit.altitude_km", 800),  # the key of another source
        ("orbit.min_elevation_deg", 95),
        ("orbit.min_elevation_deg", "ten"),
        ("ground.clusters.0.latitude_deg", 480),
        ("ground.clusters.0.name", "<b>"),
        ("stop.days", 0),
        ("link.downlink", "free"),
        ("learning.rounds.per_contact", "all"),
        ("learning.train", "yes"),
    ],
)
def test_it_refuses_what_the_loader_refuses(key: str, value: Any) -> None:
    document = written("quickstart")
    scenarios.set_key(document, key, value)
    assert not CHECK.is_valid(document)
    with pytest.raises(scenarios.ScenarioError):
        scenarios.load("quickstart", {key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("orbit.satellite", 41917),
        ("orbit.satellite", "IRIDIUM 106"),
        ("link.downlink", "neglected"),
        ("link.downlink", {"frequency_ghz": 20}),
        ("learning.rounds.per_contact", "fill"),
        ("learning.model.kind", "bag_of_words:BagOfWords"),
        ("learning.options", {"threshold": 0.2}),
        ("start", None),
    ],
)
def test_it_allows_what_the_loader_allows(key: str, value: Any) -> None:
    document = written("quickstart")
    scenarios.set_key(document, key, value)
    assert list(CHECK.iter_errors(document)) == []
    scenarios.load("quickstart", {key: value})


def test_every_key_is_described_and_has_its_default() -> None:
    needed = {
        (section["title"], key)
        for section in (SCHEMA, *SCHEMA["$defs"].values())
        for key in section.get("required", ())
    }
    for section, key, value in keys():
        assert len(value["description"]) > 3, (section, key)
        assert ("default" in value) != ((section, key) in needed), (section, key)


UNITS = {
    "_km": "km", "_m": "m", "_deg": "degrees", "_ghz": "GHz", "_mhz": "MHz", "_dbm": "dBm",
    "_dbi": "dBi", "_dbw": "dBW", "_db_k": "dB/K", "_db": "dB", "_mbps": "Mbit/s", "_gib": "GiB",
    "_w": "W", "_s": ", s", "_pct": "percent", "_hours": "hours", "temperature_k": "K",
    "tflops": "TFLOP/s",
}  # fmt: skip


def test_keys_with_a_unit_name_it() -> None:
    for section, key, value in keys():
        fitting = [suffix for suffix in UNITS if key.endswith(suffix)]
        for suffix in sorted(fitting, key=len)[-1:]:
            if section != "WindowColumns":  # names of columns, not quantities
                assert UNITS[suffix] in value["description"], (section, key)


def test_the_default_of_a_section_is_short_and_says_the_same() -> None:
    for section, key, value in keys():
        if value.get("default") == {}:
            continue
        assert not isinstance(value.get("default"), dict), (section, key)
    small = {key: written("quickstart")[key] for key in ("start", "stop", "orbit", "ground")}
    small["orbit"] = {"source": "circular", "altitude_km": 600, "inclination_deg": 97}
    empty = {**small, "link": {"uplink": {}, "downlink": {}}, "compute": {}}
    empty["learning"] = {"rounds": {}, "lora": {}, "model": {}, "data": {"columns": {}}}
    assert scenarios.from_dict(small) == scenarios.from_dict(empty)


def test_a_source_leads_to_its_own_keys() -> None:
    """As editors go about it: by the one alternative whose `source` is the constant written."""
    for alternative in SCHEMA["properties"]["orbit"]["oneOf"]:
        section = SCHEMA["$defs"][alternative["$ref"].rsplit("/", 1)[-1]]
        source = section["properties"]["source"]["const"]
        errors = CHECK.iter_errors({**written("quickstart"), "orbit": {"source": source, "x": 1}})
        (error,) = errors
        fitting = [e for e in error.context if e.validator == "additionalProperties"]
        assert any("'x' was unexpected" in e.message for e in fitting)
        assert "source" in section["required"]
