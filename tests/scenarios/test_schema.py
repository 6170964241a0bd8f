"""The JSON Schema that editors complete from, the page with the same keys, and a light import."""

import re
from copy import deepcopy
from pathlib import Path

import jsonschema
import pytest

import scenarios
from scenarios.parsing import parse_yaml

SCHEMA = scenarios.schema()
CHECK = jsonschema.Draft202012Validator(SCHEMA)
SECTIONS = [SCHEMA, *SCHEMA["$defs"].values()]
KEYS = [(s["title"], key, of) for s in SECTIONS for key, of in s.get("properties", {}).items()]
PAGE = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text(encoding="utf-8")


def sections(value, path=()):
    """Paths to all mappings in a document whose keys are the schema's, not the user's."""
    if isinstance(value, dict) and path[-1:] not in (("options",), ("paths",)):
        yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(inner, dict | list):
            yield from sections(inner, (*path, key))


@pytest.mark.parametrize("name", scenarios.shipped())
def test_shipped_scenarios_hold_it_and_an_unknown_key_nowhere(name):
    CHECK.validate(scenarios.load(name).model_dump(mode="json"))
    document = parse_yaml(scenarios.shipped_path(name).read_text(encoding="utf-8")).value
    CHECK.validate(document)
    for path in sections(document):
        place = wrong = deepcopy(document)
        for key in path:
            place = place[key]
        place["altitud_km"] = 5
        assert not CHECK.is_valid(wrong), path


def test_every_key_is_described_once_with_its_default():
    CHECK.check_schema(SCHEMA)
    needed = {(s["title"], key) for s in SECTIONS for key in s.get("required", ())}
    for section, key, value in KEYS:
        assert len(value["description"]) > 3, (section, key)
        assert ("default" in value) != ((section, key) in needed), (section, key)
        # That of a section is short, and says the same as all its keys.
        assert value.get("default") == {} or not isinstance(value.get("default"), dict), key
    assert all(s["additionalProperties"] is False for s in SECTIONS if "properties" in s)
    referred = set(re.findall(r"'\$ref': '#/\$defs/(\w+)'", str(SCHEMA)))
    assert referred == SCHEMA["$defs"].keys()


# -- docs/scenarios.md


@pytest.mark.parametrize("example", re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S))
def test_an_example_of_the_page_loads(example, tmp_path):
    def sections_of(text):
        parts = re.findall(r"^\w+:.*\n(?:(?:[ #].*)?\n)*", text, re.MULTILINE)
        return {part.split(":")[0]: part for part in parts}

    whole = sections_of(scenarios.shipped_path("circular").read_text()) | sections_of(example)
    (tmp_path / "mine.yaml").write_text("".join(whole.values()))
    assert scenarios.load(tmp_path / "mine.yaml").ground.clusters[0].name == "Munich"
