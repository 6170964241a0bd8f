"""Runs that are killed while they write, that fail, that are out of time or of patience."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import scenarios
import sim
from tests.kit.learning import Cluster, NextContact, Protocol, Synchronous, register
from tests.kit.records import CHECKPOINT, JOURNAL, RUN_LOG, read_manifest
from tests.kit.small import ORBIT, SLOTS, merged, slots
from tests.kit.sweep_place import METHOD

FULL = Path("/dev/full")
TIMING = {"train": False}


class Snapshots:
    """Copies of a run folder around each step that changes what is in it."""

    def __init__(self, place: Path, to: Path, patch: pytest.MonkeyPatch) -> None:
        self.place, self.to, self.count = place, to, 0
        for owner, name in ((Path, "replace"), (Path, "unlink"), (os, "rmdir"), (os, "unlink")):
            patch.setattr(owner, name, self.around(getattr(owner, name)))

    def around(self, act: Any) -> Any:
        def acting(*given: Any, **named: Any) -> Any:
            if CHECKPOINT in map(str, given) or self.place in Path(str(given[0])).parents:
                self.take()
            return act(*given, **named)

        return acting

    def take(self) -> None:
        self.count += 1
        shutil.copytree(self.place, self.to / f"{self.count:04}", symlinks=True)

    def some(self, first: int, last: int, seed: int) -> Iterator[Path]:
        """The last ones, where the run's end is written, and some of the others."""
        taken = sorted(self.to.iterdir())
        early = taken[:-last]
        yield from taken[-last:]
        yield from random.Random(seed).sample(early, min(first, len(early)))


@pytest.mark.parametrize("train", [True, False])
def test_killed_at_any_step_of_writing(
    train: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = slots(learning={"train": train}, stop={"cycles": 1})
    (tmp_path / "copies").mkdir()
    with monkeypatch.context() as patch:
        shots = Snapshots(tmp_path / "run", tmp_path / "copies", patch)
        whole = sim.run(scenario, tmp_path / "run", checkpoint_every_s=0.0).manifest
    assert shots.count > (40 if train else 8)
    for place in shots.some(5, 12, seed=4):
        resumed = sim.run(scenario, place, resume=True)
        assert resumed.manifest["trace_sha256"] == whole["trace_sha256"], place
        assert files(place) == files(tmp_path / "run"), place


def files(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*")}


@pytest.mark.parametrize("method", ["emsfl-enhanced", "fedbuff"])
def test_values_are_dropped_that_nobody_can_ask_for_again(method: str, tmp_path: Path) -> None:
    """In the last third of a run as few are kept as in the first."""
    values, kept = tmp_path / CHECKPOINT / "values", list[int]()

    def count(number: int) -> None:
        kept.append(len(list(values.iterdir())) if values.exists() else 0)

    scenario = slots(learning={"method": method}, stop={"cycles": 9})
    sim.run(scenario, tmp_path, each_event=count, checkpoint_every_s=0.02)
    third = len(kept) // 3
    assert max(kept[-third:]) <= max(kept[:third]) + 1
    assert 3 <= max(kept) < 20


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("name", [JOURNAL, "values"])
def test_a_full_disk_leaves_what_was_saved_before(tmp_path: Path, name: str) -> None:
    scenario, place = slots(), tmp_path / "run"
    whole = sim.run(scenario).manifest["trace_sha256"]
    folder = place / CHECKPOINT

    def fill(number: int) -> None:
        if number == 30 and name == JOURNAL:
            (folder / f".{JOURNAL}.part").symlink_to(FULL)
        elif number == 30:
            shutil.move(folder / name, folder / "elsewhere")
            (folder / name).symlink_to("/proc")  # where nothing can be written

    with pytest.raises(sim.SimulationError, match=str(folder)):
        sim.run(scenario, place, each_event=fill, checkpoint_every_s=0.0)
    assert read_manifest(place)["status"] == "failed"
    if name == "values":
        (folder / name).unlink()
        shutil.move(folder / "elsewhere", folder / name)
    assert sim.run(scenario, place, resume=True).manifest["trace_sha256"] == whole


def test_strays_are_swept_and_nothing_else(tmp_path: Path) -> None:
    for name in (".events.parquet.part", "model/.model.json.part", "checkpoint/values/.a.part"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / ".mine").write_text("kept")
    sim.run(slots(learning=TIMING), tmp_path, resume=True)
    assert (tmp_path / ".mine").read_text() == "kept"
    assert not [name for name in files(tmp_path) if name.endswith(".part")]


def test_a_folder_with_a_log_only_is_free(tmp_path: Path) -> None:
    (tmp_path / RUN_LOG).write_text("run\n")
    (tmp_path / ".manifest.json.part").write_text("{")
    assert sim.run(slots(learning=TIMING), tmp_path).manifest["status"] == "complete"


def test_a_broken_checkpoint_is_removed_by_who_wants_that(leomix, tmp_path: Path) -> None:
    scenario, place = tmp_path / "s.yaml", tmp_path / "run"
    scenario.write_text(yaml.safe_dump(SLOTS))
    (place / CHECKPOINT).mkdir(parents=True)
    (place / CHECKPOINT / JOURNAL).write_text("{")
    line = ["run", scenario, "-o", place, "--resume", "--quiet", "--set", "learning.train=false"]
    refused = leomix(*line)
    assert refused.status == 2
    assert f"remove {place / CHECKPOINT} and --resume begins anew" in refused.err
    shutil.rmtree(place / CHECKPOINT)
    place.rmdir()
    assert leomix(*line).status == 0


def test_values_that_are_missing_are_told_of(tmp_path: Path) -> None:
    def stop(number: int) -> None:
        if number == 40:
            raise sim.Interrupted("asked for")

    with pytest.raises(sim.Interrupted):
        sim.run(slots(), tmp_path, each_event=stop)
    values = sorted((tmp_path / CHECKPOINT / "values").iterdir())
    values[0].unlink()
    with pytest.raises(sim.InputError, match=r"values are missing.*begins anew"):
        sim.run(slots(), tmp_path, resume=True)


def test_one_process_runs_in_a_folder(tmp_path: Path) -> None:
    def again(number: int) -> None:
        if number == 5:
            with pytest.raises(sim.InputError, match="another process is running in it"):
                sim.run(slots(learning=TIMING), tmp_path, resume=True)

    sim.run(slots(learning=TIMING), tmp_path, each_event=again)


# -- processes that are asked to end


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "watched_method.py").write_text(METHOD)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(SLOTS))
    return tmp_path


LINE = ["run", "tiny.yaml", "--set", "learning.method=watched_method:Watched", "--quiet"]
LINE += ["--no-cache", "-o", "out"]


def started(place: Path, *more: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "sim", *LINE, *more]
    return subprocess.Popen(line, cwd=place, stderr=subprocess.PIPE, text=True)


def wait_until_begun(place: Path) -> None:
    until = time.monotonic() + 60
    while not (place / "runs.txt").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    time.sleep(0.3)


def test_a_second_interrupt_ends_a_run_at_once(place: Path) -> None:
    (place / "stuck").touch()
    running = started(place, "--set", "learning.train=false")
    wait_until_begun(place)
    running.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert running.poll() is None
    asked = time.monotonic()
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=20)
    assert time.monotonic() - asked < 3.0
    assert running.returncode == 130, err
    assert err == "leomix: interrupted: stopped at once at 0.00 h; go on with: --resume -o out\n"


TRAINS_LONG = """
import os, sys
from pathlib import Path
import torch
import learning.training
from sim.cli import main

descend = learning.training._descend

def slowly(*given):
    while Path("slow").exists():
        torch.ones(100).sum()
    return descend(*given)

learning.training._descend = slowly
main(sys.argv[1:])
"""


def test_a_second_interrupt_ends_long_training_at_once(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the first one waits for the training of one request to end."""
    line = [sys.executable, "-c", TRAINS_LONG, *LINE]
    pipes: dict[str, Any] = {"cwd": place, "stderr": subprocess.PIPE, "text": True}
    (place / "slow").touch()
    running = subprocess.Popen(line, **pipes)
    wait_until_begun(place)
    running.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert running.poll() is None
    asked = time.monotonic()
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=20)
    assert time.monotonic() - asked < 3.0
    assert running.returncode == 130, err
    assert err.splitlines()[-1].endswith("go on with: --resume -o out")
    (place / "slow").unlink()
    monkeypatch.syspath_prepend(place)
    monkeypatch.chdir(place)
    scenario = scenarios.load("tiny.yaml", {"learning.method": "watched_method:Watched"})
    resumed = sim.run(scenario, "out", resume=True).manifest["trace_sha256"]
    assert resumed == sim.run(slots()).manifest["trace_sha256"]


def test_wall_time_that_is_over_saves_and_stops(leomix, tmp_path: Path) -> None:
    scenario, place = tmp_path / "s.yaml", tmp_path / "run"
    scenario.write_text(yaml.safe_dump(merged(ORBIT, {"stop": {"days": 8}})))
    line = ["run", scenario, "--set", "learning.train=false", "--quiet", "-o", place]
    stopped = leomix(*line, "--max-wall", "0.05s")
    assert stopped.status == 130
    assert "stopped as its wall time is over at" in stopped.err
    assert stopped.err.endswith(f"go on with: --resume -o {place}\n")
    assert read_manifest(place)["status"] == "interrupted"
    assert leomix(*line, "--resume", "--max-wall", "2h").status == 0


@pytest.mark.parametrize("text", ["soon", "-5", "0", "3 weeks", "1e3x"])
def test_a_time_that_is_none_is_refused(leomix, tmp_path: Path, text: str) -> None:
    refused = leomix("run", "paper-slots", "-o", tmp_path / "run", "--max-wall", text)
    assert refused.status == 2
    assert refused.err.startswith(f"leomix: --max-wall {text}:")
    assert not (tmp_path / "run").exists()


class Failing(Synchronous):
    """Fails as long as a file of that name is there, in the second cluster's first contact."""

    def cluster(self, me: Cluster) -> Protocol:
        yield NextContact()
        if me.index and Path("broken").exists():
            raise ArithmeticError("on purpose")


def test_a_failed_run_fails_again_and_says_so(
    leomix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    register("failing")(Failing)
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(merged(SLOTS, {"learning": TIMING})))
    line = ["run", "s.yaml", "--set", "learning.method=failing", "-o", "run", "--quiet", "--resume"]
    (tmp_path / "broken").touch()
    first, *others = [leomix(*line) for _ in range(3)]
    said = "leomix: the run failed: B at 600.000 s: ArithmeticError: on purpose"
    assert (first.status, first.err) == (1, f"{said}\n")
    again = f"{said}; it failed so before, and --resume does not mend that\n"
    assert [(other.status, other.err) for other in others] == [(1, again)] * 2
    assert read_manifest(tmp_path / "run")["status"] == "failed"
    (tmp_path / "broken").unlink()
    assert leomix(*line).status == 0
