"""A run that is extended is the run that had the later stop from the beginning."""

import errno
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

import scenarios
import sim
from sim.sweep import sweep
from tests.kit.folders import Each, cut, held
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
    ("on an orbit", {"days": 1.2, "accuracy": 0.01}, {"days": 1.2, "accuracy": 0.99}),
    ("in gaps, with faults", {"days": 0.8}, {"days": 1.4}),
    ("clients that look ahead", {"cycles": 3}, {"cycles": 5}),
]


def to(scenario, stop):
    return scenarios.from_dict({**scenario.model_dump(mode="json"), "stop": stop})


@pytest.mark.parametrize(("name", "earlier", "later"), CASES)
@pytest.mark.quick(3)
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


def test_a_broken_tensor_is_one_line_and_the_run_stays_complete(tmp_path):
    scenario = slots()
    before = sim.run(to(scenario, {"cycles": 2}), tmp_path).manifest
    value = next((tmp_path / "extension" / "values").iterdir())
    value.write_bytes(value.read_bytes()[:-1])
    was = held(tmp_path)
    later = to(scenario, {"cycles": 3})
    with pytest.raises(sim.InputError) as refused:
        sim.run(later, tmp_path, resume=True)
    assert f"remove {tmp_path / 'extension'} and" in str(refused.value)
    assert held(tmp_path) == was and sim.load(tmp_path).manifest == before
    shutil.rmtree(tmp_path / "extension")
    assert sim.run(later, tmp_path, resume=True).manifest["status"] == "complete"


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.quick(1)
def test_what_was_trained_before_a_kill_is_not_trained_again(share, tmp_path):
    """A process is killed between two checkpoints, and has left files that no journal names."""
    first, later = to(slots(), {"cycles": 3}), to(slots(), {"cycles": 4})
    events = sim.run(first, tmp_path / "run").manifest["events"]
    once = sim.run(later, tmp_path / "run", resume=True).manifest["trainings"]
    place = cut(first, tmp_path / "killed", int(share * events))
    (place / "manifest.json").unlink()
    is_kept = (place / "extension" / "journal.json").exists()
    for name in ["checkpoint"] if is_kept else ["checkpoint", "extension"]:
        stray = place / name / "values" / f"{'0' * 32}.safetensors"
        stray.parent.mkdir(parents=True, exist_ok=True)
        stray.write_bytes(b"saved by the process that was killed")
    sim.run(first, place, resume=True)
    journal = json.loads((place / "extension" / "journal.json").read_text())
    values = {path.stem for path in (place / "extension" / "values").iterdir()}
    assert values == journal["values"].keys() != set()
    assert sim.run(later, place, resume=True).manifest["trainings"] == once
    assert held(place) == held(tmp_path / "run")


@pytest.mark.parametrize("share", [0.55, 0.75, 0.95])
@pytest.mark.parametrize("is_killed", [False, True])
@pytest.mark.quick(1)
def test_until_an_extension_is_complete_the_folder_is_that_of_the_finished_run(
    is_killed, share, leomix, tmp_path
):
    """It is read, and run with its own stop, as if nobody had begun to extend it."""
    scenario = slots()
    first, later, latest = (to(scenario, {"cycles": number}) for number in (2, 4, 5))
    whole = sim.run(later, tmp_path / "whole").manifest
    done = sim.run(first, tmp_path / "run").manifest
    finished = held(tmp_path / "run")
    place = cut(later, tmp_path / "run", int(share * whole["events"]), resume=True)
    if is_killed:
        (place / "extending" / "manifest.json").unlink()
    is_whole(place, done, finished)
    for line in (["show", place], ["compare", place], ["export", place, "--to", "csv"]):
        assert leomix(*line, *(["-o", tmp_path / "csv"] if "--to" in line else [])).status == 0
    assert sim.run(first, place, resume=True).manifest == done
    shutil.copytree(place, tmp_path / "further")
    after = sim.run(later, place, resume=True)
    assert after.folder == place and after.manifest["trace_sha256"] == whole["trace_sha256"]
    assert after.metrics.equals(sim.load(place).metrics)
    assert held(place) == held(tmp_path / "whole")
    assert after.manifest["trainings"] < whole["trainings"]
    with pytest.raises(sim.InputError, match="holds a run that stops later"):
        sim.run(first, place, resume=True)
    # An even later stop goes on from there, an earlier one from the run that is complete.
    assert sim.run(latest, tmp_path / "further", resume=True).summary["cycles"] == 5


def is_whole(place, manifest, files):
    """A folder still holds a finished run, whatever else is in it."""
    assert sim.load(place).manifest == manifest
    now = held(place)
    assert {name: now[name] for name in files} == files


def test_a_stop_before_that_of_a_broken_extension_begins_at_the_finished_run(tmp_path):
    scenario = slots()
    sim.run(to(scenario, {"cycles": 2}), tmp_path / "run")
    events = sim.run(to(scenario, {"cycles": 3}), tmp_path / "whole").manifest["events"]
    cut(to(scenario, {"cycles": 5}), tmp_path / "run", events, resume=True)
    sim.run(to(scenario, {"cycles": 3}), tmp_path / "run", resume=True)
    assert held(tmp_path / "run") == held(tmp_path / "whole")


class Killed(BaseException):
    pass


def killed_at(step, act, monkeypatch, watched, functions=()):
    """Do something in a process that is killed at a step that is ``watched``; False without one."""
    steps = []

    def counted(does):
        def change(*given, **how):
            if watched():
                steps.append(does)
            if len(steps) == step:
                raise Killed
            return does(*given, **how)

        return change

    with monkeypatch.context() as patch:
        for name in ("unlink", "rename", "replace", "rmdir"):
            patch.setattr(Path, name, counted(getattr(Path, name)))
        for owner, name in functions:
            patch.setattr(owner, name, counted(getattr(owner, name)))
        try:
            act()
        except Killed:
            return True
        return False


class HandedOver(Exception):
    pass


def handed_over(scenario, place, monkeypatch, step):
    """Extend a run in a process that is killed at a step of handing over; False if it has fewer."""

    def is_over(*_):
        raise HandedOver

    def extend():
        with suppress(HandedOver):
            sim.run(scenario, place, resume=True)

    with monkeypatch.context() as patch:
        patch.setattr("learning.learner.Learner.build", is_over)
        return killed_at(step, extend, monkeypatch, lambda: True, [(shutil, "rmtree")])


@pytest.mark.parametrize("begins", ["complete", "killed", "without what was kept", "timing alone"])
@pytest.mark.wide
def test_a_process_that_is_killed_while_it_hands_over_costs_no_run(begins, tmp_path, monkeypatch):
    scenario = MADE["timing alone"]() if begins == "timing alone" else slots()
    few, many = ({"days": 0.6}, {"days": 0.7}) if begins == "timing alone" else (2, 3)
    few, many = ({"cycles": n} if isinstance(n, int) else n for n in (few, many))
    first, later = to(scenario, few), to(scenario, many)
    whole = sim.run(later, tmp_path / "whole").manifest
    done = sim.run(first, tmp_path / "first").manifest
    if begins == "without what was kept":
        shutil.rmtree(tmp_path / "first" / "extension")
    if begins == "killed":
        cut(first, tmp_path / "cut", done["events"] - 1)
        shutil.rmtree(tmp_path / "first")
        (tmp_path / "cut").rename(tmp_path / "first")
        (tmp_path / "first" / "manifest.json").unlink()
    for step in range(1, 30):
        place = tmp_path / str(step)
        shutil.copytree(tmp_path / "first", place)
        if not handed_over(later, place, monkeypatch, step):
            break
        assert sim.run(later, place, resume=True).manifest["trace_sha256"] == whole["trace_sha256"]
        assert held(place) == held(tmp_path / "whole")
    assert step > 2


def killed_after(scenario, place, monkeypatch, event, step):
    """Extend a run in a process that is killed at a step after an event; False if it has fewer."""
    seen = []
    watch = Each(lambda number: seen.append(number) if number == event else None)
    extend = lambda: sim.run(scenario, place, resume=True, observers=[watch])  # noqa: E731
    return killed_at(step, extend, monkeypatch, lambda: seen)


@pytest.mark.wide
def test_a_process_that_is_killed_when_its_extension_is_complete_costs_no_run(
    tmp_path, monkeypatch
):
    """At each step from its last event to the end: it is the finished run, or can be resumed."""
    first, later = to(slots(), {"cycles": 2}), to(slots(), {"cycles": 3})
    whole = sim.run(later, tmp_path / "whole").manifest
    done = sim.run(first, tmp_path / "first").manifest
    finished = held(tmp_path / "first")
    ends = [0, 0]
    for step in range(1, 60, 3):
        place = Path(shutil.copytree(tmp_path / "first", tmp_path / str(step)))
        if not killed_after(later, place, monkeypatch, whole["events"], step):
            break
        if (place / "manifest.json").exists():
            now = sim.load(place).manifest["trace_sha256"]
            assert now in (done["trace_sha256"], whole["trace_sha256"])
            if now == done["trace_sha256"]:
                is_whole(place, done, finished)
        else:
            with pytest.raises(sim.InputError, match="has not ended"):
                sim.load(place)
        ends[(place / "manifest.json").exists()] += 1
        sim.run(later, place, resume=True)
        assert held(place) == held(tmp_path / "whole")
    assert min(ends) > 1


def is_extended(later, place):
    """The run of a folder goes on to a later stop as if it had had that from its beginning."""
    sim.run(later, place / "whole")
    sim.run(later, place / "run", resume=True)
    assert held(place / "run") == held(place / "whole")


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a file")


def test_a_disk_that_cannot_take_what_is_kept_ends_no_run(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("sim.execution.checkpoint.Checkpoint.save", full)
        first = sim.run(to(slots(), {"cycles": 2}), tmp_path / "run").manifest
    assert first["status"] == "complete" and not (tmp_path / "run" / "extension").exists()
    is_extended(to(slots(), {"cycles": 3}), tmp_path)


def test_a_run_that_reaches_its_accuracy_where_time_ends_is_extended(tmp_path):
    scenario = orbit(learning=AVERAGED)
    reached = sim.run(to(scenario, {"days": 0.5}), tmp_path / "long").summary["accuracy_final"]
    stop = {"days": 0.5, "accuracy": reached}
    first = sim.run(to(scenario, stop), tmp_path / "run").manifest
    assert first["simulated_s"] == 0.5 * 86400
    later = to(scenario, {**stop, "days": 1.4})
    is_extended(later, tmp_path)


@pytest.mark.process
def test_a_point_of_a_sweep_is_not_extended(tmp_path):
    scenario = tmp_path / "tiny.yaml"
    scenario.write_text(json.dumps(slots().model_dump(mode="json", exclude_unset=True)))
    swept = sweep(scenario, {"stop.cycles": [1, 2]}, tmp_path / "out")
    place = swept.folders[0]
    was = held(place)
    with pytest.raises(sim.InputError) as refused:
        sim.run(to(slots(), {"cycles": 3}), place, resume=True)
    assert "is a point of a sweep" in str(refused.value) and "\n" not in str(refused.value)
    assert held(place) == was
