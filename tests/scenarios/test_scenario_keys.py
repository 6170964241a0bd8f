"""A wrong key or value gets one line: file, line, key, what is wrong, what is allowed."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import scenarios

Refusal = Callable[..., str]
Write = Callable[[str | bytes], Path]

CIRCLE = "altitude_km: 600\n  inclination_deg: 9"


@pytest.mark.parametrize(
    ("wrong", "right", "line"),
    [
        (
            "altitude_kms: 600",
            "altitude_km: 600",
            "mine.yaml:5: orbit.altitude_kms: is not a known key; did you mean 'altitude_km'? "
            "(and 1 more)",
        ),
        (
            "altitude_km: abc",
            "altitude_km: 600",
            "mine.yaml:5: orbit.altitude_km: got 'abc'; must be a number >= 160 and <= 2000 "
            "(altitude above the equator, km)",
        ),
        (
            "altitude_km: '600'",
            "altitude_km: 600",
            "mine.yaml:5: orbit.altitude_km: got '600'; must be a number >= 160 and <= 2000 "
            "(altitude above the equator, km)",
        ),
        (
            "altitude_km: 100",
            "altitude_km: 600",
            "mine.yaml:5: orbit.altitude_km: got 100; must be >= 160 and <= 2000 "
            "(altitude above the equator, km)",
        ),
        (
            "altitude_km: .inf",
            "altitude_km: 600",
            "mine.yaml:5: orbit.altitude_km: .inf is not allowed; numbers must be finite",
        ),
        (
            "altitude_km: true",
            "altitude_km: 600",
            "mine.yaml:5: orbit.altitude_km: got true; must be a number >= 160 and <= 2000 "
            "(altitude above the equator, km)",
        ),
        (
            "beams: 1",
            "altitude_km: 600",
            "mine.yaml:3: orbit.altitude_km: is missing; give the altitude above the equator, km "
            "(>= 160 and <= 2000)",
        ),
        (
            "source: circle",
            "source: circular",
            "mine.yaml:4: orbit.source: got 'circle'; source must be one of 'tle', 'omm', "
            "'circular', 'keplerian', 'walker', 'contacts', 'slots'; did you mean 'circular'?",
        ),
        (
            "beams: 1",
            "source: circular",
            "mine.yaml:3: orbit.source: is missing; it must be one of 'tle', 'omm', "
            "'circular', 'keplerian', 'walker', 'contacts', 'slots'",
        ),
        (
            "stop: 5",
            "stop: {days: 1}",
            "mine.yaml:2: stop: got 5; must be a mapping of keys "
            "(end of the run: cycles or days, and accuracy if wanted)",
        ),
        (
            "devices: 2.5",
            "devices: 5",
            "mine.yaml:9: ground.clusters.0.devices: got 2.5; must be a whole number >= 1 and "
            "<= 10000 (number of devices; 1 if no places are given)",
        ),
        (
            "name: 7",
            "name: Bern",
            "mine.yaml:10: ground.clusters.1.name: got 7; must be text "
            "(unique name, of the letters A to Z, digits, blanks and _ . -); quote it: '7'",
        ),
        (
            "name: Bérn",
            "name: Bern",
            "mine.yaml:10: ground.clusters.1.name: got 'Bérn'; must be text of the allowed "
            "characters (unique name, of the letters A to Z, digits, blanks and _ . -)",
        ),
        (
            "name: Munich",
            "name: Bern",
            "mine.yaml:10: ground.clusters.1.name: 'Munich' is taken; names must be unique",
        ),
        (
            "latitude_deg: 91",
            "latitude_deg: 46.9",
            "mine.yaml:10: ground.clusters.1.latitude_deg: got 91; must be >= -90 and <= 90 "
            "(latitude, north +, degrees)",
        ),
        (
            "start: 2026-08-22T00:00:00",
            "start: 2026-08-22T00:00:00Z",
            "mine.yaml:1: start: 2026-08-22T00:00:00 has no time zone; 2026-08-22T00:00:00Z is UTC",
        ),
        (
            "start: tomorrow",
            "start: 2026-08-22T00:00:00Z",
            "mine.yaml:1: start: got 'tomorrow'; must be a UTC time, "
            "write it like 2026-08-22T00:00:00Z",
        ),
        (
            "start: 0001-01-01T00:00:00+05:00",
            "start: 2026-08-22T00:00:00Z",
            "mine.yaml:1: start: 0001-01-01T00:00:00+05:00 is out of range; "
            "the years 1958 to 2099 are allowed",
        ),
    ],
)
def test_a_wrong_line_is_answered_with_how_to_mend_it(
    refusal: Refusal, circular: str, wrong: str, right: str, line: str
) -> None:
    assert refusal(circular.replace(right, wrong)) == line


@pytest.mark.parametrize(
    ("added", "line"),
    [
        ("altitude_km: 600", "altitude_km: is not a known key; did you mean 'orbit.altitude_km'?"),
        ("Seed: 3", "Seed: is not a known key; did you mean 'seed'?"),
        (
            "learning: {stepsize: 1}",
            "learning.stepsize: is not a known key; did you mean 'step_size'?",
        ),
        (
            "link: {uplink: {tx-power-dbm: 23}}",
            "link.uplink.tx-power-dbm: is not a known key; did you mean 'tx_power_dbm'?",
        ),
        (
            "link: {downlink: {fadin: none}}",
            "link.downlink.fadin: is not a known key; did you mean 'fading'?",
        ),
        (
            "compute: {zzz: 1}",
            "compute.zzz: is not a known key; allowed here: "
            "memory_gib, power_w, seconds_per_round, tflops",
        ),
        (
            "link: {downlink: ignored}",
            "link.downlink: got 'ignored'; must be 'neglected' or a mapping of link keys "
            "(satellite to device: 'neglected' (takes no time) or overrides of the preset)",
        ),
        (
            "link: {uplink: {fading: ricean}}",
            "link.uplink.fading: got 'ricean'; must be one of 'none', 'rayleigh', 'rician' "
            "(small-scale fading); did you mean 'rician'?",
        ),
        (
            "learning: {rounds: {per_contact: full}}",
            "learning.rounds.per_contact: got 'full'; must be a whole number >= 1, or 'fill' "
            "(rounds in a contact, or 'fill' for as many as it holds)",
        ),
        (
            "learning: {rounds: {per_contact: 0}}",
            "learning.rounds.per_contact: got 0; must be >= 1 "
            "(rounds in a contact, or 'fill' for as many as it holds)",
        ),
        (
            "learning: {train: no}",
            "learning.train: got 'no'; must be true or false "
            "(false for a timing-only run, which trains nothing)",
        ),
        (
            "seed: -1",
            "seed: got -1; must be >= 0 and <= 9223372036854775807 (seed of every random stream)",
        ),
        (
            '"a\\nb": 1',
            "'a\\nb': is not a known key; allowed here: compute, description, faults, ground, "
            "learning, link, orbit, seed, start, stop",
        ),
    ],
)
def test_a_wrong_addition_is_answered_with_the_nearest_right_one(
    refusal: Refusal, circular: str, added: str, line: str
) -> None:
    assert refusal(f"{circular}{added}\n") == f"mine.yaml:11: {line}"


@pytest.mark.parametrize(
    ("source", "key", "owners"),
    [
        ("source: tle\n  path: x.tle", "altitude_km: 600", "circular and walker"),
        ("source: omm\n  path: x.json", "checksum: ignore", "tle"),
        ("source: omm\n  path: x.json", "eccentricity: 0.1", "keplerian"),
        ("source: slots", "min_elevation_deg: 5", "tle, omm, circular, keplerian and walker"),
        ("source: slots", "beams: 2", "tle, omm, circular, keplerian, walker and contacts"),
        (
            "source: contacts\n  path: x.csv",
            "min_elevation_deg: 5",
            "tle, omm, circular, keplerian and walker",
        ),
        (f"source: circular\n  {CIRCLE}", "slots: {idle: 1}", "slots"),
        (f"source: circular\n  {CIRCLE}", "path: x.tle", "tle, omm and contacts"),
        (f"source: circular\n  {CIRCLE}", "satellite: 5", "tle, omm, walker and contacts"),
        (f"source: circular\n  {CIRCLE}", "planes: 3", "walker"),
        (f"source: circular\n  {CIRCLE}", "columns: {site: x}", "contacts"),
        (f"source: walker\n  {CIRCLE}", "semi_major_axis_km: 7000", "keplerian"),
    ],
)
def test_a_key_of_another_source_is_named_as_such(
    refusal: Refusal, source: str, key: str, owners: str
) -> None:
    text = f"stop: {{days: 1}}\nground: {{clusters: [{{name: A}}]}}\norbit:\n  {key}\n  {source}\n"
    name, tag = key.split(":")[0], source.split("\n")[0].removeprefix("source: ")
    expected = f"mine.yaml:4: orbit.{name}: is not used by source {tag!r} (it belongs to {owners})"
    assert refusal(text).startswith(expected)


@pytest.mark.parametrize("key", ["stop", "orbit", "ground"])
def test_a_missing_section_is_told(refusal: Refusal, circular: str, key: str) -> None:
    rest = re.sub(rf"^{key}:.*\n( .*\n)*", "", circular, flags=re.MULTILINE)
    assert rest != circular
    assert refusal(rest).startswith(f"mine.yaml:1: {key}: is missing; give the ")


def test_several_errors_are_counted(refusal: Refusal, circular: str) -> None:
    text = circular.replace("600", "6000").replace("97.8", "300").replace("48.1", "148")
    assert refusal(text).startswith("mine.yaml:5: orbit.altitude_km: got 6000;")
    assert refusal(text).endswith(" (and 2 more)")


def test_a_time_in_another_zone_becomes_utc(write: Write, circular: str) -> None:
    scenario = scenarios.load(write(circular.replace("00:00:00Z", "02:30:00+02:30")))
    assert scenario.start == datetime(2026, 8, 22, tzinfo=UTC)
    assert scenario.model_dump(mode="json")["start"] == "2026-08-22T00:00:00Z"


def test_clusters_are_put_in_the_order_of_their_names(write: Write, circular: str) -> None:
    scenario = scenarios.load(write(circular))
    assert [(c.name, c.devices) for c in scenario.ground.clusters] == [("Bern", 1), ("Munich", 5)]


@pytest.mark.parametrize("number", ["41917", "'41917'"])
def test_a_satellite_is_named_by_text_or_by_catalogue_number(number: str) -> None:
    assert scenarios.load("quickstart", {"orbit.satellite": number}).orbit.satellite == "41917"


@pytest.mark.parametrize(
    ("mapping", "line"),
    [
        ({}, "stop: is missing; give the end of the run"),
        ({"stop": {"days": float("nan")}}, "stop.days: got nan; must be a finite number > 0"),
        ({"stop": {"days": 10**5000}}, "stop.days: got a very large int; must be a number > 0"),
        ({1: 2}, "1: is not a known key; allowed here: compute, "),
        ([], "a scenario is a mapping of keys, not a list"),
    ],
)
def test_a_mapping_from_python_is_refused_in_the_same_words(mapping: Any, line: str) -> None:
    with pytest.raises(scenarios.ScenarioError) as caught:
        scenarios.from_dict(mapping)
    assert str(caught.value).startswith(line)
