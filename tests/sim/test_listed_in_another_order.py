"""Clusters, devices, satellites and windows listed in another order are the same run."""

from __future__ import annotations

import random
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

import scenarios
import sim
from tests.kit.small import ORBIT, merged

PLACES = [
    {"name": "b", "latitude_deg": 60.1, "longitude_deg": 20.3},
    {"name": "c", "latitude_deg": 60.2, "longitude_deg": 20.1, "min_elevation_deg": 30},
    {"name": "a", "latitude_deg": 59.9, "longitude_deg": 20.2, "altitude_m": 40},
]
KINDS = [
    {"devices": 1, "seconds_per_round": 100},
    {"devices": 1, "seconds_per_round": 300},
    {"devices": 1, "seconds_per_round": 200},
]


def trace(whole: dict[str, Any]) -> str:
    digest: str = sim.run(scenarios.from_dict(whole)).manifest["trace_sha256"]
    return digest


def timed(**changes: Any) -> dict[str, Any]:
    return merged(ORBIT, {"learning": {"train": False}, "stop": {"days": 0.5}, **changes})


@pytest.mark.parametrize("seed", range(3))
def test_devices_with_their_kinds(seed: int) -> None:
    def listed(order: list[int]) -> dict[str, Any]:
        whole = timed()
        north = whole["ground"]["clusters"][0]
        del north["devices"], north["radius_km"]
        north |= {"places": [PLACES[k] for k in order], "kinds": [KINDS[k] for k in order]}
        return whole

    mixed = random.Random(seed).sample(range(3), 3)
    assert trace(listed(mixed)) == trace(listed([0, 1, 2]))


def test_devices_of_a_file(tmp_path: Path) -> None:
    rows = ["b,60.1,20.3", "c,60.2,20.1", "a,59.9,20.2"]

    def run(order: list[int]) -> str:
        file = tmp_path / "places.csv"
        listed = "\n".join(["name,latitude_deg,longitude_deg", *(rows[k] for k in order)])
        file.write_text(listed, encoding="utf-8")
        whole = timed()
        north = whole["ground"]["clusters"][0]
        del north["devices"], north["radius_km"]
        north |= {"places_path": str(file), "kinds": [KINDS[k] for k in order]}
        return trace(whole)

    assert run([2, 0, 1]) == run([0, 1, 2])


def test_a_run_of_its_own_manifest_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "places.csv"
    file.write_text("latitude_deg,longitude_deg\n60.2,20\n60.1,20\n60.3,20\n", encoding="utf-8")
    whole = timed()
    north = whole["ground"]["clusters"][0]
    del north["devices"], north["radius_km"]
    north |= {"places_path": str(file), "kinds": KINDS}
    first = sim.run(scenarios.from_dict(whole))
    again = sim.run(scenarios.from_dict(first.manifest["scenario"]))
    assert again.manifest["trace_sha256"] == first.manifest["trace_sha256"]
    assert again.manifest["identity"] == first.manifest["identity"]


def test_clusters() -> None:
    whole = timed()
    turned = deepcopy(whole)
    turned["ground"]["clusters"].reverse()
    assert trace(turned) == trace(whole)


def test_windows(tmp_path: Path) -> None:
    rows = [
        "S,North,2026-08-22T01:00:00Z,2026-08-22T01:10:00Z",
        "S,South,2026-08-22T02:00:00Z,2026-08-22T02:10:00Z",
        "S,North,2026-08-22T03:00:00Z,2026-08-22T03:10:00Z",
        "S,South,2026-08-22T04:00:00Z,2026-08-22T04:10:00Z",
    ]

    def run(listed: list[str]) -> str:
        text = "\n".join(["satellite,site,rise_utc,set_utc", *listed])
        uplink = {"rate": "fixed", "fixed_rate_mbps": 1}
        whole = timed(link={"preset": "physical", "uplink": uplink, "downlink": "neglected"})
        whole["orbit"] = {"source": "contacts", "windows": text}
        return trace(whole)

    assert run(rows[::-1]) == run(rows)
