"""The JSON Schema that editors complete from, the page with the same keys, and a light import."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import scenarios
from tests.kit.scenarios import parse_yaml

SCHEMA = scenarios.schema()
CHECK = jsonschema.Draft202012Validator(SCHEMA)
SECTIONS = [SCHEMA, *SCHEMA["$defs"].values()]
KEYS = [(s["title"], key, of) for s in SECTIONS for key, of in s.get("properties", {}).items()]
ORBITS = [title for title in SCHEMA["$defs"] if title.endswith("Orbit")]
PAGE = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text(encoding="utf-8")


def written(name: str) -> Any:
    """A shipped scenario as it stands in its file."""
    return parse_yaml(scenarios.shipped_path(name).read_text(encoding="utf-8")).value


def sections(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to all mappings in a document whose keys are the schema's, not the user's."""
    if isinstance(value, dict) and path[-1:] not in (("options",), ("paths",)):
        yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(inner, dict | list):
            yield from sections(inner, (*path, key))


def test_it_is_a_schema() -> None:
    CHECK.check_schema(SCHEMA)


@pytest.mark.parametrize("name", scenarios.shipped())
def test_shipped_scenarios_hold_it_and_an_unknown_key_nowhere(name: str) -> None:
    CHECK.validate(scenarios.load(name).model_dump(mode="json"))
    CHECK.validate(document := written(name))
    for path in sections(document):
        place = wrong = deepcopy(document)
        for key in path:
            place = place[key]
        place["altitud_km"] = 5
        assert not CHECK.is_valid(wrong), path


REFUSED = {"orbit.source": "tel", "orbit.altitude_km": 800, "orbit.min_elevation_deg": 95,
           "stop.days": 0, "ground.clusters.0.name": "<b>", "link.downlink": "free",
           "learning.rounds.per_contact": "all", "learning.train": "yes"}  # fmt: skip
TAKEN = {"orbit.satellite": 41917, "link.downlink": "neglected", "start": None,
         "learning.rounds.per_contact": "fill", "learning.options": {"threshold": 0.2},
         "learning.model.kind": "bag_of_words:BagOfWords",
         "link.uplink": {"frequency_ghz": 20}}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), [*REFUSED.items(), *TAKEN.items()])
def test_it_agrees_with_the_loader(key: str, value: Any) -> None:
    document = written("quickstart")
    scenarios.set_key(document, key, value)
    taken = TAKEN.get(key) == value
    assert CHECK.is_valid(document) == taken
    if taken:
        scenarios.load("quickstart", {key: value})
    else:
        with pytest.raises(scenarios.ScenarioError):
            scenarios.load("quickstart", {key: value})


UNITS = {
    "_km": "km", "_m": "m", "_deg": "degrees", "_ghz": "GHz", "_mhz": "MHz", "_dbm": "dBm",
    "_dbi": "dBi", "_dbw": "dBW", "_db_k": "dB/K", "_db": "dB", "_mbps": "Mbit/s", "_gib": "GiB",
    "_w": "W", "_s": ", s", "_pct": "percent", "_hours": "hours", "temperature_k": "K",
    "tflops": "TFLOP/s",
}  # fmt: skip


def test_every_key_is_described_once_with_its_unit_and_default() -> None:
    needed = {(s["title"], key) for s in SECTIONS for key in s.get("required", ())}
    for section, key, value in KEYS:
        assert len(value["description"]) > 3, (section, key)
        assert ("default" in value) != ((section, key) in needed), (section, key)
        # That of a section is short, and says the same as all its keys.
        assert value.get("default") == {} or not isinstance(value.get("default"), dict), key
        for suffix in sorted((unit for unit in UNITS if key.endswith(unit)), key=len)[-1:]:
            if section != "WindowColumns":  # names of columns, not quantities
                assert UNITS[suffix] in value["description"], (section, key)
    assert all(s["additionalProperties"] is False for s in SECTIONS if "properties" in s)
    referred = set(re.findall(r"'\$ref': '#/\$defs/(\w+)'", str(SCHEMA)))
    assert referred == SCHEMA["$defs"].keys()
    small = {key: written("circular")[key] for key in ("start", "stop", "orbit", "ground")}
    empty = {**small, "link": {"uplink": {}, "downlink": {}}, "compute": {}}
    empty["learning"] = {"rounds": {}, "lora": {}, "model": {}, "data": {"columns": {}}}
    assert scenarios.from_dict(small) == scenarios.from_dict(empty)


@pytest.mark.parametrize("title", ORBITS)
def test_a_source_leads_to_its_own_keys(title: str) -> None:
    """As editors go about it: by the one alternative whose `source` is the constant written."""
    source = SCHEMA["$defs"][title]["properties"]["source"]["const"]
    wrong = {**written("quickstart"), "orbit": {"source": source, "x": 1}}
    [error] = CHECK.iter_errors(wrong)
    assert any("'x' was unexpected" in inner.message for inner in error.context)
    assert "source" in SCHEMA["$defs"][title]["required"]


# -- docs/scenarios.md


def properties(*titles: str) -> set[str]:
    return {key for title in titles for key in SCHEMA["$defs"][title]["properties"]}


def rows(head: str) -> list[tuple[list[str], list[str]]]:
    """Keys and cells of a table of the page."""
    lines = PAGE.split(f"\n| {head} ")[1].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [(re.findall(r"`(\w+)`", row[0]), row) for row in cells]


def column(head: str, at: int) -> dict[str, str]:
    pairs = [zip(keys, row[at].split(", "), strict=False) for keys, row in rows(head)]
    return {key: value for row in pairs for key, value in row if value != "-"}


def test_the_page_names_every_key_source_and_choice() -> None:
    sources = {SCHEMA["$defs"][t]["properties"]["source"]["const"] for t in ORBITS}
    keys = properties(*ORBITS, "Cluster", "Place", "WindowColumns", "Link", "Uplink", "Downlink")
    links = str([SCHEMA["$defs"][title]["properties"] for title in ("Link", "Uplink", "Downlink")])
    choices = set(re.findall(r"'(\w+)'", " ".join(re.findall(r"'enum': \[([^]]*)\]", links))))
    assert len(sources) == 7 and {"restart", "inverse_elevation"} < choices
    named = set(re.findall(r"`(?:orbit\.|link\.)?([a-z_]+)(?:: [a-z]+)?`", PAGE))
    assert (keys | sources | choices) - named == {"source", "slots"} - named
    listed = [key for keys, _ in rows("key | meaning | `physical` up") for key in keys]
    assert sorted(listed) == sorted(properties("Uplink", "Downlink"))


@pytest.mark.parametrize(
    ("at", "side", "preset"),
    [(2, "uplink", "physical"), (3, "downlink", "physical"), (4, "uplink", "paper")],
)
def test_the_page_has_the_values_of_presets_and_sidelinks(at: int, side: str, preset: str) -> None:
    forms = [{"rate": "outage"}, {"rate": "modcod"}, {"delivery": "unicast"}, {}]
    values: dict[str, Any] = {}  # all of a preset, each under a form that uses it
    for keys in forms[:2] + forms[3 - (side == "downlink") :]:
        said = {"preset": preset, side: keys, "sidelink": {"distance_km": 1}}
        scenario = scenarios.load("circular", {"link": said})
        values |= scenarios.resolved_link(scenario)[side]
    page = column("key | meaning | `physical` up", at)
    assert page.keys() == values.keys()
    for key, text in page.items():
        digits = len(text.partition(".")[2])
        assert values[key] == text or f"{values[key]:.{digits}f}" == text, key
    sidelink = column("key of `link.sidelink`", 2)
    radio = scenarios.resolved_sidelink(scenario) | {"distance_km": "from the places"}
    assert {k: type(radio[k])(v) for k, v in sidelink.items()} == radio
    assert properties("Sidelink") - sidelink.keys() == {"rate_mbps", "range_km"}


@pytest.mark.parametrize("example", re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S))
def test_an_example_of_the_page_loads(example: str, tmp_path: Path) -> None:
    def sections_of(text: str) -> dict[str, str]:
        parts = re.findall(r"^\w+:.*\n(?:(?:[ #].*)?\n)*", text, re.MULTILINE)
        return {part.split(":")[0]: part for part in parts}

    whole = sections_of(scenarios.shipped_path("circular").read_text()) | sections_of(example)
    (tmp_path / "mine.yaml").write_text("".join(whole.values()))
    assert scenarios.load(tmp_path / "mine.yaml").ground.clusters[0].name == "Munich"


# -- the package

HEAVY = {"pydantic", "yaml", "pandas", "torch", "matplotlib", "numpy", "scipy", "simpy", "skyfield",
         "orbit", "channel", "learning", "sim"}  # fmt: skip


@pytest.mark.process
@pytest.mark.parametrize(
    ("code", "loaded"),
    [("scenarios.shipped(), scenarios.ScenarioError", set()),
     ("scenarios.load('quickstart')", {"pydantic", "yaml"})],
)  # fmt: skip
def test_importing_is_light_and_loads_no_other_room(code: str, loaded: set[str]) -> None:
    script = f"import scenarios, sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert set(done.stdout.split()) & HEAVY == loaded


def test_public_names_are_there_and_explained() -> None:
    assert all(getattr(scenarios, name).__doc__ for name in scenarios.__all__)
    assert dir(scenarios) == sorted(scenarios.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        scenarios.nothing  # noqa: B018
