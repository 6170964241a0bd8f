"""A run that is extended is the run that had the later stop from the beginning."""

import shutil

import pytest

import scenarios
import sim
from tests.kit.folders import cut, held
from tests.kit.small import orbit, slots
from tests.kit.small_nmoe import nmoe
from tests.runs import UNTRAINED

AVERAGED = {"method": "fedavg"}
BOUNDED = {"method": "fedbuff", "rounds": {"per_gap_max": 2}, "options": {"buffer_size": 2}}
FAULTS = {
    "outages": {"per_day": 6, "mean_hours": 0.3},
    "packets": {"loss": 0.02},
    "uploads": {"corrupted": 0.3},
}
MADE = {
    "experts of each cluster": slots,
    "one model": lambda: slots(learning={"method": "synchronous"}),
    "own devices": lambda: slots(learning={"method": "local"}),
    "networked": nmoe,
    "on an orbit": lambda: orbit(learning=AVERAGED),
    "in gaps, with faults": lambda: orbit(learning=BOUNDED, faults=FAULTS),
    "timing alone": lambda: orbit(learning={**AVERAGED, **UNTRAINED}),
    "clients that look ahead": lambda: slots(learning={"method": "aligned"}),
}
CASES = [
    ("experts of each cluster", {"cycles": 2}, {"cycles": 4}),
    ("one model", {"cycles": 9, "rounds": 2}, {"cycles": 9, "rounds": 4}),
    ("own devices", {"cycles": 3}, {"cycles": 4}),
    ("networked", {"cycles": 1}, {"cycles": 2}),
    ("on an orbit", {"days": 0.8}, {"days": 1.4}),
    ("on an orbit", {"days": 1.4, "cycles": 1}, {"days": 1.4}),
    ("on an orbit", {"days": 1.2, "accuracy": 0.01}, {"days": 1.2, "accuracy": 0.99}),
    ("in gaps, with faults", {"days": 0.8}, {"days": 1.4}),
    ("timing alone", {"days": 0.6}, {"days": 1.1}),
    ("clients that look ahead", {"cycles": 3}, {"cycles": 5}),
]


def to(scenario, stop):
    return scenarios.from_dict({**scenario.model_dump(mode="json"), "stop": stop})


@pytest.mark.parametrize(("name", "earlier", "later"), CASES)
def test_it_is_the_run_with_the_later_stop(name, earlier, later, tmp_path):
    scenario = MADE[name]()
    whole = sim.run(to(scenario, later), tmp_path / "whole").manifest
    first = sim.run(to(scenario, earlier), tmp_path / "run").manifest
    after = sim.run(to(scenario, later), tmp_path / "run", resume=True).manifest
    assert first["simulated_s"] < whole["simulated_s"] or first["events"] < whole["events"]
    for digest in ("trace_sha256", "timing_sha256", "identity"):
        assert after[digest] == whole[digest] != first[digest]
    assert held(tmp_path / "run") == held(tmp_path / "whole")
    if name == "experts of each cluster":
        assert 0 < after["trainings"] < whole["trainings"]


def test_it_may_be_interrupted_and_extended_again(tmp_path):
    scenario = slots()
    whole = sim.run(to(scenario, {"cycles": 6}), tmp_path / "whole").manifest
    sim.run(to(scenario, {"cycles": 2}), tmp_path / "run")
    second = to(scenario, {"cycles": 4})
    events = sim.run(second, tmp_path / "second").manifest["events"]
    place = cut(second, tmp_path / "run", events - 3, resume=True)
    shutil.copytree(place, tmp_path / "killed")
    (tmp_path / "killed" / "manifest.json").unlink()
    for folder in ("run", "killed"):
        after = sim.run(to(scenario, {"cycles": 6}), tmp_path / folder, resume=True).manifest
        assert after["trace_sha256"] == whole["trace_sha256"]
        assert held(tmp_path / folder) == held(tmp_path / "whole")


REFUSED = [
    (slots, {"cycles": 3}, {"cycles": 2}, {}, "stops later: at stop.cycles 3, and not at 2"),
    (slots, {"cycles": 3}, {"cycles": 4, "rounds": 1}, {}, "at stop.rounds null, and not at 1"),
    (slots, {"cycles": 3}, {"cycles": 4}, {"seed": 4}, "seed 3 -> 4"),
    (
        slots,
        {"cycles": 3, "accuracy": 0.01},
        {"cycles": 4, "accuracy": 0.01},
        {},
        "has reached stop.accuracy 0.01; raise that, or leave it out",
    ),
    (
        lambda: slots(learning={"method": "emsfl-enhanced"}),
        {"cycles": 3},
        {"cycles": 4},
        {},
        "whose last 1 cycles are tuned, counted back from its stop; run it anew in another folder, "
        "or with learning.gate_tuning_cycles=0",
    ),
]


@pytest.mark.parametrize(("made", "earlier", "later", "more", "words"), REFUSED)
def test_what_cannot_be_extended_is_one_line_and_stays(made, earlier, later, more, words, tmp_path):
    sim.run(to(made(), earlier), tmp_path)
    before = held(tmp_path)
    asked = {**to(made(), later).model_dump(mode="json"), **more}
    with pytest.raises(sim.InputError) as refused:
        sim.run(scenarios.from_dict(asked), tmp_path, resume=True)
    assert words in str(refused.value) and "\n" not in str(refused.value)
    assert held(tmp_path) == before
