"""Whole sweeps through the command line: what they leave, and what failures cost."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import scenarios
import sim
from sim.sweeps import read_sweep
from tests.kit.sweep_place import Place

POINTS = ["-p", "stop.cycles=1:4:1", "-o", "out"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Two sweeps of the same trained points, by one worker and by two."""
    place = Place(tmp_path_factory.mktemp("trained"), train=True)
    for jobs in (1, 2):
        asked = ["-p", "learning.step_size=0.1,0.3", "-p", "stop.cycles=2", "--replications", 2]
        done = place.sweep(*asked, "-j", jobs, "-o", f"out{jobs}", "--no-cache")
        assert done.returncode == 0, done.stderr
        (place.folder / f"shown{jobs}").write_text(done.stdout)
    return place


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """An undisturbed sweep of four points, timing only."""
    place = Place(tmp_path_factory.mktemp("plain"))
    done = place.sweep(*POINTS, "--json", "--quiet")
    assert done.returncode == 0
    assert done.stderr == ""
    (place.folder / "shown").write_text(done.stdout)
    return place


def test_one_worker_and_two_give_the_same_rows(trained: Place) -> None:
    assert trained.rows("out1") == trained.rows("out2")
    assert read_sweep(trained.folder / "out1").sha256 == read_sweep(trained.folder / "out2").sha256
    assert len(trained.workers()) == 3
    assert len(trained.runs()) == 8


def test_a_row_is_what_a_run_of_its_own_gives(trained: Place, monkeypatch) -> None:
    monkeypatch.chdir(trained.folder)
    row = trained.rows("out2")[3]
    assert (row["learning.step_size"], row["stop.cycles"], row["replication"]) == (0.3, 2, 1)
    changes = {"learning.method": "emsfl", "learning.step_size": 0.3, "stop.cycles": 2, "seed": 4}
    summary = sim.run(scenarios.load("tiny.yaml", changes)).summary
    for name in ("trace_sha256", "accuracy_final", "uplink_bytes", "contacts_served", "cycles"):
        assert row[name] == summary[name]
    assert 0 < row["accuracy_final"] < 1


def test_a_point_is_a_run_folder(trained: Place, leomix) -> None:
    sweep = read_sweep(trained.folder / "out2")
    assert sweep.keys == ("learning.step_size", "stop.cycles")
    for folder, row in zip(sweep.folders, sweep.rows.to_pylist(), strict=True):
        shown = json.loads(leomix("show", folder, "--json").out)
        assert shown["trace_sha256"] == row["trace_sha256"]
        assert shown["seed"] == row["seed"]
        assert folder.name == row["digest"]


def test_the_table_shows_medians_and_ranges_over_replications(trained: Place) -> None:
    rows = trained.rows("out2")
    low, high = sorted(row["accuracy_final"] for row in rows[:2])
    assert high > low
    line = (trained.folder / "shown2").read_text().splitlines()[1]
    assert line.split()[:3] == ["0.1", "2", "2"]
    assert f"{(low + high) / 2:.3f} [{low:.3f}..{high:.3f}]" in line


def test_columns_have_types_of_their_own(trained: Place) -> None:
    schema = pq.read_schema(trained.folder / "out1" / "sweep.parquet")
    names = {"learning.step_size": "double", "stop.cycles": "int64", "cycles_to_0.75": "int64"}
    names |= {"hours_to_0.90": "double", "seed": "int64", "status": "string", "wall_s": "double"}
    assert {name: str(schema.field(name).type) for name in names} == names
    assert schema.names[:2] == ["point", "digest"]


def test_a_worker_that_is_killed_costs_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.mark("3-2-kill")
    done = place.sweep(*POINTS)
    assert done.returncode == 0, done.stderr
    assert place.statuses() == ["complete"] * 4
    table = pq.read_table(tmp_path / "out" / "sweep.parquet")
    assert table.column("attempts").to_pylist() == [1, 2, 1, 1]
    assert place.runs() == ["3-1", "3-2", "3-2", "3-3", "3-4"]
    assert len(place.workers()) == 2
    assert "must not reach" in (tmp_path / "out" / "workers.log").read_text()
    assert "children print" in (tmp_path / "out" / "workers.log").read_text()


def test_points_that_crash_or_fail_for_good_cost_only_themselves(
    plain: Place, tmp_path: Path
) -> None:
    place = Place(tmp_path)
    place.mark("3-2-kill1", "3-2-kill2", "3-3-fail")
    done = place.sweep(*POINTS, "--keep-going", "--quiet")
    assert done.returncode == 3
    assert place.statuses() == ["complete", "crashed", "failed", "complete"]
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert "point 1 (stop.cycles=2, seed 3): crashed: its process was ended by SIGKILL" in lines[0]
    assert "ArithmeticError: on purpose" in lines[1]
    assert "--resume -o out" in lines[2]
    (tmp_path / "3-3-fail").unlink()
    assert place.sweep(*POINTS, "--resume").returncode == 0
    assert place.runs().count("3-1") == place.runs().count("3-4") == 1
    assert place.rows() == plain.rows()


def test_the_first_failure_stops_a_sweep_unless_it_is_to_keep_going(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.mark("3-2-fail")
    done = place.sweep(*POINTS)
    assert done.returncode == 3
    assert place.statuses() == ["complete", "failed", "missing", "missing"]
    assert place.runs() == ["3-1", "3-2", "3-2"]
    assert "3 of 4 points are not done" in done.stderr
    place.mark("3-1-fail")
    alone = place.sweep("-p", "stop.cycles=1,2", "-o", "none", "--keep-going")
    assert alone.returncode == 1
    assert place.statuses("none") == ["failed", "failed"]


def test_a_point_that_is_refused_is_not_tried_again(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.mark("3-2-refuse")
    done = place.sweep(*POINTS, "--keep-going")
    assert done.returncode == 3
    assert place.statuses() == ["complete", "refused", "complete", "complete"]
    table = pq.read_table(tmp_path / "out" / "sweep.parquet")
    assert table.column("attempts").to_pylist() == [1, 1, 1, 1]


def test_equal_points_run_once(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert place.sweep("-p", "stop.cycles=2,3,2", "-o", "out").returncode == 0
    assert place.runs() == ["3-2", "3-3"]
    first, _, last = place.rows()
    assert last == {**first, "point": 2}


def test_shards_share_a_folder(plain: Place, tmp_path: Path) -> None:
    place = Place(tmp_path)
    points = ["-p", "stop.cycles=1,2,3,1,4", "-o", "out"]
    both = [place.start(*points, "--shard", f"{n}/2") for n in (1, 2)]
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert place.statuses() == ["complete"] * 5
    # Point 3 is equal to point 0, which is the other shard's.
    assert sorted(place.runs()) == ["3-1", "3-2", "3-3", "3-4"]
    rows = [{**row, "point": None} for row in place.rows()]
    expected = [{**row, "point": None} for row in plain.rows()]
    assert rows == [expected[place] for place in (0, 1, 2, 0, 3)]


def test_a_shard_alone_leaves_the_others_points_missing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert place.sweep(*POINTS, "--shard", "2/3").returncode == 0
    assert place.statuses() == ["missing", "complete", "missing", "missing"]


def test_json_is_the_rows(plain: Place) -> None:
    shown = json.loads((plain.folder / "shown").read_text())
    assert shown == read_sweep(plain.folder / "out").rows.to_pylist()


def test_a_broken_point_folder_does_not_block(plain: Place, tmp_path: Path) -> None:
    place = plain.copy(tmp_path / "copy")
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


def test_another_sweep_does_not_go_on_in_the_folder(plain: Place, tmp_path: Path) -> None:
    place = plain.copy(tmp_path / "copy")
    before = place.rows()
    for arguments, word in (
        (POINTS, "--resume"),
        (["-p", "stop.cycles=1:5:1", "-o", "out", "--resume"], "another sweep"),
        ([*POINTS, "--resume", "--seed", 9], "another sweep"),
        (["-p", "stop.cycles=1,2", "-o", "watched_method.py"], "is a file"),
        (["-p", "stop.cycles=1,2", "-o", "."], "holds no sweep"),
    ):
        done = place.sweep(*arguments)
        assert done.returncode == 2
        assert word in done.stderr
        assert done.stderr.count("\n") == 1
    assert place.rows() == before
    assert len(place.runs()) == 4


def test_a_scenario_that_changes_under_way_is_refused(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.mark("slow")
    running = place.start("-p", "stop.cycles=3,2", "-o", "out")
    while not place.runs():
        assert running.poll() is None
    text = (tmp_path / "tiny.yaml").read_text()
    (tmp_path / "tiny.yaml").write_text(text.replace("seconds: 600", "seconds: 700"))
    _, errors = running.communicate(timeout=120)
    assert running.returncode == 3
    assert place.statuses() == ["complete", "refused"]
    assert "has changed since the sweep began" in errors


def test_a_point_that_cannot_be_written_fails_with_one_line(plain: Place, tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.mark("full")
    done = place.sweep(*POINTS, "--quiet")
    assert done.returncode == 1
    assert place.statuses() == ["failed", "missing", "missing", "missing"]
    assert "File too large" in done.stderr.splitlines()[0]
    (tmp_path / "full").unlink()
    assert place.sweep(*POINTS, "--resume").returncode == 0
    assert place.rows() == plain.rows()


def test_rows_that_cannot_be_written_lose_no_point(plain: Place, tmp_path: Path) -> None:
    place = Place(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".keep").touch()
    (tmp_path / "out" / "sweep.parquet").mkdir()
    refused = place.sweep(*POINTS)
    assert refused.returncode == 2  # not ours to write in
    (tmp_path / "out" / "sweep.parquet").rmdir()
    place.mark("slow")
    running = place.start(*POINTS)
    while not place.runs():
        assert running.poll() is None
    (tmp_path / "out" / "sweep.parquet").mkdir()
    _, errors = running.communicate(timeout=120)
    assert running.returncode == 3
    assert "sweep.parquet" in errors.splitlines()[-1]
    assert "--resume -o out" in errors.splitlines()[-1]
    (tmp_path / "out" / "sweep.parquet").rmdir()
    (tmp_path / "slow").unlink()
    assert place.sweep(*POINTS, "--resume").returncode == 0
    assert place.rows() == plain.rows()
    assert len(place.runs()) == 4


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    before = sorted(tmp_path.iterdir())
    done = place.sweep("-p", "stop.cycles=1:40:1", "-o", "out", "--dry-run", "-j", 2)
    assert done.returncode == 0, done.stderr
    assert "40: 40 of this process, 40 to be run" in done.stdout
    assert "stop.cycles=40" in done.stdout
    assert "tried on point 0 (100% of it was run)" in done.stdout
    made = {path.name for path in tmp_path.iterdir()} - {path.name for path in before}
    assert made - {"__pycache__"} == {"runs.txt"}  # the latter is the test's own, of the trial
    place.sweep("-p", "stop.cycles=1,2", "-o", "out")
    again = place.sweep("-p", "stop.cycles=1,2", "-o", "out", "--dry-run")
    assert "nothing is left" in again.stdout


def test_a_folder_is_found_if_none_is_named(tmp_path: Path) -> None:
    place = Place(tmp_path)
    for name in ("sweep-tiny", "sweep-tiny.2"):
        assert f"runs/{name}\n" in place.sweep("-p", "stop.cycles=1").stdout
        assert place.statuses(f"runs/{name}") == ["complete"]


WRONG = {
    "a million points": (["-p", "learning.step_size=0:1:0.000001"], "1,000,001 points"),
    "no key": ([], "-p"),
    "an unknown key": (["-p", "learning.step_siz=1,2"], "-p learning.step_siz"),
    "a resume without a folder": (["-p", "stop.cycles=1", "--resume"], "-o DIR"),
    "shards without a folder": (["-p", "stop.cycles=1", "--shard", "1/2"], "-o DIR"),
    "a shard beyond": (["-p", "stop.cycles=1", "-o", "x", "--shard", "3/2"], "i/N"),
    "shard zero": (["-p", "stop.cycles=1", "-o", "x", "--shard", "0/2"], "i/N"),
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
    assert done.status == 2
    assert word in done.err
    assert done.err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.yaml", "watched_method.py"]
