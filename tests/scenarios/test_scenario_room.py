"""Importing the room is light, and its schema is complete."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import scenarios


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


HEAVY = {"pydantic", "yaml", "pandas", "torch", "matplotlib", "numpy", "scipy", "simpy", "skyfield"}


@pytest.mark.parametrize(
    "code",
    [
        "import scenarios",
        "import scenarios; scenarios.shipped()",
        "import scenarios; scenarios.ScenarioError",
    ],
)
def test_importing_and_listing_load_nothing_heavy(code: str) -> None:
    assert modules_after(code) & HEAVY == set()


def test_loading_needs_pydantic_and_yaml_only() -> None:
    assert modules_after("import scenarios; scenarios.load('quickstart')") & HEAVY == {
        "pydantic",
        "yaml",
    }


def test_the_room_imports_no_other_room() -> None:
    rooms = {"orbit", "channel", "learning", "sim"}
    assert modules_after("import scenarios; scenarios.load('quickstart')") & rooms == set()


@pytest.mark.parametrize("name", scenarios.__all__)
def test_every_public_name_is_there_and_explained(name: str) -> None:
    assert getattr(scenarios, name).__doc__


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        scenarios.nothing  # noqa: B018


def properties(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for section in (schema, *schema["$defs"].values()):
        for key, value in section.get("properties", {}).items():
            yield f"{section['title']}.{key}", value


def test_the_schema_describes_every_key_and_allows_no_others() -> None:
    schema = scenarios.schema()
    described = dict(properties(schema))
    assert [key for key, value in described.items() if not value.get("description")] == []
    assert all(
        section["additionalProperties"] is False
        for section in schema["$defs"].values()
        if "properties" in section
    )
    assert len(described) > 110


UNITS = {
    "_km": "km", "_m": "m", "_deg": "degrees", "_ghz": "GHz", "_mhz": "MHz", "_dbm": "dBm",
    "_dbi": "dBi", "_dbw": "dBW", "_db_k": "dB/K", "_db": "dB", "_mbps": "Mbit/s", "_gib": "GiB",
    "_w": "W",
}  # fmt: skip


def test_a_key_that_carries_a_unit_names_it_in_its_description() -> None:
    for key, value in properties(scenarios.schema()):
        unit = next((unit for suffix, unit in UNITS.items() if key.endswith(suffix)), "")
        if key.endswith("g_over_t_db_k"):
            unit = "dB/K"
        assert unit in value["description"], key


def test_the_schema_refers_only_to_what_it_defines() -> None:
    schema = scenarios.schema()

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from ([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
            value = list(value.values())
        for inner in value if isinstance(value, list) else []:
            yield from references(inner)

    defined = {f"#/$defs/{name}" for name in schema["$defs"]}
    assert set(references(schema)) == defined
