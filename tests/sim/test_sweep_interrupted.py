"""Sweeps that are killed or interrupted, and what they import."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sim.sweeps import read_sweep
from tests.kit.sweep_place import Place

POINTS = ["-p", "stop.cycles=2:5:1", "--replications", 2, "-o", "out", "--quiet"]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(happened, what: str, patience_s: float = 60.0) -> None:
    until = time.monotonic() + patience_s
    while not happened():
        assert time.monotonic() < until, f"never: {what}"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("plain"))
    assert place.sweep(*POINTS, "-j", 2).returncode == 0
    return place


def test_a_sweep_that_is_killed_again_and_again_gives_the_same_rows(
    plain: Place, tmp_path: Path
) -> None:
    place = Place(tmp_path)
    place.mark("slow")
    chance = random.Random(5)
    done_before: set[str] = set()
    for _ in range(3):
        begun = len(place.runs())
        running = place.start(*POINTS, "-j", 2, "--resume")
        wait_until(lambda begun=begun: len(place.runs()) > begun, "a run begins")
        time.sleep(chance.uniform(0.0, 1.2))
        running.send_signal(signal.SIGKILL)
        running.communicate()
        wait_until(lambda: not any(map(is_alive, place.workers())), "workers are gone", 5.0)
        again = {mark for mark in place.runs()[begun:] if mark in done_before}
        assert again == set()
        done_before |= complete(place)
    (tmp_path / "slow").unlink()
    last = place.sweep(*POINTS, "-j", 2, "--resume")
    assert last.returncode == 0, last.stderr
    assert place.rows() == plain.rows()
    assert read_sweep(tmp_path / "out").sha256 == read_sweep(plain.folder / "out").sha256
    assert not any(mark in done_before for mark in place.runs()[-1:])


def complete(place: Place) -> set[str]:
    """Marks of the points whose manifests say that they are complete."""
    found = set()
    for folder in (place.folder / "out" / "points").iterdir():
        try:
            text = (folder / "manifest.json").read_text()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if '"status": "complete"' in text:
            said = json.loads(text)["scenario"]
            found.add(f"{said['seed']}-{said['stop']['cycles']}")
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_saves_and_goes_on(
    plain: Place, tmp_path: Path, number: signal.Signals
) -> None:
    place = Place(tmp_path)
    place.mark("slow")
    running = place.start(*POINTS)
    wait_until(lambda: len(place.runs()) == 2, "the second run begins")
    running.send_signal(number)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "--resume -o out" in errors.splitlines()[-1]
    assert place.statuses()[:2] in (["complete", "missing"], ["complete", "complete"])
    assert place.statuses()[2:] == ["missing"] * 6
    assert not any(map(is_alive, place.workers()))
    (tmp_path / "slow").unlink()
    assert place.sweep(*POINTS, "--resume").returncode == 0
    assert place.rows() == plain.rows()


def test_the_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.mark("stuck")
    running = place.start(*POINTS)
    wait_until(lambda: len(place.runs()) == 1, "a run begins")
    running.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert running.poll() is None
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=10)
    assert running.returncode == 130
    assert "Traceback" not in errors
    wait_until(lambda: not any(map(is_alive, place.workers())), "workers are gone", 5.0)
    assert place.statuses() == ["missing"] * 8


def test_a_folder_is_swept_by_one_process_at_a_time(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.mark("stuck")
    running = place.start(*POINTS)
    wait_until(lambda: len(place.runs()) == 1, "a run begins")
    second = place.sweep(*POINTS, "--resume")
    running.kill()
    running.communicate()
    assert second.returncode == 2
    assert "another process" in second.stderr


FORBIDDEN = """
import sys
from sim.cli import status

status = status(sys.argv[1:])
assert status == 0, status
found = {"torch", "pandas", "matplotlib"} & set(sys.modules)
assert not found, found
"""


def test_a_sweep_for_timing_needs_no_torch(tmp_path: Path) -> None:
    """Workers are given a torch that breaks when it is imported; the supervisor is looked at."""
    Place(tmp_path)
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    (shadow / "torch.py").write_text("raise SystemExit('torch was imported')\n")
    line = ["sweep", "tiny.yaml", "--set", "learning.train=false", "-p", "stop.cycles=2,3"]
    done = subprocess.run(
        [sys.executable, "-c", FORBIDDEN, *line, "-o", "out"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(shadow)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_supervisor_of_trained_points_needs_no_torch(tmp_path: Path) -> None:
    Place(tmp_path, train=True)
    line = ["sweep", "tiny.yaml", "-p", "stop.cycles=1", "--no-cache", "-o", "out"]
    done = subprocess.run(
        [sys.executable, "-c", FORBIDDEN, *line],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert read_sweep(tmp_path / "out").rows.column("accuracy_final").to_pylist()[0] > 0
