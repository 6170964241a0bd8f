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
from hypothesis import given
from hypothesis import strategies as st

from sim.sweep import claims, read_sweep
from sim.sweep.claims import Claims
from sim.sweep.crew import Crew
from sim.sweep.folder import take_points
from sim.sweep.point import Outcome as PointOutcome
from sim.trace.digest import json_digest
from tests.kit.folders import cut
from tests.kit.processes import wait_until
from tests.kit.small import slots
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


DISKS = {
    "full": lambda part: part.symlink_to("/dev/full"),
    "in the way": lambda part: part.mkdir(),
    "removed": lambda part: shutil.rmtree(part.parent),
}


@pytest.mark.parametrize("disk", DISKS)
def test_a_heartbeat_that_cannot_be_written_neither_spins_nor_hangs(disk, folder, monkeypatch):
    """A full disk, one that refuses, and a folder of claims that is gone."""
    monkeypatch.setattr(claims, "BEAT_S", 0.05)
    owner = Claims(folder)
    claim = owner.take("a", 1)
    DISKS[disk](folder / "claims" / ".a.1.part")
    began, computed_s = time.monotonic(), time.process_time()
    with owner.renewed(claim) as lost:
        time.sleep(0.3)
        assert not lost.is_set()
    assert time.monotonic() - began < 5.0
    assert time.process_time() - computed_s < 0.2
    with pytest.raises(OSError, match=r"a\.1"):  # how the point ended cannot be said either
        owner.end(claim, PointOutcome("a", "failed"))


@pytest.mark.parametrize("error", [errno.EIO, errno.EROFS, errno.EDQUOT, errno.ESTALE])
def test_a_disk_that_fails_at_each_rename_is_tried_again_now_and_then(error, folder, monkeypatch):
    tried = []

    def failing(*_):
        tried.append(error)
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(claims, "BEAT_S", 0.05)
    owner = Claims(folder)
    claim = owner.take("a", 1)
    monkeypatch.setattr(os, "replace", failing)
    with owner.renewed(claim):
        time.sleep(0.3)
    assert 2 <= len(tried) <= 8


# -- claims that are not as their owners wrote them


def ended(folder, **figures):
    """The claim on a point that has ended, and the file of it."""
    owner = Claims(folder)
    owner.end(owner.take("a", 1), PointOutcome("a", "complete", figures=figures))
    return folder / "claims" / "a.1"


ODD = {
    "a figure": {"outcome": {"figures": {"contacts_served": 8}}},
    "a figure without end": {"outcome": {"figures": {"contacts_served": 10**400}}},
    "deaths without end": {"deaths": float("inf")},
    "deaths as text": {"deaths": "many"},
    "a list as status": {"outcome": {"status": ["complete"]}},
    "an unknown status": {"outcome": {"status": "well"}},
    "an interrupted point": {"outcome": {"status": "interrupted"}},
    "another point": {"outcome": {"digest": "b"}},
    "no text": {"outcome": {"error": 5}},
    "no statement": {"outcome": {"said": {"code": []}}},
    "another key": {"outcome": {"more": 1}},
    "an unknown state": {"state": "done"},
    "nobody": {"owner": None},
    "a path as process": {"owner": {"pid": "../\0"}},
    "nothing": {"outcome": None},
}


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("what", ODD)
def test_a_claim_that_was_changed_is_ignored_and_can_be_taken_at_once(what, is_signed, folder):
    """By accident, or by somebody who has computed its checksum."""
    path = ended(folder, contacts_served=7)
    assert Claims(folder).look()["a"].outcome.figures == {"contacts_served": 7}
    said = json.loads(path.read_text())
    for key, value in ODD[what].items():
        inner = isinstance(value, dict)
        said[key] = {**said[key], **value} if inner else value
        if inner and "figures" in value:
            said[key]["figures"] = value["figures"]
    if is_signed:
        said["checksum"] = json_digest({**said, "checksum": None})
    path.write_text(json.dumps(said))
    waiter = Claims(folder)
    claim = waiter.look()["a"]
    if is_signed and what in ("a figure", "a path as process"):
        assert claim.state == "ended"  # sound, as far as anybody can tell
        return
    assert (claim.is_damaged, claim.state, claim.outcome) == (True, "released", None)
    assert waiter.take("a", claim.number + 1)


@given(bit=st.integers(min_value=0))
def test_one_bit_of_a_claim_never_changes_what_is_known(bit, tmp_path_factory):
    folder = tmp_path_factory.mktemp("claims")
    (folder / "claims").mkdir()
    path = ended(folder, contacts_served=7)
    data = bytearray(path.read_bytes())
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    path.write_bytes(data)
    outcome = Claims(folder).look()["a"].outcome
    assert outcome is None or outcome.figures == {"contacts_served": 7}


def test_a_claim_with_a_number_of_any_size_is_taken_over_at_once(folder):
    number = 100_000_000
    owner = Claims(folder)
    left = owner.scratch(owner.take("a", 7)) / "checkpoint"
    left.mkdir(parents=True)
    owner.release(owner.take("a", number))
    claim = owner.take("a", owner.look()["a"].number + 1)
    owner.inherit(claim)
    owner.publish(claim)
    assert claim.number == number + 1
    assert [path.name for path in (folder / "points").iterdir()] == ["a"]


def test_of_containers_with_one_name_and_one_process_id_one_gets_a_claim(folder, monkeypatch):
    """Each writes its claim before any of them links it."""
    link, seen = os.link, []

    def late(part, path):
        if not seen:
            seen.append(part)
            assert Claims(folder).take("a", 1)  # the other container, in the meantime
        link(part, path)

    monkeypatch.setattr(os, "link", late)
    assert Claims(folder).take("a", 1) is None
    assert Claims(folder).look()["a"].state == "running"


# -- deaths


def test_deaths_count_from_the_last_checkpoint(folder, tmp_path):
    """Three in a row are a crash; one that had saved more has brought the point on."""
    cut(slots(), tmp_path / "early", 10)
    cut(slots(), tmp_path / "late", 20)
    held = Claims(folder)

    def dies(saved):
        """Take the point as its next owner, and save it ``saved`` before the end."""
        before = held.look()["a"]
        deaths, event = held.deaths(before)
        claim = held.take("a", before.number + 1, deaths=deaths, saved_event=event)
        held.inherit(claim)
        if saved:
            shutil.rmtree(held.scratch(claim), ignore_errors=True)
            shutil.copytree(tmp_path / saved, held.scratch(claim))
        return deaths

    held.take("a", 1)
    lives = [dies(saved) for saved in (None, "early", None, None, "late", None, None, None)]
    assert lives == [1, 2, 1, 2, 3, 1, 2, 3]


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
    said = claims.Claim(first, deaths + 1, state, dead, deaths).said()
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
def test_claims_that_are_removed_end_the_sweep_in_a_line_and_keep_what_is_done(place):
    keys = ["-p", "stop.cycles=1,2", "-o", "out", "--quiet"]
    place.mark("slow")
    running = place.start(*keys)
    wait_until(place.runs, "a run has begun")
    shutil.rmtree(place.folder / "out" / "claims")
    (place.folder / "slow").unlink()
    _, errors = running.communicate(timeout=60)
    assert (running.returncode, errors.count("\n")) == (3, 2), errors
    assert "1 of 2 points are not done" in errors
    assert "note: point 0: " in errors and "No such file or directory" in errors
    assert place.sweep(*keys, "--resume").returncode == 0
    assert (place.statuses(), place.runs()) == (["complete"] * 2, ["3-1", "3-2"])


@pytest.mark.process
def test_processes_that_join_share_the_points_and_all_write_the_same_rows(place, alone):
    running = [place.start(*POINTS, "--join") for _ in range(3)]
    for one in running:
        answer, errors = one.communicate(timeout=200)
        assert (one.returncode, answer, errors) == (0, "sweep folder   out\n", "")
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
