"""What a refusal advises helps: applied, the same is not said of the same key again."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import scenarios
from statements import (
    Code,
    Give,
    Lower,
    Other,
    Raise,
    Refused,
    Remove,
    Set,
    Severity,
    Statement,
    as_json,
    as_key,
    line,
)
from tests.kit.small import ORBIT, merged
from tests.kit.small_nmoe import NMOE
from tests.kit.worlds import doubts_before, make_plan, method_of
from tests.scenarios.test_messages import FILES, GOLDEN, OF_FILES


def refusal(mapping):
    """What is refused of a scenario, of its method, or of its contacts; None for nothing."""
    try:
        scenario = scenarios.from_dict(mapping)
        if scenario.learning is not None:
            method_of(scenario)
        make_plan(scenario)
    except Refused as error:
        return error.statement
    return None


def subject(said):
    """What a statement is about: of clients, each is another one."""
    return said.code, said.keys, said.values.get("client")


def now(mapping, path=()):
    """The values of a mapping by dotted key."""
    found = {}
    for key, value in mapping.items() if isinstance(mapping, dict) else enumerate(mapping):
        here = (*path, key)
        found[".".join(map(str, here))] = value
        if isinstance(value, dict | list):
            found |= now(value, here)
    return found


def mended(mapping, overrides):
    """A copy of a mapping with keys set, or taken out."""
    copy = yaml.safe_load(yaml.safe_dump(mapping))
    for key, value in overrides.items():
        if value is not None:
            scenarios.set_key(copy, key, value)
            continue
        section = copy
        *above, last = key.split(".")
        for part in above:
            section = section[int(part) if isinstance(section, list) else part]
        section.pop(last, None)
    return copy


def of_golden():
    for _, file, right, wrong, _ in OF_FILES:
        if file.endswith(".yaml"):
            yield wrong if right is None else FILES[file].replace(right, wrong), {}
    for command, _ in GOLDEN["commands"]:
        words = shlex.split(command)
        if words[0] == "validate" and words[1] in FILES and words[1].endswith(".yaml"):
            sets = [word for word in words[2:] if "=" in word]
            yield FILES[words[1]], dict(one.split("=", 1) for one in sets)


def every_mapping():
    for text, overrides in of_golden():
        try:
            mapping = yaml.safe_load(text)
            for key, value in overrides.items():
                scenarios.set_key(mapping, key, yaml.safe_load(value))
        except (yaml.YAMLError, TypeError, ValueError):  # no scenario at all
            continue
        if isinstance(mapping, dict):
            yield mapping


REFUSED = {
    *(Code.UNUSED, Code.MISSING, Code.CONFLICT, Code.UNSUPPORTED),
    *(Code.WRONG_VALUE, Code.NEVER_SEEN),
}


def test_each_remedy_that_can_be_applied_mends_what_it_is_said_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(name).write_text(text)
    applied, codes = 0, set()
    for mapping in every_mapping():
        said = refusal(mapping)
        for remedy in () if said is None else said.remedies:
            overrides = remedy.overrides(now(mapping))
            if not overrides:
                continue
            after = refusal(mended(mapping, overrides))
            again = after is not None and subject(after) == subject(said)
            assert not again, f"{line(said)}: after {overrides}, {line(after)}"
            applied += 1
            codes.add(said.code)
    assert applied > 75
    assert codes >= REFUSED


BELOW = {"ground": {"clusters": [{"name": "A", "latitude_deg": 10, "longitude_deg": 165}]}}
MEO = {"source": "keplerian", "semi_major_axis_km": 26560, "inclination_deg": 55}
UNTRAINED = {"learning": {"train": False}}
PLAIN = {"learning": {"method": "fedavg", "model": {"kind": "vector-mlp"}}}
SATELLITES = yaml.safe_load("""
start: "2024-04-14T16:00:00Z"
stop: {days: 0.1}
roles: {server: stations, clients: satellites}
orbit:
  {source: walker, pattern: star, satellites: 24, planes: 4, phasing: 1, altitude_km: 1200,
   inclination_deg: 86, min_elevation_deg: 0}
ground: {antennas: unlimited, stations: [{name: Tromso, latitude_deg: 69.65, longitude_deg: 18.95}]}
link:
  downlink: {rate: fixed, fixed_rate_mbps: 10}
  isl: {within_plane: ring, between_planes: grid, rate_mbps: 1000}
compute: {seconds_per_round: 120}
learning: {train: false, method: fedisl, model: {kind: vector-mlp}}
""")
MESH = {"learning": {"method": "fedavg"}, "link": {"isl": {"route": "earliest"}}}
PAIRS = {"link": {"isl": {"within_plane": "none", "between_planes": "all", "terminals": 1}}}
DOUBTED: list[tuple[Code, dict[str, Any], dict[str, Any]]] = [
    (Code.LONG_SESSION, {**merged(ORBIT, BELOW), "orbit": MEO, **PLAIN}, {}),
    (Code.UNUSED, SATELLITES, {}),
    (Code.SPLIT_NETWORK, merged(merged(SATELLITES, MESH), PAIRS), {}),
    (Code.LATE_ACQUISITION, SATELLITES, {"link.isl.acquisition_s": 1500}),
    (Code.NEVER_LINKED, merged(NMOE, {"link": {"sidelink": None, "relay": "none"}}),
     {"learning.options.gate": "fedgate", "learning.options.inference_samples": 4}),
    (Code.DEVICE_MEMORY, merged(ORBIT, UNTRAINED | {"learning": {"method": "fedavg"}}),
     {"compute.memory_gib": 1.3e-5}),
    (Code.MANY_ROUNDS, merged(ORBIT, {"learning": {"method": "fedbuff"}}),
     {"compute.seconds_per_round": 10}),
    (Code.MANY_ROUNDS, merged(ORBIT, {"learning": {"method": "fedbuff"}}),
     {"compute.seconds_per_round": 10, "learning.rounds.per_gap_max": 100}),
    (Code.WEAK_LINK, ORBIT, {"link.uplink.rate": "fixed", "link.uplink.fixed_rate_mbps": 3.6}),
    (Code.HIGH_EFFICIENCY, ORBIT, {"link.uplink.eirp_dbw": 20.0}),
    (Code.NO_FILE, yaml.safe_load(scenarios.shipped_path("plain-text").read_text()), {}),
]  # fmt: skip


def doubted(mapping, code):
    """What is doubted with a code; one that is refused instead is not mended."""
    return [said for said in doubts_before(scenarios.from_dict(mapping)) if said.code is code]


@pytest.mark.parametrize(("code", "mapping", "keys"), DOUBTED)
def test_each_remedy_of_a_doubt_ends_it(code, mapping, keys):
    mapping = mended(mapping, keys)
    [said, *_] = doubted(mapping, code)
    applied = 0
    for remedy in said.remedies:
        overrides = remedy.overrides(now(mapping))
        if overrides:
            again = [one.keys for one in doubted(mended(mapping, overrides), code)]
            assert said.keys not in again, f"{line(said)}: after {overrides}"
            applied += 1
    assert applied


OVER_BERN = yaml.safe_load("""
start: "2026-08-22T12:00:00Z"
stop: {days: 1}
orbit: {source: circular, altitude_km: 600, inclination_deg: 30}
ground: {clusters: [{name: Z, latitude_deg: 5, longitude_deg: 0}]}
compute: {seconds_per_round: 60}
learning: {method: fedavg, train: false, model: {kind: vector-mlp}}
""")
FROM_DEVICES = merged(OVER_BERN, yaml.safe_load("""
stop: {days: 0.01}
roles: {server: stations, clients: devices}
orbit: {source: walker, altitude_km: 1200, inclination_deg: 10, planes: 2, satellites: 16,
        min_elevation_deg: 10}
ground:
  stations: [{name: Z, latitude_deg: 5, longitude_deg: 0}]
  clusters: [{name: C, latitude_deg: 5, longitude_deg: 180}]
link: {isl: {rate_mbps: 10, within_plane: ring, route: earliest}, feeder: {rate_mbps: 10}}
"""))  # fmt: skip
UNSERVED: list[tuple[Code, dict[str, Any], int]] = [
    (Code.NEVER_SERVED, {"orbit": OVER_BERN["orbit"] | {"min_contact_s": 5000}}, 1),
    (Code.NEVER_SERVED, {"faults": {"outages": {"per_day": 3, "mean_hours": 50}}}, 3),
    (Code.NEVER_REACHED, FROM_DEVICES, 1),
]


@pytest.mark.parametrize(("code", "keys", "known"), UNSERVED)
def test_each_remedy_of_contacts_that_are_not_there_ends_it(code, keys, known):
    mapping = {key: value for key, value in {**OVER_BERN, **keys}.items() if value is not None}
    said = refusal(mapping)
    assert said.code is code
    every = [overrides for one in said.remedies if (overrides := one.overrides(now(mapping)))]
    assert len(every) == known
    for overrides in every:
        after = refusal(mended(mapping, overrides))
        assert after is None, f"{line(said)}: after {overrides}, {line(after)}"


def test_a_small_whole_number_is_lowered_to_one_and_not_to_none():
    assert [Lower("a").overrides({"a": n}) for n in (250, 20, 3)] == [{"a": 25}, {"a": 2}, {"a": 1}]


KEYS = st.sampled_from(["link.uplink.rate", "stop.days", "ground.clusters.0.name"])
NUMBERS = st.integers(1, 9)
VALUES = st.one_of(NUMBERS, st.floats(0, 9), st.booleans(), st.text())
REMEDIES = st.one_of(
    st.builds(Set, KEYS, VALUES, st.tuples(VALUES)),
    st.builds(Remove, KEYS),
    st.builds(Give, KEYS, st.one_of(st.none(), VALUES), st.text()),
    st.builds(Raise, KEYS, st.one_of(st.none(), st.floats(1, 9)), st.one_of(st.none(), NUMBERS)),
    st.builds(Lower, KEYS, st.one_of(st.none(), st.floats(1, 9)), st.one_of(st.none(), NUMBERS)),
    st.builds(Other, st.just(""), st.text(min_size=1)),
)


@given(
    st.sampled_from(Code),
    st.lists(KEYS, max_size=2),
    st.sampled_from(["it is {x:.3g} of {y}", "it is {y}, not {{this}}", "{y}"]),
    st.floats(),
    st.one_of(VALUES, st.tuples(VALUES, NUMBERS), st.just(Path("a"))),
    st.lists(REMEDIES, max_size=3),
)
def test_what_json_tells_is_said_again(code, keys, text, x, y, remedies):
    paths = tuple(map(as_key, keys))
    said = Statement(code, paths, text, {"x": x, "y": y}, tuple(remedies), Severity.DOUBT)
    again = Statement.told(json.loads(json.dumps(as_json(said))))
    assert str(again) == str(said)
    assert (again.code, again.severity) == (said.code, said.severity)


def test_a_text_of_somebody_else_may_have_braces():
    assert str(Refused("a {b} {0} {")) == "a {b} {0} {"
    said = Statement.of(Code.OTHER, "a.b", "got {value!r}", value="{x}")
    assert str(said.below("c", 0)) == "c.0.a.b: got '{x}'"
