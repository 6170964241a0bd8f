"""Whole sweeps through the command line: what they leave, and what failures and signals cost."""

import errno
import json
import os
import random
import shutil
import signal
import sys
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import scenarios
import sim
from sim.files import packaged
from sim.sweep import read_sweep
from sim.sweep.point import Outcome as PointOutcome
from sim.sweep.point import Point
from sim.sweep.rows import failures_text, reuse_text, rows_table
from tests.kit import small
from tests.kit.processes import forget, is_alive, wait_until
from tests.kit.sweep_place import Place, planned, worked

POINTS = ["-p", "stop.cycles=1:4:1", "-o", "out"]
process = pytest.mark.process  # every worker of a sweep is a process


@pytest.fixture
def plain(runs):
    """An undisturbed sweep of four points, timing only; read-only."""

    def make(folder):
        done = Place(folder).sweep(*POINTS, "--json", "--quiet")
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout) == read_sweep(folder / "out").rows.to_pylist()

    return Place(runs.made("sweep-plain", make))


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def gone(place):
    """Whether the workers of a sweep have gone."""
    return not any(map(is_alive, place.workers()))


# -- what a sweep leaves


@process
def test_a_row_is_what_a_run_of_its_own_gives_however_many_workers(tmp_path, monkeypatch):
    place = Place(tmp_path, train=True)
    asked = ["-p", "learning.step_size=0.1,0.3", "-p", "stop.cycles=2", "--replications", 2]
    for jobs in (1, 2):
        done = place.sweep(*asked, "-j", jobs, "-o", f"out{jobs}", "--no-cache")
        assert done.returncode == 0, done.stderr
    one, two = (read_sweep(tmp_path / name) for name in ("out1", "out2"))
    rows = place.rows("out2")
    assert (place.rows("out1"), one.sha256) == (rows, two.sha256)
    assert (len(place.workers()), len(place.runs())) == (3, 8)
    monkeypatch.chdir(tmp_path)
    changes = {"learning.method": "emsfl", "learning.step_size": 0.3, "stop.cycles": 2, "seed": 4}
    summary = sim.run(scenarios.load("tiny.yaml", changes)).summary
    for name in ("trace_sha256", "accuracy_final", "uplink_bytes", "contacts_served", "cycles"):
        assert rows[3][name] == summary[name]
    for folder, row in zip(two.folders, rows, strict=True):
        assert sim.load(folder).manifest["trace_sha256"] == row["trace_sha256"]
    # The printed table has the means over replications.
    mean = sum(row["accuracy_final"] for row in rows[:2]) / 2
    printed = [line for line in done.stdout.splitlines() if line.startswith("step_size=0.1 ")]
    assert f" {mean:.3f} " in printed[0]


@process
def test_equal_points_run_once_and_a_folder_is_found_if_none_is_named(place):
    assert "runs/sweep-tiny\n" in place.sweep("-p", "stop.cycles=2,3,2").stdout
    assert place.runs() == ["3-2", "3-3"]
    assert [row["point"] for row in place.rows("runs/sweep-tiny")] == [0, 1]
    assert "runs/sweep-tiny.2\n" in place.sweep("-p", "stop.cycles=1").stdout


def test_a_dry_run_writes_nothing_and_shows_what_would_be_run(place):
    before = {path.name for path in place.folder.iterdir()}
    done = place.sweep("-p", "stop.cycles=1:40:1", "-o", "out", "--dry-run", "-j", 2)
    assert (done.returncode, "40: 40 to be run" in done.stdout) == (0, True), done.stderr
    assert {path.name for path in place.folder.iterdir()} - before <= {"__pycache__"}


def test_what_is_ended_before_any_point_began_can_be_swept_again(place, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("subprocess.Popen", lambda *_, **__: signal.raise_signal(signal.SIGINT))
        assert place.sweep(*POINTS).returncode == 130
    assert place.sweep("-p", "stop.cycles=2", "-o", "out").returncode == 0


@process
def test_points_train_once_what_they_share(tmp_path, monkeypatch):
    monkeypatch.setenv("LEOMIX_CACHE", str(tmp_path / "cache"))
    place = Place(tmp_path, train=True)
    powers = ["-p", "compute.power_w=10,20,30", "-o", "out"]
    assert place.sweep(*powers).returncode == 0
    table = pq.read_table(place.folder / "out" / "sweep.parquet")
    trained = sum(table.column("trainings").to_pylist())
    reused = table.column("trainings_reused").to_pylist()
    assert sum(reused) == 2 * trained > 20


def test_the_digest_of_a_sweep_is_of_what_scenarios_decide_and_of_nothing_else(tmp_path):
    """Figures that follow from the traces are not in it, as the digests of these are."""
    place, _ = planned(tmp_path, "stop.cycles=1,2")
    worked(place)
    sweep = read_sweep(place)
    left_out = yaml.safe_load(packaged("sim.sweep", "columns.yaml"))
    left_out = {"code", "said", *left_out["following"], *left_out["machine"]}
    assert {"energy_j", "round_p95_s", "judged_by", "wall_s", "attempts"} < left_out
    changes = set()
    for number, field in enumerate(sweep.rows.schema):
        other = pa.array(["x", "y"] if field.type == pa.string() else [7, 8]).cast(field.type)
        changed = replace(sweep, rows=sweep.rows.set_column(number, field, other))
        if changed.sha256 != sweep.sha256:
            changes.add(field.name)
    assert changes == {*sweep.rows.column_names} - left_out
    assert {"point", "seed", "stop.cycles", "status", "error", "uplink_bytes"} < changes


def rows_by_hand(*outcomes, values=None):
    """Rows of points, each with how it ended: digest, status, and figures."""
    points = [
        Point(n, own[0], "s.yaml", {}, {"k": n if values is None else values[n]}, 0, 3)
        for n, own in enumerate(outcomes)
    ]
    ended = {d: PointOutcome(d, status, f"e{d}", figures=own) for d, status, own in outcomes}
    return rows_table(points, ended)


@pytest.mark.parametrize(
    ("count", "lines", "more"), [(3, 3, 0), (20, 20, 0), (21, 21, 0), (25, 20, 5)]
)
def test_failed_points_are_named_and_the_others_counted(count, lines, more):
    rows = rows_by_hand(*((f"{n}", "failed", {}) for n in range(count)), ("x", "complete", {}))
    *points, last = failures_text(rows, ["k"])
    points += [] if more else [last]
    assert all(line.startswith(f"point {n} (k={n}") for n, line in enumerate(points))
    assert len(points) == lines and "failed: e2" in points[2]
    assert not more or f" {more} more" in last


def test_columns_of_a_target_stand_together():
    own = {f"{what}_to_{t}": 1 for what in ("hours", "cycles") for t in ("0.90", "0.75")}
    names = [n for n in rows_by_hand(("a", "complete", own)).column_names if "_to_" in n]
    each = [f"{what}_to_{t}" for t in ("0.75", "0.90") for what in ("cycles", "hours")]
    assert names == each


def test_what_equal_points_have_trained_counts_once():
    own = {"trainings": 6, "trainings_reused": 2}
    rows = rows_by_hand(("a", "complete", own), ("a", "complete", own), ("b", "complete", own))
    assert reuse_text(rows) == "12 computed, 4 reused"


@pytest.mark.parametrize(
    ("values", "kind"),
    [([1, 2], "int64"), ([1, 2.5], "double"), ([1, None], "int64"), ([1, "a"], "string")],
)
def test_a_column_of_a_key_has_the_type_that_holds_all_its_values(values, kind):
    column = rows_by_hand(*((f"{n}", "complete", {}) for n in range(2)), values=values)["k"]
    assert str(column.type).replace("dictionary<values=", "").startswith(kind)
    wanted = [str(v) if kind == "string" and v is not None else v for v in values]
    assert column.to_pylist() == wanted


# -- failures


@process
def test_killed_workers_and_failing_points_cost_only_themselves(plain, place):
    """Killed once: tried again. Killed three times: crashed. Failed: tried twice. Refused: once."""
    killed = [f"3-2-kill{number}" for number in (1, 2, 3)]
    place.mark("3-1-kill1", *killed, "3-3-fail", "3-4-refuse")
    done = place.sweep(*POINTS, "--keep-going", "--quiet")
    assert done.returncode == 3
    assert place.statuses() == ["complete", "crashed", "failed", "refused"]
    table = pq.read_table(place.folder / "out" / "sweep.parquet")
    assert table.column("attempts").to_pylist() == [2, 3, 2, 1]
    words = ("ended 3 times", "ArithmeticError: on purpose", "refused on purpose", "--resume")
    for line, said in zip(done.stderr.splitlines(), words, strict=True):
        assert said in line
    assert "(incomplete)" in done.stdout
    log = (place.folder / "out" / "workers.log").read_text()
    assert "must not reach" in log and "children print" in log
    (place.folder / "3-3-fail").unlink()
    (place.folder / "3-4-refuse").unlink()
    again = place.sweep(*POINTS, "--resume")
    assert (again.returncode, "incomplete" in again.stdout) == (0, False)
    assert read_sweep(place.folder / "out").sha256[:16] in again.stdout
    assert place.runs().count("3-1") == 2
    assert place.rows() == plain.rows()


@process
def test_the_first_failure_stops_a_sweep_and_a_refused_one_can_be_corrected(place):
    place.mark("3-2-fail")
    done = place.sweep(*POINTS)
    assert (done.returncode, "3 of 4 points are not done" in done.stderr) == (3, True)
    assert place.statuses() == ["complete", "failed", "missing", "missing"]
    assert place.runs() == ["3-1", "3-2", "3-2"]
    place.mark("3-1-refuse")
    assert place.sweep("-p", "stop.cycles=1", "-o", "none", "--keep-going").returncode == 1
    assert place.sweep("-p", "stop.cycles=3", "-o", "none").returncode == 0


@process
def test_rows_and_points_without_room_say_so_and_are_kept(plain, place, monkeypatch):
    place.mark("full")
    done = place.sweep(*POINTS)
    assert (done.returncode, "File too large" in done.stderr) == (1, True)
    (place.folder / "full").unlink()

    def full(table, path, **_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch:
        patch.setattr("pyarrow.parquet.write_table", full)
        done = place.sweep(*POINTS, "--resume")
    assert done.returncode == 3
    for words in ("sweep.parquet", "No space left on device", "--resume -o out"):
        assert words in done.stderr
    assert "sweep sha256" in done.stdout  # of what is done, all the same
    before = len(place.runs())
    assert place.sweep(*POINTS, "--resume").returncode == 0
    assert (place.rows(), len(place.runs())) == (plain.rows(), before)


@process
def test_points_of_other_versions_are_not_mixed(plain, runs, tmp_path):
    place = Place(runs.copy("sweep-plain", tmp_path))
    about = place.folder / "out" / "sweep.json"
    said = json.loads(about.read_text())
    assert said["made_with"]["numpy"] and len(said["made_with"]["leomix's source"]) == 8
    said["made_with"]["numpy"] = "1.0"
    about.write_text(json.dumps(said))
    assert place.sweep(*POINTS, "--resume").returncode == 0  # nothing is left to be run
    shutil.rmtree(read_sweep(place.folder / "out").folders[0])
    for points in (["-p", "stop.cycles=1:5:1", "-o", "out"], POINTS):
        done = place.sweep(*points, "--resume")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert f"numpy 1.0 -> {np.__version__}; put those back, or sweep into" in done.stderr
    said["made_with"]["leomix"] = "0.1.0"
    about.write_text(json.dumps(said))
    done = place.sweep(*POINTS, "--resume")
    assert (done.returncode, "is of leomix 0.1.0, whose folders" in done.stderr) == (2, True)


@process
def test_a_broken_point_folder_is_set_aside_and_run_again(runs, plain, tmp_path):
    place = Place(runs.copy("sweep-plain", tmp_path))
    before = place.rows()
    folders = read_sweep(place.folder / "out").folders
    (folders[0] / "events.parquet").write_bytes(b"PAR1 torn")
    (folders[1] / "manifest.json").write_text("{")
    (folders[2] / "manifest.json").unlink()
    done = place.sweep(*POINTS, "--resume", "--quiet")
    assert (done.returncode, done.stderr.count("\n")) == (0, 3), done.stderr
    assert place.rows() == before
    assert place.runs()[4:] == ["3-1", "3-2", "3-3"]
    aside = folders[0].with_name(f"{folders[0].name}.aside") / "events.parquet"
    assert aside.read_bytes() == b"PAR1 torn"


@process
def test_the_folder_of_a_point_counts_and_not_what_its_claim_says(runs, plain, tmp_path):
    """A figure of a claim was changed, with --join and --resume; then a folder is removed."""
    place = Place(runs.copy("sweep-plain", tmp_path))
    for how in ("--join", "--resume"):
        for path in (place.folder / "out" / "claims").iterdir():
            said = json.loads(path.read_text())
            said["outcome"]["figures"]["contacts_served"] += 1
            path.write_text(json.dumps(said))
        done = place.sweep(*POINTS, how, "--quiet")
        assert (done.returncode, done.stderr.count("is damaged, and ignored\n")) == (0, 4)
        assert place.rows() == plain.rows()
    place = Place(runs.copy("sweep-plain", tmp_path / "removed"))
    for number, how in enumerate(("--join", "--resume")):
        shutil.rmtree(read_sweep(place.folder / "out").folders[number])
        done = place.sweep(*POINTS, how, "--quiet")
        assert (done.returncode, done.stderr) == (0, "")
        assert place.rows() == plain.rows()
    assert place.runs()[4:] == ["3-1", "3-2"]


def test_rows_that_were_not_written_come_from_claims_and_few_runs_are_opened(
    runs, plain, tmp_path, monkeypatch
):
    """As of a sweep that is under way, or was killed: to open thousands of runs takes long."""
    place = Place(runs.copy("sweep-plain", tmp_path))
    whole = read_sweep(place.folder / "out")
    (place.folder / "out" / "sweep.parquet").unlink()
    opened = []
    read = sim.load

    def watched(folder):
        opened.append(folder.name)
        return read(folder)

    monkeypatch.setattr("sim.sweep.rows.load", watched)
    assert read_sweep(place.folder / "out").rows.equals(whole.rows)
    assert opened == []
    digest = whole.points[1].digest
    (place.folder / "out" / "claims" / f"{digest}.1").unlink()
    assert read_sweep(place.folder / "out").sha256 == whole.sha256
    assert opened == [digest]


def test_another_sweep_does_not_continue_in_the_folder(plain, runs, tmp_path):
    place = Place(runs.copy("sweep-plain", tmp_path))
    for arguments, word in (
        (POINTS, "--resume"),
        (
            ["-p", "stop.cycles=3:6:1", "-o", "out", "--resume"],
            "stop.cycles=1, seed=3 is not among",
        ),
        (["-p", "stop.cycles=1:5:1", "-o", "out"], "4 of these 5 points"),
        (["-p", "stop.cycles=1,2", "-o", "watched_method.py"], "is a file"),
        (["-p", "stop.cycles=1,2", "-o", "."], "holds no sweep"),
    ):
        done = place.sweep(*arguments)
        assert (done.returncode, done.stderr.count("\n"), word in done.stderr) == (2, 1, True)
    assert (place.rows(), len(place.runs())) == (plain.rows(), 4)


@process
def test_points_of_another_folder_are_taken_and_not_run_again(plain, place):
    """As of machines that share no disk: points 1 to 4 are there, and 3 to 5 asked for."""
    asked = ["-p", "stop.cycles=3:5:1", "-o", "mine"]
    done = place.sweep(*asked, "--merge", plain.folder / "out", "--quiet")
    assert (done.returncode, done.stderr.split(": ")[-1]) == (0, "2 points taken\n")
    assert len(place.runs()) == 1
    merged = read_sweep(place.folder / "mine").rows
    theirs = read_sweep(plain.folder / "out").rows
    columns = [name for name in merged.column_names if name not in ("attempts", "point")]
    assert merged.select(columns).slice(0, 2).equals(theirs.select(columns).slice(2, 2))
    other = place.sweep("-p", "stop.cycles=9", "-o", "no", "--merge", plain.folder / "out")
    assert (other.returncode, "holds no point of this sweep" in other.stderr) == (2, True)


@process
def test_a_sweep_is_extended_by_values_and_what_is_done_stays(runs, plain, tmp_path):
    place = Place(runs.copy("sweep-plain", tmp_path))
    more = ["-p", "stop.cycles=5,1,2,3,4", "-o", "out"]
    assert place.sweep(*more, "--resume", "--quiet").returncode == 0
    assert place.runs()[4:] == ["3-5"]
    rows = place.rows()
    assert [row["stop.cycles"] for row in rows] == [5, 1, 2, 3, 4]
    figures = [{key: row[key] for key in row if key != "point"} for row in rows]
    assert figures[1:] == [{k: row[k] for k in row if k != "point"} for row in plain.rows()]
    assert place.sweep(*POINTS, "--resume").returncode == 2  # that would take a point away


NET = """
from torch import nn

from {sizes} import WIDTH


def net(spec):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(spec.shape[0], WIDTH), nn.Linear(WIDTH, spec.classes)
    )
"""


@process
def test_points_whose_own_code_has_changed_run_again_and_the_others_do_not(tmp_path, monkeypatch):
    """The file that changes is one that the module of the model imports."""
    monkeypatch.setattr(sys, "path", ["", *sys.path])  # as for `leomix`
    place = Place(tmp_path)
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(NET.format(sizes=f"{name}_sizes"))
        (tmp_path / f"{name}_sizes.py").write_text("WIDTH = 8\n")
    scenario = small.SLOTS | {"learning": {"method": "fedavg"}}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(scenario))
    settings = "stop.cycles=1", "learning.train=false"
    keys = [part for setting in settings for part in ("--set", setting)]
    line = ["sweep", "tiny.yaml", *keys, "-p", "learning.model.kind=one:net,two:net", "-o", "out"]

    def leomix(*more):
        forget(tmp_path)
        done = place.typed(*more, "--quiet")
        return done.returncode, done.stderr

    def rows():
        return pq.read_table(tmp_path / "out" / "sweep.parquet").to_pylist()

    run = ["run", "tiny.yaml", *keys, "--set", "learning.model.kind=two:net", "-o", "run"]
    assert leomix(*line)[0] == leomix(*run)[0] == 0
    before = rows()
    (tmp_path / "two_sizes.py").write_text("WIDTH = 16\n")
    for command, words in (
        ([*run, "--resume"], "holds a run from before two:net changed"),
        (line, "go on with it by --resume"),
    ):
        code, said = leomix(*command)
        assert code == 2 and words in said
    code, said = leomix(*line, "--resume")
    assert code == 0 and said.count("\n") == 1
    assert "two:net changed since this sweep was last run: 1 point to run again" in said
    after = rows()
    assert after[0] == before[0] and after[1]["digest"] != before[1]["digest"]
    assert after[1]["uplink_bytes"] > 1.5 * before[1]["uplink_bytes"] > 0
    (tmp_path / "two_sizes.py").write_text("WIDTH = 8\n")
    assert leomix(*line, "--resume")[0] == 0
    assert rows() == before  # found where they were


# -- signals


@process
def test_a_sweep_that_is_killed_gives_the_same_rows(plain, place):
    chance = random.Random(5)
    done_before = set()
    place.mark("slow")
    for _ in range(2):
        begun = len(place.runs())
        running = place.start(*POINTS, "-j", 2, "--resume", "--quiet")
        wait_until(lambda begun=begun: len(place.runs()) > begun, "a run begins")
        time.sleep(chance.uniform(0.0, 1.0))
        running.kill()
        running.communicate()
        wait_until(lambda: gone(place), "workers are gone", 5.0)
        assert not done_before & set(place.runs()[begun:])
        manifests = (place.folder / "out" / "points").glob("*/manifest.json")
        for said in (json.loads(file.read_text()) for file in manifests):
            if said["status"] == "complete":
                done_before.add(f"{said['scenario']['seed']}-{said['scenario']['stop']['cycles']}")
    (place.folder / "slow").unlink()
    last = place.sweep(*POINTS, "-j", 2, "--resume")
    assert last.returncode == 0, last.stderr
    assert place.rows() == plain.rows()


@process
def test_an_interrupted_sweep_saves_and_continues(plain, place):
    """By SIGTERM; the tests below send SIGINT."""
    place.mark("slow")
    running = place.start(*POINTS)
    wait_until(lambda: len(place.runs()) == 2, "the second run begins")
    running.send_signal(signal.SIGTERM)
    _, errors = running.communicate(timeout=60)
    assert (running.returncode, "--resume -o out" in errors.splitlines()[-1]) == (130, True)
    statuses = place.statuses()
    assert (statuses[0], statuses[2:], gone(place)) == ("complete", ["missing"] * 2, True)
    (place.folder / "slow").unlink()
    assert place.sweep(*POINTS, "--resume").returncode == 0
    assert place.rows() == plain.rows()


@process
@pytest.mark.parametrize("interrupts", [1, 2])
def test_a_training_that_does_not_end_is_broken_off_and_a_second_interrupt_does_not_wait(
    plain, place, interrupts
):
    """A minute of training in one event: the sweep does not wait for it, and ends in order."""
    place.mark("stuck")
    running = place.start(*POINTS)
    wait_until(lambda: len(place.runs()) == 1, "a run begins")
    for _ in range(interrupts):
        assert running.poll() is None
        running.send_signal(signal.SIGINT)
        time.sleep(0.5)
    _, errors = running.communicate(timeout=40 if interrupts == 1 else 10)
    assert (running.returncode, "Traceback" in errors) == (130, False)
    wait_until(lambda: gone(place), "workers are gone", 5.0)
    assert place.statuses() == ["missing"] * 4  # the first has not crashed: it is to be run again
    if interrupts == 1:
        assert "what runs is being saved; a training that takes longer than 5 s" in errors
        assert errors.splitlines()[-1].endswith("go on with: --resume -o out")
        (place.folder / "stuck").unlink()
        assert place.sweep(*POINTS, "--resume").returncode == 0
        assert place.rows() == plain.rows()
