"""The page on scenarios has every key of the link, its choices, and the presets' values."""

import re
from pathlib import Path
from typing import Any

import pytest

import scenarios

PAGE = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text(encoding="utf-8")
LINK = PAGE.split("\n## Link\n")[1].split("\n## ")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in LINK.splitlines()
    if line.startswith("| `") and line.count("|") == 6
]


def properties(title: str) -> dict[str, Any]:
    found: dict[str, Any] = scenarios.schema()["$defs"][title]["properties"]
    return found


def keys_in(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_each_key_of_a_direction_has_its_row() -> None:
    keys = [key for row in ROWS for key in keys_in(row[0])]
    assert sorted(keys) == sorted(properties("Uplink").keys() | properties("Downlink").keys())


@pytest.mark.parametrize("title", ["Link", "Uplink", "Downlink"])
def test_each_key_and_choice_is_named(title: str) -> None:
    named = set(re.findall(r"`(?:link\.)?(\w+)", LINK))
    choices = set(re.findall(r"'enum': \[([^]]*)\]", str(properties(title))))
    words = {word.strip(" '") for listed in choices for word in listed.split(",")}
    assert "restart" in words or "inverse_elevation" in words
    assert sorted((properties(title).keys() | words) - named) == []


def values_of(column: int) -> dict[str, str]:
    pairs = [zip(keys_in(row[0]), row[column].split(", "), strict=False) for row in ROWS]
    return {key: value for row in pairs for key, value in row if value != "-"}


def in_effect(preset: str, side: str) -> dict[str, Any]:
    """All values of a preset, each under a form that uses it."""
    forms: list[dict[str, Any]] = [{"rate": "outage"}, {"rate": "modcod"}]
    if side == "downlink":
        forms.append({"delivery": "unicast"})
    found: dict[str, Any] = {}
    for keys in [*forms, {}]:
        link = {"preset": preset, side: keys}
        found |= scenarios.resolved_link(scenarios.load("circular", {"link": link}))[side]
    return found


def as_written(value: Any, on_page: str) -> str:
    """Write a value with as many digits as the page has."""
    digits = len(on_page.partition(".")[2])
    return value if isinstance(value, str) else f"{value:.{digits}f}"


@pytest.mark.parametrize(
    ("column", "side", "preset"),
    [(2, "uplink", "physical"), (3, "downlink", "physical"), (4, "uplink", "paper")],
)
def test_the_presets_values_are_those_of_the_page(column: int, side: str, preset: str) -> None:
    page, values = values_of(column), in_effect(preset, side)
    assert page.keys() == values.keys()
    assert {key: as_written(values[key], page[key]) for key in page} == page
