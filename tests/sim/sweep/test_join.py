"""Processes that join a sweep: each point is run once, whoever dies or is stopped meanwhile."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import pytest

from sim.sweep import read_sweep
from tests.kit.inner.sim import Claims, Crew, claims, take_points
from tests.kit.processes import wait_until
from tests.kit.sweep_place import Place, planned, worked

POINTS = ["-p", "stop.cycles=1:4:1", "--replications", 2, "-o", "out", "--quiet"]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The rows of one process."""
    place = Place(tmp_path_factory.mktemp("alone"))
    done = place.sweep(*POINTS)
    assert done.returncode == 0, done.stderr
    return place.rows()


@pytest.fixture
def folder(tmp_path):
    """A folder of claims and points, and a lease of a tenth of a second."""
    for name in ("claims", "points"):
        (tmp_path / name).mkdir()
    return tmp_path


def taken_elsewhere(folder):
    """Claims, and the first one on a point, as a process of another machine makes them."""
    theirs = Claims(folder)
    claim = replace(theirs.take("a", 1), owner={"host": "elsewhere", "boot": "another"})
    (folder / "claims" / "a.1").write_text(json.dumps(claim.said()))
    return theirs, claim


# -- claims


def test_a_lease_is_judged_by_the_own_clock_of_who_waits(folder, monkeypatch):
    monkeypatch.setattr(claims, "LEASE_S", 0.3)
    monkeypatch.setattr(claims, "BEAT_S", 0.05)
    owner, claim = taken_elsewhere(folder)
    waiter = Claims(folder)
    with owner.renewed(claim, lambda: 0.5) as lost:
        for _ in range(8):
            assert not waiter.is_dead(waiter.look()["a"])
            time.sleep(0.1)
        assert not lost.is_set()
        assert waiter.look()["a"].share == 0.5
    assert not waiter.is_dead(waiter.look()["a"])  # from now on nothing is renewed
    wait_until(lambda: waiter.is_dead(waiter.look()["a"]), "its lease has run out", 5.0)
    assert waiter.take("a", 2) and owner.is_lost(claim)


def test_who_was_stopped_itself_watches_others_for_a_lease_again(folder, monkeypatch):
    monkeypatch.setattr(claims, "LEASE_S", 0.3)
    taken_elsewhere(folder)
    waiter = Claims(folder)
    assert not waiter.is_dead(waiter.look()["a"])
    time.sleep(0.4)  # of all processes none has worked, as where a job is suspended
    assert not waiter.is_dead(waiter.look()["a"])
    wait_until(lambda: waiter.is_dead(waiter.look()["a"]), "its lease has run out", 5.0)


def test_of_several_claims_on_a_point_the_one_of_the_highest_number_holds(folder):
    """Ten is above nine, and what is no claim is none."""
    claims = Claims(folder)
    for number in (1, 2, 9, 10):
        assert claims.take("a", number, deaths=number)
    assert claims.take("b", 1)
    for name in ("a.txt", ".a.11.part", "a.12x", "a"):
        (folder / "claims" / name).write_text("{}")
    held = claims.look()
    assert {digest: (one.number, one.deaths) for digest, one in held.items()} == {
        "a": (10, 10),
        "b": (1, 0),
    }


def test_who_comes_back_drops_its_result(folder):
    owner, first = taken_elsewhere(folder)
    checkpoint = owner.scratch(first) / "checkpoint"
    checkpoint.mkdir(parents=True)
    (checkpoint / "journal.json").write_text("saved")
    waiter = Claims(folder)
    second = waiter.take("a", 2)
    waiter.inherit(second)
    copied = waiter.scratch(second) / "checkpoint" / "journal.json"
    assert copied.read_text() == "saved" and checkpoint.exists()  # it may go on
    assert waiter.publish(second) and not checkpoint.exists()
    owner.scratch(first).mkdir()
    (owner.scratch(first) / "manifest.json").write_text("late")
    assert not owner.publish(first) and not owner.scratch(first).exists()
    assert (folder / "points" / "a" / "checkpoint").exists()


@pytest.mark.parametrize("error", [None, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_one_gets_a_point_also_where_there_are_no_hard_links(error, folder, monkeypatch):
    def no_links(*_):
        raise OSError(error, os.strerror(error))

    if error is not None:
        monkeypatch.setattr(os, "link", no_links)
    mine, other = Claims(folder), Claims(folder)
    assert mine.take("a", 1) and other.take("a", 1) is None
    claim = other.look()["a"]
    assert claim.state == "running" and not other.is_dead(claim)
    assert claim.owner["pid"] == os.getpid()
    assert [path.name for path in (folder / "claims").iterdir()] == ["a.1"]


def owner_that_died(claims):
    """An owner of this system whose process is gone."""
    return {**claims.take("probe", 1).owner, "began": "0"}


@pytest.mark.parametrize(
    ("state", "deaths", "ends"),
    [
        ("running", 0, ("complete", 2)),  # of the second process
        ("running", 1, ("complete", 3)),
        ("running", 2, ("crashed", 3)),  # of the third one that died of it
        ("released", 2, ("complete", 3)),  # it was given back, and nobody has died
    ],
)
def test_a_point_has_crashed_when_three_processes_have_died_of_it(tmp_path, state, deaths, ends):
    place, about = planned(tmp_path, "stop.cycles=1,2")
    first, second = (point["digest"] for point in about["points"])
    dead = owner_that_died(Claims(tmp_path / "out"))
    said = {"state": state, "owner": dead, "deaths": deaths, "outcome": None}
    (place / "claims" / f"{first}.{deaths + 1}").write_text(json.dumps(said))
    claim, other = worked(place)
    assert (claim.outcome.status, claim.outcome.attempts) == ends
    assert (other.number, other.outcome.status, other.outcome.attempts) == (1, "complete", 1)
    assert (place / "points" / second / "manifest.json").exists()
    assert (place / "points" / first).exists() == (ends[0] == "complete")


def test_of_points_that_are_taken_no_link_is_followed(tmp_path):
    """What it leads to is not the point's: it is neither copied nor linked to."""
    place, about = planned(tmp_path, "stop.cycles=1,2")
    assert [claim.outcome.status for claim in worked(place)] == ["complete"] * 2
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key.txt").write_text("mine")
    first = place / "points" / about["points"][0]["digest"]
    (first / "key.txt").symlink_to(secret / "key.txt")
    (first / "folder").symlink_to(secret)
    mine, again = planned(tmp_path / "again", "stop.cycles=1,2,3")
    assert take_points(mine, again, place) == 2
    taken = {path.name for path in (mine / "points" / first.name).iterdir()}
    assert taken == {path.name for path in first.iterdir()} - {"key.txt", "folder"}
    assert not [path for path in mine.rglob("*") if path.is_symlink() or path.name == "key.txt"]
    assert take_points(mine, again, place) == 0  # they are there


def test_points_that_failed_or_were_interrupted_are_not_taken(tmp_path):
    place, about = planned(tmp_path / "one", "stop.cycles=1,2,3")
    worked(place)
    runs = [place / "points" / point["digest"] for point in about["points"]]
    for run, status in zip(runs, ("failed", "interrupted"), strict=False):
        manifest = json.loads((run / "manifest.json").read_text())
        (run / "manifest.json").write_text(json.dumps(manifest | {"status": status}))
    mine, _ = planned(tmp_path / "other", "stop.cycles=1,2,3,4")
    assert take_points(mine, about, place) == 1
    assert [run.name for run in (mine / "points").iterdir()] == [runs[2].name]


@pytest.mark.parametrize("inner", ["points", "claims", "points/{digest}", "workers.log"])
def test_a_sweep_whose_folders_are_links_to_elsewhere_is_not_continued(leomix, tmp_path, inner):
    """Whatever is written there would be written outside of the folder that was named."""
    place, about = planned(tmp_path / "one", "stop.cycles=1,2")
    outside = tmp_path / "outside"
    outside.mkdir()
    link = place / inner.format(digest=about["points"][0]["digest"])
    if link.is_dir():
        link.rmdir()
    link.symlink_to(outside)
    line = ("sweep", about["scenario"], "--set", "learning.train=false", "-p", "stop.cycles=1,2")
    done = leomix(*line, "-o", place, "--resume", "--quiet")
    assert (done.status, done.err.count("\n"), [*outside.iterdir()]) == (2, 1, [])
    assert link.name in done.err


@pytest.mark.process
def test_a_process_that_is_started_while_all_are_stopped_is_stopped_too(folder, monkeypatch):
    begun = []

    class Sleeping(subprocess.Popen):
        def __init__(self, _, **how):
            super().__init__(["sleep", "60"], **how)
            begun.append(self)
            if len(begun) > 1:
                crew.stop()  # as a signal that comes now

    monkeypatch.setattr(subprocess, "Popen", Sleeping)
    with Crew(folder, [], 1) as crew:
        begun[0].kill()
        begun[0].wait()
        crew.goes_on(lambda: 1)
        assert begun[1].wait(10.0) == -signal.SIGTERM


# -- processes


@pytest.mark.process
def test_who_has_seen_a_point_fail_writes_what_it_came_to_since(place):
    place.mark("slow", "3-1-fail")
    keys = ["-p", "stop.cycles=1,9", "-o", "out", "--quiet", "--keep-going"]
    first = place.start(*keys, "--join")
    try:
        held = Claims(place.folder / "out")
        wait_until(lambda: any(one.state == "ended" for one in held.look().values()), "it fails")
        time.sleep(1.0)  # it has looked
        first.send_signal(signal.SIGSTOP)
        (place.folder / "3-1-fail").unlink()
        (place.folder / "slow").unlink()
        assert place.sweep(*keys, "--resume").returncode == 0
    finally:
        first.send_signal(signal.SIGCONT)
    first.communicate(timeout=60)
    assert place.statuses() == ["complete"] * 2


@pytest.mark.process
def test_processes_that_join_share_the_points_and_all_write_the_same_rows(place, alone):
    running = [place.start(*POINTS, "--join") for _ in range(3)]
    for one in running:
        _, errors = one.communicate(timeout=200)
        assert (one.returncode, errors) == (0, "")
    assert place.rows() == alone
    assert sorted(place.runs()) == sorted(f"{s}-{n}" for s in (3, 4) for n in (1, 2, 3, 4))
    assert len(list((place.folder / "out" / "points").iterdir())) == 8
    other = place.sweep("-p", "stop.cycles=7,8", "-o", "out", "--join")
    assert (other.returncode, other.stderr.count("\n")) == (2, 1)
    assert "holds another sweep" in other.stderr


@pytest.mark.process
def test_wall_time_that_is_over_leaves_the_points_to_others(place, alone):
    place.mark("slow")
    done = place.start(*POINTS, "--join", "--max-wall", "5")
    _, errors = done.communicate(timeout=100)
    assert (done.returncode, "wall time is over" in errors) == (3, True)
    (place.folder / "slow").unlink()
    assert place.sweep(*POINTS, "--join").returncode == 0
    assert place.rows() == alone


EXAM = """
import sys
from sim.sweep import claims
from sim.sweep.join import main

claims.LEASE_S = 8.0
main()
"""


@pytest.mark.slow
@pytest.mark.process
def test_sixteen_processes_of_which_three_are_killed_and_one_is_stopped(place, tmp_path):
    """Forty points of uneven length: each has one row and one run, as of one process."""
    asked = ["-p", "stop.cycles=2:21:1", "--replications", 2, "-o", "out", "--quiet"]
    one = Place(tmp_path / "one")
    assert one.sweep(*asked).returncode == 0
    place.mark("slow")
    for name in ("points", "claims"):
        (tmp_path / "out" / name).mkdir(parents=True)
    shutil.copy(tmp_path / "one" / "out" / "sweep.json", tmp_path / "out")
    began = time.monotonic()
    line = [sys.executable, "-c", EXAM, str(tmp_path / "out")]
    crew = [
        subprocess.Popen(line, cwd=tmp_path, stdin=subprocess.PIPE, start_new_session=True)
        for _ in range(16)
    ]
    wait_until(lambda: len(place.runs()) >= 18, "points are run", 300.0)
    held = Claims(tmp_path / "out").look().values()
    at_work = [claim.owner["pid"] for claim in held if claim.state == "running"]
    *killed, stopped = at_work[:4]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    os.kill(stopped, signal.SIGSTOP)
    own = [claim for claim in held if claim.owner["pid"] == stopped and claim.state == "running"]
    again = [tmp_path / "out" / "claims" / f"{one.digest}.{one.number + 1}" for one in own]
    wait_until(lambda: all(path.exists() for path in again), "its lease has run out", 120.0)
    os.kill(stopped, signal.SIGCONT)
    codes = [process.wait(300) for process in crew]
    print(f"wall {time.monotonic() - began:.1f} s")
    assert Counter(codes) == {0: 13, -signal.SIGKILL: 3}
    assert place.sweep(*asked, "--join").returncode == 0
    assert place.rows() == one.rows()
    assert read_sweep(tmp_path / "out").sha256 == read_sweep(tmp_path / "one" / "out").sha256
    points = list((tmp_path / "out" / "points").iterdir())
    assert len(points) == 40 and not any(path.name.startswith(".") for path in points)
