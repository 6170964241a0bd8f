"""Whole sweeps through the command line: what they leave, and what failures and signals cost."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import scenarios
import sim
from sim.sweeps import read_sweep
from tests.kit.processes import is_alive, wait_until
from tests.kit.sweep_place import Place
from tests.runs import Runs

POINTS = ["-p", "stop.cycles=1:4:1", "-o", "out"]
process = pytest.mark.process  # every worker of a sweep is a process


@pytest.fixture
def plain(runs: Runs) -> Place:
    """An undisturbed sweep of four points, timing only; read-only."""

    def make(folder: Path) -> None:
        place = Place(folder)
        done = place.sweep(*POINTS, "--json", "--quiet")
        assert (done.returncode, done.stderr) == (0, "")
        (folder / "shown").write_text(done.stdout)

    return Place(runs.made("sweep-plain", make))


@pytest.fixture
def trained(runs: Runs) -> Place:
    """Two sweeps of the same trained points, by one worker and by two; read-only."""

    def make(folder: Path) -> None:
        place = Place(folder, train=True)
        for jobs in (1, 2):
            asked = ["-p", "learning.step_size=0.1,0.3", "-p", "stop.cycles=2"]
            more = ["--replications", 2, "-j", jobs, "-o", f"out{jobs}", "--no-cache"]
            done = place.sweep(*asked, *more)
            assert done.returncode == 0, done.stderr
            (folder / f"shown{jobs}").write_text(done.stdout)

    return Place(runs.made("sweep-trained", make), train=True)


def attempts(place: Place) -> list[int]:
    table = pq.read_table(place.folder / "out" / "sweep.parquet")
    counts: list[int] = table.column("attempts").to_pylist()
    return counts


# -- what a sweep leaves


def test_rows_have_types_and_json_is_the_rows(plain: Place) -> None:
    shown = json.loads((plain.folder / "shown").read_text())
    assert shown == read_sweep(plain.folder / "out").rows.to_pylist()
    schema = pq.read_schema(plain.folder / "out" / "sweep.parquet")
    names = {"stop.cycles": "int64", "cycles_to_0.75": "int64", "hours_to_0.90": "double"}
    names |= {"seed": "int64", "status": "string", "wall_s": "double"}
    assert {name: str(schema.field(name).type) for name in names} == names
    assert schema.names[:2] == ["point", "digest"]


@process
def test_a_row_is_what_a_run_of_its_own_gives_however_many_workers(
    trained: Place, leomix, monkeypatch
) -> None:
    assert trained.rows("out1") == trained.rows("out2")
    sweep, other = (read_sweep(trained.folder / name) for name in ("out2", "out1"))
    assert sweep.sha256 == other.sha256
    assert (len(trained.workers()), len(trained.runs())) == (3, 8)
    assert sweep.keys == ("learning.step_size", "stop.cycles")
    monkeypatch.chdir(trained.folder)
    row = trained.rows("out2")[3]
    assert (row["learning.step_size"], row["stop.cycles"], row["replication"]) == (0.3, 2, 1)
    changes = {"learning.method": "emsfl", "learning.step_size": 0.3, "stop.cycles": 2, "seed": 4}
    summary = sim.run(scenarios.load("tiny.yaml", changes)).summary
    for name in ("trace_sha256", "accuracy_final", "uplink_bytes", "contacts_served", "cycles"):
        assert row[name] == summary[name]
    assert 0 < row["accuracy_final"] < 1
    for folder, row in zip(sweep.folders, sweep.rows.to_pylist(), strict=True):
        shown = json.loads(leomix("show", folder, "--json").out)
        found = (shown["trace_sha256"], shown["seed"], folder.name)
        assert found == (row["trace_sha256"], row["seed"], row["digest"])
    # The printed table has medians and ranges over replications.
    low, high = sorted(row["accuracy_final"] for row in trained.rows("out2")[:2])
    line = (trained.folder / "shown2").read_text().splitlines()[1]
    assert line.split()[:3] == ["0.1", "2", "2"]
    assert f"{(low + high) / 2:.3f} [{low:.3f}..{high:.3f}]" in line
    assert high > low


@process
def test_equal_points_run_once_and_a_folder_is_found_if_none_is_named(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert "runs/sweep-tiny\n" in place.sweep("-p", "stop.cycles=2,3,2").stdout
    assert place.runs() == ["3-2", "3-3"]
    first, _, last = place.rows("runs/sweep-tiny")
    assert last == {**first, "point": 2}
    assert "runs/sweep-tiny.2\n" in place.sweep("-p", "stop.cycles=1").stdout


@process
def test_a_dry_run_writes_nothing_and_estimates_from_a_trial(tmp_path: Path) -> None:
    place = Place(tmp_path)
    before = sorted(tmp_path.iterdir())
    done = place.sweep("-p", "stop.cycles=1:40:1", "-o", "out", "--dry-run", "-j", 2)
    assert done.returncode == 0, done.stderr
    assert "40: 40 of this process, 40 to be run" in done.stdout
    assert "stop.cycles=40" in done.stdout
    assert "tried on point 0 (100% of it was run)" in done.stdout
    made = {path.name for path in tmp_path.iterdir()} - {path.name for path in before}
    assert made - {"__pycache__"} == {"runs.txt"}  # the latter is the test's own, of the trial
    for mark, status in (("3-1-refuse", 2), ("3-1-fail", 1)):
        place.mark(mark)
        done = place.sweep(*POINTS, "--dry-run")
        assert (done.returncode, "on purpose" in done.stdout) == (status, True)
        (tmp_path / mark).unlink()


@process
def test_shards_share_a_folder_at_the_same_time(plain: Place, tmp_path: Path) -> None:
    place = Place(tmp_path)
    points = ["-p", "stop.cycles=1,2,3,1,4", "-o", "out"]
    both = [place.start(*points, "--shard", f"{number}/2") for number in (1, 2)]
    for running in both:
        _, errors = running.communicate(timeout=120)
        assert running.returncode == 0, errors
    assert place.statuses() == ["complete"] * 5
    # Point 3 is equal to point 0, which is the other shard's.
    assert sorted(place.runs()) == ["3-1", "3-2", "3-3", "3-4"]
    rows, expected = ([{**r, "point": None} for r in p.rows()] for p in (place, plain))
    assert rows == [expected[number] for number in (0, 1, 2, 0, 3)]


# -- failures


@process
def test_killed_workers_and_failing_points_cost_only_themselves(
    plain: Place, tmp_path: Path
) -> None:
    """Killed once: tried again. Killed twice: crashed. Failed: tried twice. Refused: once."""
    place = Place(tmp_path)
    place.mark("3-1-kill1", "3-2-kill1", "3-2-kill2", "3-3-fail", "3-4-refuse")
    done = place.sweep(*POINTS, "--keep-going", "--quiet")
    assert done.returncode == 3
    assert place.statuses() == ["complete", "crashed", "failed", "refused"]
    assert attempts(place) == [2, 2, 2, 1]
    crashed, failed, refused, left = done.stderr.splitlines()
    assert "point 1 (stop.cycles=2, seed 3): crashed: its process was ended by SIGKILL" in crashed
    assert "ArithmeticError: on purpose" in failed
    assert "refused on purpose" in refused
    assert "--resume -o out" in left
    [line] = [line for line in done.stdout.splitlines() if line.startswith("sweep sha256")]
    assert line.endswith("(incomplete)")
    log = (tmp_path / "out" / "workers.log").read_text()
    assert "must not reach" in log
    assert "children print" in log
    (tmp_path / "3-3-fail").unlink()
    (tmp_path / "3-4-refuse").unlink()
    again = place.sweep(*POINTS, "--resume")
    assert again.returncode == 0
    assert "incomplete" not in again.stdout
    assert read_sweep(tmp_path / "out").sha256[:16] in again.stdout
    assert place.runs().count("3-1") == 2
    assert place.rows() == plain.rows()


@process
def test_the_first_failure_stops_a_sweep_and_a_refused_one_can_be_corrected(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path)
    place.mark("3-2-fail")
    done = place.sweep(*POINTS)
    assert done.returncode == 3
    assert place.statuses() == ["complete", "failed", "missing", "missing"]
    assert place.runs() == ["3-1", "3-2", "3-2"]
    assert "3 of 4 points are not done" in done.stderr
    place.mark("3-1-refuse")
    assert place.sweep("-p", "stop.cycles=1", "-o", "none", "--keep-going").returncode == 1
    assert place.sweep("-p", "stop.cycles=3", "-o", "none").returncode == 0


@process
def test_rows_and_points_without_room_say_so_and_are_kept(
    plain: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path)
    place.mark("full")
    done = place.sweep(*POINTS)
    assert done.returncode == 1
    assert place.statuses() == ["failed", "missing", "missing", "missing"]
    assert "File too large" in done.stderr
    assert "free space" in done.stderr.splitlines()[-1]
    (tmp_path / "full").unlink()

    def full(table: pa.Table, path: Path, **_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch:
        patch.setattr("pyarrow.parquet.write_table", full)
        done = place.sweep(*POINTS, "--resume")
    assert done.returncode == 3
    for words in ("sweep.parquet", "No space left on device", "free some space", "--resume -o out"):
        assert words in done.stderr
    assert done.stdout.count("\n") > 2  # what is done is shown all the same
    before = len(place.runs())
    assert place.sweep(*POINTS, "--resume").returncode == 0
    assert len(place.runs()) == before
    assert place.rows() == plain.rows()


def test_a_folder_that_cannot_be_claimed_for_want_of_room_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as of a write: without a path

    monkeypatch.setattr("os.fsync", full)
    done = Place(tmp_path).sweep(*POINTS)
    assert done.returncode == 1
    assert "out/sweep.json: No space left on device; free some space" in done.stderr


@process
def test_a_broken_point_folder_is_set_aside_and_run_again(runs: Runs, tmp_path: Path) -> None:
    place = Place(runs.copy("sweep-plain", tmp_path))
    before, folders = place.rows(), read_sweep(place.folder / "out").folders
    (folders[0] / "events.parquet").write_bytes(b"PAR1 torn")
    (folders[1] / "manifest.json").write_text("{")
    (folders[2] / "manifest.json").unlink()
    done = place.sweep(*POINTS, "--resume", "--quiet")
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 3
    assert place.rows() == before
    assert place.runs()[4:] == ["3-1", "3-2", "3-3"]
    assert (folders[0].with_name(f"{folders[0].name}.aside") / "events.parquet").exists()


def test_another_sweep_does_not_continue_in_the_folder(
    plain: Place, runs: Runs, tmp_path: Path
) -> None:
    place = Place(runs.copy("sweep-plain", tmp_path))
    for arguments, word in (
        (POINTS, "--resume"),
        (["-p", "stop.cycles=1:5:1", "-o", "out", "--resume"], "another sweep"),
        ([*POINTS, "--resume", "--seed", 9], "another sweep"),
        (["-p", "stop.cycles=1,2", "-o", "watched_method.py"], "is a file"),
        (["-p", "stop.cycles=1,2", "-o", "."], "holds no sweep"),
    ):
        done = place.sweep(*arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert word in done.stderr
    assert place.rows() == plain.rows()
    assert len(place.runs()) == 4


@process
def test_a_scenario_that_changes_under_way_is_refused(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.mark("slow")
    running = place.start("-p", "stop.cycles=3,2", "-o", "out")
    wait_until(place.runs, "a run begins")
    text = (tmp_path / "tiny.yaml").read_text()
    (tmp_path / "tiny.yaml").write_text(text.replace("seconds: 600", "seconds: 700"))
    _, errors = running.communicate(timeout=120)
    assert running.returncode == 3
    assert place.statuses() == ["complete", "refused"]
    assert "has changed since the sweep began" in errors


WRONG = {
    "a million points": (["-p", "learning.step_size=0:1:0.000001"], "1,000,001 points"),
    "no key": ([], "-p"),
    "an unknown key": (["-p", "learning.step_siz=1,2"], "-p learning.step_siz"),
    "a resume without a folder": (["-p", "stop.cycles=1", "--resume"], "-o DIR"),
    "shards without a folder": (["-p", "stop.cycles=1", "--shard", "1/2"], "-o DIR"),
    "a shard beyond": (["-p", "stop.cycles=1", "-o", "x", "--shard", "3/2"], "i/N"),
    "fewer than no workers": (["-p", "stop.cycles=1", "-j", "-1"], "-j -1"),
    "an unknown engine": (["-p", "stop.cycles=1", "--engine", "ray"], "local, dask"),
    "a scheduler of nothing": (["-p", "stop.cycles=1", "--scheduler", "tcp://x:1"], "dask"),
    "dask without one": (["-p", "stop.cycles=1", "--engine", "dask"], "--scheduler"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_input_is_one_line_and_writes_nothing(
    leomix, tmp_path: Path, monkeypatch, what: str
) -> None:
    Place(tmp_path)
    monkeypatch.chdir(tmp_path)
    arguments, word = WRONG[what]
    done = leomix("sweep", "tiny.yaml", *arguments)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert word in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.yaml", "watched_method.py"]


# -- signals


@process
def test_a_sweep_that_is_killed_gives_the_same_rows(plain: Place, tmp_path: Path) -> None:
    place, chance = Place(tmp_path), random.Random(5)
    place.mark("slow")
    done_before: set[str] = set()
    for _ in range(2):
        begun = len(place.runs())
        running = place.start(*POINTS, "-j", 2, "--resume", "--quiet")
        wait_until(lambda begun=begun: len(place.runs()) > begun, "a run begins")
        time.sleep(chance.uniform(0.0, 1.0))
        running.send_signal(signal.SIGKILL)
        running.communicate()
        wait_until(lambda: not any(map(is_alive, place.workers())), "workers are gone", 5.0)
        assert not done_before & set(place.runs()[begun:])
        done_before |= complete(place)
    (tmp_path / "slow").unlink()
    last = place.sweep(*POINTS, "-j", 2, "--resume")
    assert last.returncode == 0, last.stderr
    assert place.rows() == plain.rows()


def complete(place: Place) -> set[str]:
    """Marks of the points whose manifests say that they are complete."""
    manifests = (place.folder / "out" / "points").glob("*/manifest.json")
    said = [json.loads(file.read_text()) for file in manifests]
    done = [one["scenario"] for one in said if one["status"] == "complete"]
    return {f"{one['seed']}-{one['stop']['cycles']}" for one in done}


@process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_saves_and_continues(
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
    assert place.statuses()[0] == "complete"
    assert place.statuses()[2:] == ["missing"] * 2
    assert not any(map(is_alive, place.workers()))
    (tmp_path / "slow").unlink()
    assert place.sweep(*POINTS, "--resume").returncode == 0
    assert place.rows() == plain.rows()


@process
def test_one_process_at_a_time_and_the_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.mark("stuck")
    running = place.start(*POINTS)
    wait_until(lambda: len(place.runs()) == 1, "a run begins")
    second = place.sweep(*POINTS, "--resume")
    assert second.returncode == 2
    assert "another process" in second.stderr
    running.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert running.poll() is None
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=10)
    assert running.returncode == 130
    assert "Traceback" not in errors
    wait_until(lambda: not any(map(is_alive, place.workers())), "workers are gone", 5.0)
    assert place.statuses() == ["missing"] * 4


FORBIDDEN = """
import sys
from sim.cli import status

code = status(sys.argv[1:])
assert code == 0, code
found = {"torch", "pandas", "matplotlib"} & set(sys.modules)
assert not found, found
"""


@process
@pytest.mark.parametrize("train", [False, True])
def test_supervisors_and_workers_for_timing_need_no_torch(tmp_path: Path, train: bool) -> None:
    """Workers for timing are given a torch that breaks when it is imported."""
    Place(tmp_path, train=train)
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    if not train:
        (shadow / "torch.py").write_text("raise SystemExit('torch was imported')\n")
    line = ["sweep", "tiny.yaml", "--set", f"learning.train={str(train).lower()}", "--no-cache"]
    paths = os.pathsep.join([str(shadow), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    done = subprocess.run(
        [sys.executable, "-c", FORBIDDEN, *line, "-p", "stop.cycles=1", "-o", "out"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    accuracy = read_sweep(tmp_path / "out").rows.column("accuracy_final").to_pylist()[0]
    assert (accuracy is not None) == train
