"""A run that is cut short anywhere and resumed is the run that was never cut short."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sim
from tests.kit.records import CHECKPOINT, read_manifest
from tests.kit.small import slots
from tests.kit.small_nmoe import nmoe, options


def stop_at(event: int):
    def each_event(number: int) -> None:
        if number == event:
            raise sim.Interrupted("asked for")

    return each_event


@pytest.mark.parametrize("method", ["synchronous", "emsfl", "emsfl-enhanced"])
def test_killed_at_every_event_and_resumed(method: str, tmp_path: Path) -> None:
    """The folder as it lies on disk behind each event is what a kill there leaves."""
    scenario = slots(learning={"method": method})

    def leave(event: int) -> None:
        shutil.copytree(tmp_path / "whole", tmp_path / str(event))

    whole = sim.run(scenario, tmp_path / "whole", each_event=leave, checkpoint_every_s=0.0)
    events = whole.manifest["events"]
    assert events > 20
    for event in range(1, events + 1):
        resumed = sim.run(scenario, tmp_path / str(event), resume=True)
        assert resumed.manifest["trace_sha256"] == whole.manifest["trace_sha256"], event
        assert resumed.manifest["trainings"] <= whole.manifest["trainings"]


def test_nothing_is_trained_twice(tmp_path: Path) -> None:
    scenario = slots()
    whole = sim.run(scenario)
    middle = whole.manifest["events"] // 2
    with pytest.raises(sim.Interrupted, match="--resume"):
        sim.run(scenario, tmp_path / "run", each_event=stop_at(middle))
    before = read_manifest(tmp_path / "run")
    assert before["status"] == "interrupted"
    after = sim.run(scenario, tmp_path / "run", resume=True).manifest
    assert 0 < before["trainings"] < whole.manifest["trainings"]
    assert before["trainings"] + after["trainings"] == whole.manifest["trainings"]


def test_interrupted_many_times(tmp_path: Path) -> None:
    scenario = slots(learning={"method": "emsfl-enhanced"})
    whole = sim.run(scenario).manifest
    for event in range(3, whole["events"], 5):
        with pytest.raises(sim.Interrupted):
            sim.run(scenario, tmp_path, resume=True, each_event=stop_at(event))
        assert (tmp_path / "events.parquet").exists()
    assert (
        sim.run(scenario, tmp_path, resume=True).manifest["trace_sha256"] == whole["trace_sha256"]
    )
    assert not (tmp_path / CHECKPOINT).exists()


def test_a_finished_run_is_returned_as_it_is(tmp_path: Path) -> None:
    first = sim.run(slots(), tmp_path)
    again = sim.run(slots(), tmp_path, resume=True)
    assert again.manifest == json.loads((tmp_path / "manifest.json").read_text())
    assert again.metrics.equals(first.metrics)


def test_another_scenario_does_not_go_on_with_a_run(tmp_path: Path) -> None:
    with pytest.raises(sim.Interrupted):
        sim.run(slots(), tmp_path, each_event=stop_at(12))
    with pytest.raises(ValueError, match="another scenario"):
        sim.run(slots(learning={"step_size": 0.2}), tmp_path, resume=True)


def test_a_folder_in_use_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(ValueError, match="not empty"):
        sim.run(slots(), tmp_path)
    with pytest.raises(ValueError, match="no run"):
        sim.run(slots(), tmp_path, resume=True)


def test_kill_minus_nine_and_ctrl_c_from_outside(tmp_path: Path) -> None:
    """A real process: SIGINT saves and exits 130, SIGKILL leaves what was saved before it."""
    change = ["--set", "stop.cycles=2000", "--set", "learning.batch_size=4", "--quiet"]
    command = [sys.executable, "-m", "sim", "run", "paper-slots", "-o", str(tmp_path / "run")]
    saved = tmp_path / "run" / CHECKPOINT / "journal.json"
    for stop, expected in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        before = event_in(saved)
        process = subprocess.Popen(
            [*command, *change, "--resume"],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": str(expected % 7)},
        )
        for _ in range(1200):  # until this process has saved something, at most two minutes
            if event_in(saved) > before:
                break
            time.sleep(0.1)
        process.send_signal(stop)
        _, err = process.communicate(timeout=60)
        assert process.returncode == expected, err
        if stop == signal.SIGINT:
            assert "--resume" in err
            assert "Traceback" not in err
    assert event_in(saved) > 10


def event_in(journal: Path) -> int:
    """The event that a run was saved at; 0 where it was not."""
    return json.loads(journal.read_text())["event"] if journal.exists() else 0


def test_a_finished_run_of_another_scenario_is_not_passed_off_as_this_one(tmp_path: Path) -> None:
    sim.run(slots(), tmp_path)
    with pytest.raises(sim.InputError, match="another scenario"):
        sim.run(slots(learning={"step_size": 0.2}), tmp_path, resume=True)


def test_weights_that_hang_on_all_tensors_together_resume_bit_for_bit(tmp_path: Path) -> None:
    """A norm over all gradients is summed in the order of the tensors: computed or loaded alike."""
    clipped = options(extractor_rounds=5, largest_gradient=0.5, gate="local", expert_rounds=1)
    own = {**clipped, "steps_per_round": 5, "batch_size": 16, "step_size": 0.1}
    scenario = nmoe(ground={"clusters": [{"name": "A", "devices": 5}]}, learning=own)

    def leave(event: int) -> None:
        if event in (10, 16, 22):
            shutil.copytree(tmp_path / "whole", tmp_path / str(event))

    sim.run(scenario, tmp_path / "whole", each_event=leave, checkpoint_every_s=0.0)
    weights = (tmp_path / "whole" / "model" / "model.safetensors").read_bytes()
    for event in (10, 16, 22):
        sim.run(scenario, tmp_path / str(event), resume=True)
        assert (tmp_path / str(event) / "model" / "model.safetensors").read_bytes() == weights
