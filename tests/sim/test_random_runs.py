"""Random small scenarios through the whole simulator; `make soak` tries five hundred.

Each must end, keep every invariant and what its method promises, and give the same digest when it
is repeated and when its lists are in another order.
"""

from collections import Counter
from typing import Any

import pytest
from hypothesis import settings

import scenarios
import sim
from tests.kit.drawn import METHODS, campaign
from tests.kit.scripted import RESTLESS
from tests.kit.small import ORBIT, merged

MANY = settings().max_examples // 15
"""1, or 33 with ``--deep``."""
HOW: dict[str, dict[str, Any]] = {
    "struck": {"struck": 0.9},
    "calm": {"struck": 0.0},
    "trained": {"train": True, "struck": 0.5},
}
CASES = [
    *(f"{method} {how}" for method in METHODS + RESTLESS for how in ("struck", "calm")),
    *(f"{method} trained" for method in ("emsfl-enhanced", "fedavg", "aligned", "nmoe")),
]


@pytest.mark.parametrize("case", CASES)
def test_runs_keep_what_they_promise_and_repeat(case):
    """Of the two (three without faults) hypothesis makes the first as plain as it can."""
    method, how = case.split()
    seen: Counter[str] = Counter()
    count, number = MANY * (3 if how == "calm" else 2), CASES.index(case)
    campaign(count, seen, number, shrink=MANY > 1, methods=(method,), **HOW[how])()
    assert seen["tried"] == seen[method] > 0
    assert seen["with transfers"] > 0


PLACES = {
    "b": {"latitude_deg": 60.1, "longitude_deg": 20.3},
    "c": {"latitude_deg": 60.2, "longitude_deg": 20.1, "min_elevation_deg": 30},
    "a": {"latitude_deg": 59.9, "longitude_deg": 20.2, "altitude_m": 40},
}
SECONDS = {"a": 100, "b": 300, "c": 200}


def test_places_of_a_file_in_any_order_and_a_run_of_its_own_manifest_are_the_same(tmp_path):
    def run(order, inline):
        whole = merged(ORBIT, {"learning": {"train": False}, "stop": {"days": 0.5}})
        north = whole["ground"]["clusters"][0]
        del north["devices"], north["radius_km"]
        north["kinds"] = [{"devices": 1, "seconds_per_round": SECONDS[name]} for name in order]
        if inline:
            north["places"] = [{"name": name, **PLACES[name]} for name in order]
        else:
            keys = ("latitude_deg", "longitude_deg", "altitude_m", "min_elevation_deg")
            rows = [[name, *(str(PLACES[name].get(key, "")) for key in keys)] for name in order]
            file = tmp_path / "places.csv"
            file.write_text("\n".join(map(",".join, [["name", *keys], *rows])), encoding="utf-8")
            north["places_path"] = str(file)
            whole["ground"]["clusters"].reverse()
        return sim.run(scenarios.from_dict(whole)).manifest

    runs = [run("abc", True), run("bca", True), run("cab", False), run("abc", False)]
    assert len({manifest["trace_sha256"] for manifest in runs}) == 1
    again = sim.run(scenarios.from_dict(runs[2]["scenario"])).manifest
    assert again["trace_sha256"] == runs[2]["trace_sha256"]
    assert again["identity"] == runs[2]["identity"]
