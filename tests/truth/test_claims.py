"""The claims of EMS-FL in the paper's own slots, and the honest other side of them."""

import math
from statistics import mean, median

import pytest

import scenarios
import sim

MINUTES = "runs of forty cycles"


def reach(scenario, **changes):
    """Cycles and slots to 85 %, final accuracy, own gate mass."""
    keys = {key.replace("__", "."): value for key, value in changes.items()}
    result = sim.run(scenarios.load(scenario, keys))
    rows = result.metrics[result.metrics.scope == "global"]
    hit = rows[rows.accuracy >= 0.85]
    hit = hit.iloc[0] if len(hit) else {"cycle": math.inf, "time_s": math.inf}
    return hit["cycle"], hit["time_s"] / 600, rows.accuracy.iloc[-1], result.summary["own_mass"]


@pytest.mark.slow(reason=MINUTES)
def test_in_slots_emsfl_needs_at_most_half_the_cycles_and_ends_no_lower():
    methods = ("synchronous", "emsfl", "emsfl-enhanced")
    found = {
        method: [reach("paper-slots", learning__method=method, seed=seed) for seed in (0, 1, 2)]
        for method in methods
    }
    cycles = {method: median(row[0] for row in rows) for method, rows in found.items()}
    final = {method: mean(row[2] for row in rows) for method, rows in found.items()}
    for method in ("emsfl", "emsfl-enhanced"):
        assert cycles["synchronous"] >= 2 * cycles[method]
        assert final[method] >= final["synchronous"] - 0.005
        assert min(min(mass.values()) for *_, mass in found[method]) >= 0.9


@pytest.mark.wide
def test_in_slots_emsfl_needs_at_most_half_the_cycles_with_one_seed():
    stop = {"stop__accuracy": 0.85, "seed": 0}
    cycles, *_, mass = reach("paper-slots", learning__method="emsfl", stop__cycles=10, **stop)
    assert min(mass.values()) >= 0.9
    more = int(2 * cycles)
    baseline = reach("paper-slots", learning__method="synchronous", stop__cycles=more - 1, **stop)
    assert 4 <= cycles < baseline[0] == math.inf


@pytest.mark.slow(reason=MINUTES)
def test_idle_slots_raise_the_advantage_to_five_times_and_more():
    every_slot = {"learning__evaluate_every_hours": 1 / 6, "stop__cycles": 25, "seed": 0}
    slots = {
        method: reach("paper-slots-idle", learning__method=method, **every_slot)[1]
        for method in ("synchronous", "emsfl-enhanced")
    }
    assert slots["synchronous"] >= 5 * slots["emsfl-enhanced"]


@pytest.mark.slow(reason=MINUTES)
def test_with_the_same_mix_everywhere_the_advantage_is_gone():
    mixed = {"learning__data__own_domain_fraction": 0.25, "seed": 0}
    base, enhanced = (
        reach("paper-slots", learning__method=method, **mixed)
        for method in ("synchronous", "emsfl-enhanced")
    )
    assert base[0] < enhanced[0]
    assert base[2] > enhanced[2] + 0.02
    assert enhanced[3]["start"] < 0.5
