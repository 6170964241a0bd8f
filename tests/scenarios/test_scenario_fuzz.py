"""Any text and any mapping either validates or is refused in one line."""

import copy
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

import scenarios
from tests.kit.every_source import ORBITS, mapping_with

QUICKSTART = scenarios.shipped_path("quickstart").read_text()
STORED = {
    source: scenarios.from_dict(mapping_with(orbit)).model_dump(mode="json")
    for source, orbit in ORBITS.items()
}

PUNCTUATION = ["- ", "? ", ": ", "{", "}", "[", "]", "'", '"', "|", ">", "#", "%", "\n", "  ", "\t"]
SPECIALS = [
    "&a ",
    "*a",
    "!!int ",
    "!x ",
    "<<",
    "---\n",
    "...",
    "\\UFFFFFFFF",
    "\x85",
    "\ufeff",
    "\u2028",
]
WORDS = [
    "0x",
    "1e999",
    ".nan",
    "010",
    "null",
    "true",
    "2026-08-22",
    "source: slots",
    "stop: {}",
    "a.b",
]
YAML_PIECES = st.sampled_from(PUNCTUATION + SPECIALS + WORDS)
ANY_TEXT = st.text() | st.lists(YAML_PIECES | st.text(max_size=4), max_size=30).map("".join)

HUGE = st.integers(300, 4000).map(lambda digits: 10**digits)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
ANY_VALUE = st.recursive(
    SCALARS | HUGE | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def accepted_or_refused(scenario_of: Any, *arguments: Any) -> None:
    try:
        scenario = scenario_of(*arguments)
    except scenarios.ScenarioError as error:
        assert len(str(error).splitlines()) == 1
        assert len(str(error)) < 2000
    else:
        assert isinstance(scenario, scenarios.Scenario)


def load_text(text: str) -> scenarios.Scenario:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        return scenarios.load(path)


@settings(max_examples=500, deadline=None)
@given(ANY_TEXT)
def test_any_text_validates_or_is_refused(text: str) -> None:
    accepted_or_refused(load_text, text)


@settings(max_examples=500, deadline=None)
@given(at=st.integers(0, len(QUICKSTART)), gone=st.integers(0, 12), text=ANY_TEXT)
def test_a_damaged_scenario_validates_or_is_refused(at: int, gone: int, text: str) -> None:
    accepted_or_refused(load_text, QUICKSTART[:at] + text + QUICKSTART[at + gone :])


KEY_WORDS = [*ORBITS, "any", "single", "contact", "highest_elevation", "sun-synchronous", "star"]
ORBIT_KEYS = sorted({key for mapping in STORED.values() for key in mapping["orbit"]})


def paths_in(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    paths = []
    for key, inner in items:
        paths.append((*above, key))
        if isinstance(inner, dict | list):
            paths += paths_in(inner, (*above, key))
    return paths


SPOTS = [(source, path) for source, mapping in STORED.items() for path in paths_in(mapping)]


@settings(max_examples=500, deadline=None)
@given(
    spot=st.sampled_from(
        [(source, path) for source in STORED for path in paths_in(STORED[source])]
    ),
    value=ANY_VALUE | st.sampled_from(KEY_WORDS),
    extra=st.none() | st.text(max_size=9) | st.sampled_from(ORBIT_KEYS),
)
def test_any_value_in_any_place_validates_or_is_refused(
    spot: tuple[str, tuple[Any, ...]], value: Any, extra: str | None
) -> None:
    source, path = spot
    mapping = copy.deepcopy(STORED[source])
    parent = mapping
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    if extra is not None and isinstance(parent, dict):
        parent[extra] = value
    accepted_or_refused(scenarios.from_dict, mapping)


KEYS = st.sampled_from([".".join(map(str, path)) for path in paths_in(STORED["tle"])]) | st.text(
    max_size=12
)


@settings(max_examples=500, deadline=None)
@given(st.dictionaries(KEYS, ANY_TEXT | ANY_VALUE, max_size=3))
@example({"[key]": ""})
def test_any_override_validates_or_is_refused(overrides: dict[str, Any]) -> None:
    accepted_or_refused(scenarios.load, "quickstart", overrides)
