"""Runs of one process that differ in learning only share a plan, and no run changes it."""

import pytest

import scenarios
import sim
from tests.kit.inner.sim import RunCache

SAME = ("trace_sha256", "drawn")
DRAWN = {"quickstart", "paper-slots"}
SHORT = {
    "quickstart": {"stop.days": 0.5, "learning.method": "fedavg", "learning.options": {}},
    "flystack": {"stop.days": 0.2, "learning.train": False},
    "flystack-isl": {"stop.days": 0.05, "learning.train": False},
    "iridium-isl": {"stop.days": 0.05, "learning.train": False},
    "paper-slots": {"stop.cycles": 2, "learning.train": False},
}


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.quick(1)
def test_a_run_on_the_plan_of_another_one_has_the_trace_that_it_has_alone(
    name, tmp_path, monkeypatch
):
    monkeypatch.setenv("LEOMIX_CACHE", str(tmp_path))
    others = {"learning.rounds.per_contact": 2}
    before, own = (scenarios.load(name, SHORT[name] | keys) for keys in (others, {}))
    alone = sim.run(own).manifest
    sim.run(before, cache=True)
    plan = RunCache.plans.of_last
    again = sim.run(own, cache=True).manifest
    assert [again[key] for key in SAME] == [alone[key] for key in SAME]
    assert RunCache.plans.of_last is plan is not None
    sim.run(scenarios.load(name, SHORT[name] | {"seed": 9}), cache=True)
    assert RunCache.plans.of_last is not plan  # the seed draws places, paths and faults
    assert alone["drawn"] == (name in DRAWN)
