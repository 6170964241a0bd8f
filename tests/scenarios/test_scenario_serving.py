"""Who is served when: the keys that all sources with satellites share."""

from typing import Any

import pytest

import scenarios
from tests.kit.every_source import ORBITS, SERVED, mapping_with

ONLY_WITH_ANY = {
    "hand_over": "longest_remaining",
    "hand_over_gap_s": 30.0,
    "session": "joined",
    "sync_delay_s": 0.0,
}


def orbit_of(source: str, **keys: Any) -> Any:
    return scenarios.from_dict(mapping_with({**ORBITS[source], **keys})).orbit


def refused(source: str, **keys: Any) -> str:
    with pytest.raises(scenarios.ScenarioError) as caught:
        orbit_of(source, **keys)
    return str(caught.value)


@pytest.mark.parametrize("source", SERVED)
def test_the_defaults_are_those_of_one_satellite_except_for_a_constellation(source: str) -> None:
    orbit = orbit_of(source)
    assert (orbit.beams, orbit.priority, orbit.min_contact_s) == (1, "least_recently_served", 0)
    assert orbit.serving == ("any" if source == "walker" else "single")
    assert [getattr(orbit, key) for key in ONLY_WITH_ANY] == [None] * 4


@pytest.mark.parametrize("source", SERVED)
@pytest.mark.parametrize("key", ONLY_WITH_ANY)
def test_keys_of_several_satellites_need_serving_any(source: str, key: str) -> None:
    keys = {key: ONLY_WITH_ANY[key]}
    assert getattr(orbit_of(source, serving="any", **keys), key) == ONLY_WITH_ANY[key]
    assert refused(source, serving="single", **keys) == (
        f"orbit.{key}: is not used with serving 'single'; set serving: any"
    )


@pytest.mark.parametrize("source", ["tle", "omm", "walker", "contacts"])
def test_one_satellite_is_named_for_serving_single_only(source: str) -> None:
    assert orbit_of(source, serving="single", satellite=41917).satellite == "41917"
    assert refused(source, serving="any", satellite="A") == (
        "orbit.satellite: is not used with serving 'any'; set serving: single"
    )


def test_the_satellite_of_a_constellation_asks_for_serving_single() -> None:
    assert "set serving: single" in refused("walker", satellite="A")


def test_contacts_that_are_sessions_are_not_joined() -> None:
    assert orbit_of("walker", session="contact").session == "contact"
    assert refused("walker", session="contact", hand_over_gap_s=0) == (
        "orbit.hand_over_gap_s: is not used with session 'contact'; set session: joined"
    )


@pytest.mark.parametrize(
    ("key", "other"), [("priority", "least_recently_served"), ("hand_over", "longest_remaining")]
)
def test_ready_windows_have_no_elevation_to_choose_by(key: str, other: str) -> None:
    assert refused("contacts", serving="any", **{key: "highest_elevation"}) == (
        f"orbit.{key}: got 'highest_elevation', but source 'contacts' has no elevations; "
        f"use {other!r}"
    )
    assert getattr(orbit_of("walker", **{key: "highest_elevation"}), key) == "highest_elevation"


@pytest.mark.parametrize("source", SERVED)
@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"beams": 0}, "beams: got 0; must be >= 1 and <= 10000"),
        ({"min_contact_s": -1}, "min_contact_s: got -1; must be >= 0 and <= 1e+09"),
        ({"hand_over_gap_s": -1}, "hand_over_gap_s: got -1; must be >= 0 and <= 1e+09"),
        ({"sync_delay_s": "60"}, "sync_delay_s: got '60'; must be a number >= 0 and <= 1e+09"),
        (
            {"serving": "all"},
            "serving: got 'all'; must be one of 'single', 'any' (one satellite, or any of them: "
            "each an access point of the same server)",
        ),
        (
            {"priority": "highest"},
            "priority: got 'highest'; must be one of 'least_recently_served', "
            "'highest_elevation' (which cluster gets a free beam)",
        ),
        (
            {"session": "join"},
            "session: got 'join'; must be one of 'joined', 'contact' (contacts joined over the "
            "hand-over gap, or each its own; null for joined); did you mean 'joined'?",
        ),
    ],
)
def test_a_value_out_of_range_is_told_by_every_source(
    source: str, keys: dict[str, Any], line: str
) -> None:
    assert refused(source, **keys).startswith(f"orbit.{line}")
