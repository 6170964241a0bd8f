"""From a file's text and overrides to a scenario: safe YAML, files, `--set`, order, round trip."""

import copy
import json
import os
import re
import tempfile
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scenarios
from statements import Refused
from tests.kit.every_source import CIRCULAR, ORBITS, changed, read
from tests.kit.inner.scenarios import MAX_DEPTH, MAX_NODES, parse_yaml

BERN = {"latitude_deg": 46.9, "longitude_deg": 7.4}

# -- YAML 1.2, core schema, without what a scenario has no use for

SCALARS = {
    "1e6": 1e6, "5e-3": 5e-3, "1.": 1.0, ".5": 0.5, "-3.25E+2": -325.0, "12": 12, "-7": -7,
    "+7": 7, "0": 0, "0x1F": 31, "0o17": 15, "true": True, "False": False, "null": None, "~": None,
    "no": "no", "on": "on", "Yes": "Yes", "1_000": "1_000", "12:30:45": "12:30:45", "''": "",
    "2026-08-22": "2026-08-22", "'12'": "12", "'null'": "null", "|\n  a\n  b\n": "a\nb\n",
    "[1, two, 3.0]": [1, "two", 3.0], "{no: 1, 1: 2, null: 3}": {"no": 1, "1": 2, "null": 3},
    "# only a comment\n": None,
}  # fmt: skip


def test_a_scalar_has_the_type_that_yaml_1_2_gives_it():
    for text, value in SCALARS.items():
        parsed = parse_yaml(text).value
        assert (parsed, type(parsed)) == (value, type(value)), text


# The golden messages have the others: anchors, keys given twice, leading zeros, broken syntax.
REFUSED_YAML = [
    ("a: 1\nb: *x\n", 2, "alias 'x'"),
    ("a: !!python/object/apply:os.system [ls]\n", 1, "tag"),
    ("a: -.inf\n", 1, "-.inf is not allowed; numbers must be finite"),
    ("a: 1e400\n", 1, "'1e400' is too large; numbers must be finite"),
    ("a: 99999999999999999999\n", 1, "whole numbers go up to 9223372036854775807"),
    ("a: 1\n? [b]\n: 1\n", 2, "a key must be a word"),
    ("a: 1\n---\na: 2\n", 2, "expected a single document"),
    ("a: 1\nb: \x07\n", 2, "a character that YAML does not allow"),
    ('a: "\\uD800"\n', 1, "half of a surrogate pair"),
    ('"\\UFFFFFFFF"', None, "escape that stands for no character"),
    ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), 1, "nested too deeply"),
    ("[" + "1," * MAX_NODES + "]", 1, "too many values"),
]


@pytest.mark.parametrize(("text", "line", "words"), REFUSED_YAML, ids=lambda v: str(v)[:20])
def test_what_a_scenario_has_no_use_for_is_refused_with_its_line(text, line, words):
    with pytest.raises(Refused) as caught:
        parse_yaml(text)
    [problem] = caught.value.statements
    assert problem.line == line
    assert words in problem.text


def test_what_is_at_the_limits_is_read_and_lines_are_those_of_keys_and_items():
    assert parse_yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH).value is not None
    assert len(parse_yaml("[" + "1," * (MAX_NODES - 1) + "]").value) == MAX_NODES - 1
    lines = parse_yaml("\na:\n  b: 1\nc:\n  - x\n  - {d: 2,\n     e: 3}\n").lines
    assert [lines[p] for p in (("a",), ("a", "b"), ("c", 1), ("c", 1, "e"))] == [2, 3, 6, 7]


# -- files


def saved(folder, content):
    text = json.dumps(content) if isinstance(content, dict) else content
    (folder / "mine.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    return folder / "mine.yaml"


def refusal(path, overrides=None):
    with pytest.raises(scenarios.ScenarioError) as caught:
        scenarios.load(path, overrides)
    [line] = str(caught.value).splitlines()
    assert len(line) < 600
    return line


def test_a_file_that_is_no_scenario_is_refused_by_name(tmp_path):
    for content, words in [
        (b"\xff\xfea\x00", ": is not text; "),
        ("null\n", ": is empty; "),
        ("\n5\n", ":2: is not a mapping; "),
        (f"{CIRCULAR}{'#' * (1_000_001 - len(CIRCULAR))}", ": is too large; "),
    ]:
        path = saved(tmp_path, content)
        assert refusal(path).startswith(f"{path}{words}")
    os.mkfifo(tmp_path / "pipe")
    for name, words in [
        (tmp_path, "is a folder"),
        (tmp_path / "pipe", "is not a regular file"),
        (path / "deeper.yaml", "Not a directory"),
        ("a\0b.yaml", "is not a path"),
        ("nowhere.yaml", "no such file; shipped are quickstart, "),
        ("paper-slot", "did you mean 'paper-slots'?"),
        (tmp_path / "mine.yml", f"did you mean '{path}'?"),
    ]:
        assert words in refusal(name)
    # Windows line ends and a byte order mark are fine.
    text = CIRCULAR.replace("\n", "\r\n").encode()
    found = scenarios.load(saved(tmp_path, b"\xef\xbb\xbf" + text))
    assert found == scenarios.load(saved(tmp_path, CIRCULAR))


@pytest.mark.parametrize("source", ["tle", "omm", "contacts"])
def test_a_named_file_counts_from_the_folder_of_the_scenario(tmp_path, source):
    (tmp_path / "sets").mkdir()
    one = tmp_path / "sets" / "one.txt"
    one.touch()
    for name in ("sets/one.txt", str(one), "none.txt", ".", "x" * 3000, "a\0b"):
        said = changed(source, {"orbit.path": name})
        scenario = scenarios.load(saved(tmp_path, said))
        if name.endswith("/one.txt"):
            assert scenarios.orbit_file(scenario) == one
        else:
            with pytest.raises(scenarios.ScenarioError, match=rf"^{tmp_path}/mine.*: no file "):
                scenarios.orbit_file(scenario)


CODE, OUT = "names Python code.*LEOMIX_ALLOW_CODE=1.*--set", "leads out of .*absolute path.*--set"
STRANGE = [
    ("learning.method", "theirs:Method", CODE),
    ("learning.options", {"gate": ["theirs:Gate"]}, CODE),
    ("learning.loss", "theirs:loss", CODE),
    ("orbit.path", "../secret.tle", OUT),
    ("ground.clusters.0.places_path", "link/x.csv", OUT),
    ("learning.model.tokenizer", "link", OUT),
    ("learning.model.checkpoints", ["fine", "full"], OUT),
    ("learning.sized_as", {"kind": "mixtral", "checkpoints": ["fine", "full"]}, OUT),
]


def test_code_and_files_elsewhere_are_the_users_own_word(tmp_path, monkeypatch):
    """Neither a file nor a manifest may name them, unless by --set or LEOMIX_ALLOW_CODE."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    for link in (tmp_path / "link", tmp_path / "full" / "link"):
        link.symlink_to("/")
    for key, value, words in STRANGE:
        monkeypatch.delenv("LEOMIX_ALLOW_CODE", raising=False)
        path = saved(tmp_path, changed("tle", {"ground.clusters.0.devices": None, key: value}))
        assert re.search(rf"mine.yaml:1: {key}[\w.]*: '.*{words}", refusal(path))
        allowed = scenarios.load(path, {key: value})
        stored = allowed.model_dump(mode="json")
        with pytest.raises(scenarios.ScenarioError, match=words):
            scenarios.from_stored(stored, {})
        assert scenarios.from_stored(stored, {key: value}) == allowed
        monkeypatch.setenv("LEOMIX_ALLOW_CODE", "1")
        assert scenarios.load(path) == allowed if words == CODE else re.search(OUT, refusal(path))


# -- overrides


LEARNS = f"{CIRCULAR}learning: {{}}\n"


def test_an_override_acts_as_if_the_file_had_said_so(tmp_path):
    """Text is read as YAML, other values are taken as they are."""
    path = saved(tmp_path, LEARNS)
    said = {
        "orbit.altitude_km": "1.2e3", "learning.train": "false", "seed": 7,
        "learning.options": "{layers: [1, 2]}", "compute.seconds_per_round": "null",
        "compute.tflops": "2", "ground.clusters.0.devices": "9",
        "ground.clusters.1": "{name: Oslo, latitude_deg: 59.9, longitude_deg: 10.8}",
    }  # fmt: skip
    found = scenarios.load(path, said)
    assert (found.orbit.altitude_km, found.learning.train, found.seed) == (1200, False, 7)
    assert found.learning.options == {"layers": [1, 2]}
    assert (found.compute.seconds_per_round, found.compute.tflops) == (None, 2)
    assert {c.name: c.devices for c in found.ground.clusters} == {"Munich": 9, "Oslo": 1}
    both = scenarios.load(path, {"orbit.altitude_km": "550", "orbit.raan_deg": "3"})
    assert both == scenarios.load(saved(tmp_path, LEARNS.replace("600", "550\n  raan_deg: 3")))


@pytest.mark.parametrize("of", [np.int64, np.uint8, np.float32, np.float64, np.asarray])
def test_a_number_of_numpy_is_that_of_python(tmp_path, of):
    path = saved(tmp_path, LEARNS)
    keys = {"seed": 7, "orbit.altitude_km": 200, "learning.options": {"layers": [1, 2]}}
    listed = {"layers": np.asarray([1, 2]) if of is np.asarray else [of(1), of(2)]}
    whole = np.int16 if of in (np.float32, np.float64) else of
    given_ = {"seed": whole(7), "orbit.altitude_km": of(200), "learning.options": listed}
    found = scenarios.load(path, given_)
    assert found == scenarios.load(path, keys)
    dumped = found.model_dump(mode="json")
    assert json.dumps(dumped)
    dumped["seed"], dumped["learning"]["options"] = whole(7), listed
    assert scenarios.from_dict(dumped) == scenarios.from_dict(found.model_dump(mode="json"))
    with pytest.raises(ValueError, match=r"seed: got -1; must be"):
        scenarios.load(path, {"seed": np.int64(-1)})


# -- what a manifest stores is the same scenario


def through_json(scenario):
    again = scenarios.from_dict(json.loads(json.dumps(scenario.model_dump(mode="json"))))
    assert again == scenario
    assert again.model_dump() == scenario.model_dump()
    return again


def test_a_scenario_is_a_value(tmp_path):
    path = saved(tmp_path, LEARNS)
    scenario = scenarios.load(path)
    assert (scenario.source_path, through_json(scenario).source_path) == (path, None)
    assert scenario != scenarios.load(path, {"learning.rounds.per_gap_max": 3}) != "scenario"
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        scenario.orbit.altitude_km = 3.0
    with pytest.raises(FrozenInstanceError):
        scenario.learning.step_size = 3.0
    start = datetime(2000, 3, 26, 2, tzinfo=ZoneInfo("Asia/Novokuznetsk"))  # skipped by the clocks
    found = through_json(scenarios.load(path, {"start": start}))
    assert found.start == start.astimezone(UTC)


# -- the campaign: anything validates, or is refused in one line

PIECES = [
    *("- ", "? ", ": ", "{", "}", "[", "]", "'", '"', "|", ">", "#", "%", "\n", "  ", "\t", "&a "),
    *("*a", "!!int ", "!x ", "<<", "---\n", "...", "\\UFFFFFFFF", "\x85", "\ufeff", "\u2028"),
    *("0x", "1e999", ".nan", "010", "null", "true", "2026-08-22", "source: slots", "stop: {}"),
]
ANY_TEXT = st.text() | st.lists(st.sampled_from(PIECES) | st.text(max_size=4)).map("".join)
HUGE = st.integers(300, 4000).map(lambda digits: 10**digits)
ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | HUGE | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)
STORED = {source: read(source, {}).model_dump(mode="json") for source in ORBITS}
WORDS = [*ORBITS, "any", "single", "contact", "highest_elevation", "sun-synchronous", "star"]


def keys_in(value, above=""):
    items = dict(enumerate(value)) if isinstance(value, list) else value
    pairs = [(f"{above}{key}", items[key]) for key in items] if isinstance(items, dict) else []
    return [found for key, inner in pairs for found in (key, *keys_in(inner, f"{key}."))]


def loaded(text):
    with tempfile.TemporaryDirectory() as folder:
        return scenarios.load(saved(Path(folder), text.encode("utf-8", "surrogatepass")))


def replaced(spot, value):
    source, key = spot
    mapping = copy.deepcopy(STORED[source])
    scenarios.set_key(mapping, key, value)
    return scenarios.from_dict(mapping)


CAMPAIGN = {
    loaded: (ANY_TEXT | ANY_TEXT.map(lambda text: CIRCULAR.replace("600", text)),),
    replaced: (
        st.sampled_from([(source, key) for source in STORED for key in keys_in(STORED[source])]),
        ANY_VALUE | st.sampled_from(WORDS) | st.integers(1, 4) | st.floats(0, 1),
    ),
    scenarios.load: (
        st.just("quickstart"),
        st.dictionaries(
            st.sampled_from(keys_in(STORED["tle"])) | st.text(max_size=12),
            ANY_TEXT | ANY_VALUE,
            max_size=3,
        ),
    ),
}


@pytest.mark.parametrize("make", CAMPAIGN, ids=lambda make: make.__name__)
@given(data=st.data())
def test_anything_validates_or_is_refused_in_one_line(make, data):
    try:
        scenario = make(*(data.draw(values) for values in CAMPAIGN[make]))
    except scenarios.ScenarioError as error:
        assert len(str(error).splitlines()) == 1
        assert len(str(error)) < 2000
    else:
        through_json(scenario)


def test_what_follows_from_a_section_that_a_file_lacks_has_the_file_and_no_line(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(CONTACTS)
    with pytest.raises(scenarios.ScenarioError, match=r"mine\.yaml: link\.uplink\.rate: got"):
        scenarios.load(file)
    file.write_text(CONTACTS + "link: {preset: physical}\n")
    with pytest.raises(scenarios.ScenarioError, match=r"mine\.yaml:5: link\.uplink\.rate: got"):
        scenarios.load(file)


CONTACTS = """\
description: a section is missing
stop: {days: 1}
orbit: {source: contacts, path: min.csv}
ground: {clusters: [{name: A}, {name: B}]}
"""
