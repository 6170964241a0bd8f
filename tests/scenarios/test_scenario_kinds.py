"""Devices that differ: a cluster's own computing, and kinds of devices in a cluster."""

from typing import Any

import pytest

import scenarios
from tests.kit.every_source import ORBITS, mapping_with

PLACE = {"latitude_deg": 48.2, "longitude_deg": 11.5}
KINDS = [{"devices": 3, "tflops": 2.0}, {"devices": 2, "power_w": 5.0}]


def cluster_of(**keys: Any) -> Any:
    return scenarios.from_dict(mapping_with(ORBITS["circular"], keys)).ground.clusters[0]


def refused(**keys: Any) -> str:
    with pytest.raises(scenarios.ScenarioError) as caught:
        cluster_of(**keys)
    return str(caught.value).removeprefix("ground.clusters.0.")


@pytest.mark.parametrize("keys", [{}, {"devices": 5}, {"devices": None}])
def test_kinds_count_the_devices(keys: dict[str, Any]) -> None:
    assert cluster_of(kinds=KINDS, **keys).devices == 5


def test_kinds_may_have_places() -> None:
    cluster = cluster_of(kinds=KINDS, places=[PLACE] * 5)
    assert (cluster.devices, len(cluster.places)) == (None, 5)


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (
            {"kinds": KINDS, "devices": 4},
            "kinds: are 5 devices in all, but devices says 4; make them agree",
        ),
        (
            {"kinds": KINDS, "places": [PLACE] * 3},
            "kinds: are 5 devices in all, but places says 3; make them agree",
        ),
        (
            {"kinds": KINDS, "compute": {"power_w": 3.0}},
            "kinds: cannot stand beside compute; keep one of them",
        ),
        (
            {"compute": {"tflops": 1.0, "seconds_per_round": 2.0}},
            "compute.tflops: cannot stand beside compute.seconds_per_round; keep one and set the "
            "other to null",
        ),
        (
            {"kinds": [{"devices": 1, "tflops": 1.0, "seconds_per_round": 2.0}]},
            "kinds.0.tflops: cannot stand beside kinds.0.seconds_per_round; keep one and set the "
            "other to null",
        ),
        (
            {"kinds": [{"devices": 1}, {"tflops": 1.0}]},
            "kinds.1.devices: is missing; give the number of devices of this kind (>= 1 and <= "
            "10000)",
        ),
        ({"kinds": [{"devices": 0}]}, "kinds.0.devices: got 0; must be >= 1"),
        ({"kinds": [{"devices": "3"}]}, "kinds.0.devices: got '3'; must be a whole number"),
        ({"kinds": [{"devices": 1, "tflop": 1.0}]}, "kinds.0.tflop: is not a known key; did you"),
        ({"kinds": []}, "kinds: got a list; must be a list that is not empty"),
        ({"kinds": 3}, "kinds: got 3; must be a list"),
        ({"kinds": [3]}, "kinds.0: got 3; must be a mapping"),
        ({"compute": 3}, "compute: got 3; must be a mapping"),
        ({"compute": {"memory_gib": -1.0}}, "compute.memory_gib: got -1.0; must be > 0"),
        ({"kinds": [{"devices": 9_999}] * 2}, "devices: got 19998; must be >= 1 and <= 10000"),
    ],
)
def test_a_contradiction_is_told(keys: dict[str, Any], line: str) -> None:
    assert refused(**keys).startswith(line)


def test_what_is_read_reads_back() -> None:
    for keys in ({"kinds": KINDS}, {"compute": {"memory_gib": 4.0}, "devices": 2}):
        whole = scenarios.from_dict(mapping_with(ORBITS["circular"], keys))
        assert scenarios.from_dict(whole.model_dump(mode="json")) == whole


@pytest.mark.parametrize(
    ("own", "paces"),
    [
        ({}, (60.0, None, 8.0, 20.0)),
        ({"tflops": 3.0}, (None, 3.0, 8.0, 20.0)),
        ({"seconds_per_round": 3.0, "memory_gib": 2.0}, (3.0, None, 2.0, 20.0)),
        ({"power_w": 1.0}, (60.0, None, 8.0, 1.0)),
    ],
)
def test_what_a_device_does_not_say_is_the_scenarios(
    own: dict[str, float], paces: tuple[float | None, ...]
) -> None:
    base = {"compute": {"memory_gib": 8.0, "power_w": 20.0}}
    whole = scenarios.from_dict({**mapping_with(ORBITS["circular"], {"compute": own}), **base})
    found = whole.compute.but(whole.ground.clusters[0].compute)
    assert (found.seconds_per_round, found.tflops, found.memory_gib, found.power_w) == paces


def test_a_misplaced_key_is_sent_to_the_sections_that_all_devices_share() -> None:
    with pytest.raises(scenarios.ScenarioError, match=r"did you mean 'compute.memory_gib'\?"):
        scenarios.from_dict({**mapping_with(ORBITS["circular"], {}), "memory_gib": 8.0})
