"""The page on scenarios names every key of the orbit and the clusters, and its examples load."""

import re
from pathlib import Path

import pytest

import scenarios

PAGE = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def keys_of(*titles: str) -> set[str]:
    definitions = scenarios.schema()["$defs"]
    return {key for title in titles for key in definitions[title]["properties"]}


ORBITS = [title for title in scenarios.schema()["$defs"] if title.endswith("Orbit")]


def test_the_page_names_every_key_and_every_source() -> None:
    keys = keys_of(*ORBITS, "Cluster", "Place", "WindowColumns") - {"source", "slots"}
    sources = {scenarios.schema()["$defs"][t]["properties"]["source"]["const"] for t in ORBITS}
    assert len(ORBITS) == len(sources) == 7
    named = set(re.findall(r"`(?:orbit\.)?([a-z_]+)(?:: [a-z]+)?`", PAGE))
    assert sorted((keys | sources) - named) == []


def sections(text: str) -> dict[str, str]:
    """Cut a scenario file into the text of each of its top-level keys."""
    parts = re.findall(r"^\w+:.*\n(?:(?:[ #].*)?\n)*", text, re.MULTILINE)
    return {part.split(":")[0]: part for part in parts}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_page_loads(example: str, tmp_path: Path) -> None:
    whole = sections(scenarios.shipped_path("circular").read_text()) | sections(example)
    path = tmp_path / "mine.yaml"
    path.write_text("".join(whole.values()))
    assert scenarios.load(path).ground.clusters[0].name == "Munich"
