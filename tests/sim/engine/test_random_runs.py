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
from tests.kit import learning as seam
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
    "scaffold trained",
    "fedasync trained",
    "fedisl trained",
]


def test_every_shipped_method_is_drawn():
    assert set(METHODS) == set(seam.METHODS.shipped)


@pytest.mark.wide
@pytest.mark.parametrize("case", CASES)
def test_runs_keep_what_they_promise_and_repeat(case):
    """Of the two (three without faults) hypothesis makes the first as plain as it can."""
    method, how = case.split()
    seen: Counter[str] = Counter()
    count = MANY * (3 if how == "calm" else 2)
    number = CASES.index(case)
    campaign(count, seen, number, shrink=MANY > 1, methods=(method,), **HOW[how])()
    assert seen["tried"] == seen[method] > 0
    # Faults may leave no transfer to either of two; what hypothesis draws depends on the process.
    if method in ("local", "centralised"):
        assert seen["with transfers"] == 0
    elif how == "calm":
        assert seen["with transfers"] > 0


def test_places_of_a_file_in_any_order_and_a_run_of_its_own_manifest_are_the_same(tmp_path):
    rows = {"a": ("59.9,20.2,40", 100), "b": ("60.1,20.3,", 300), "c": ("60.2,20.1,", 200)}

    def run(order):
        file = tmp_path / "places.csv"
        whole = merged(ORBIT, {"learning": {"train": False}})
        north = whole["ground"]["clusters"][0] | {"places_path": str(file)}
        del north["devices"], north["radius_km"]
        north["kinds"] = [{"devices": 1, "seconds_per_round": rows[name][1]} for name in order]
        whole["ground"]["clusters"][0] = north
        table = [f"{name},{rows[name][0]}" for name in order]
        file.write_text("\n".join(["name,latitude_deg,longitude_deg,altitude_m", *table]))
        return sim.run(scenarios.from_dict(whole)).manifest

    first = run("abc")
    other = run("cab")
    again = sim.run(scenarios.from_dict(other["scenario"])).manifest
    assert first["trace_sha256"] == other["trace_sha256"] == again["trace_sha256"]
    assert again["identity"] == other["identity"]
