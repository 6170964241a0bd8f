"""Runs and sweeps that are asked to end, killed, out of time, or on a disk that is full."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import scenarios
import sim
from tests.kit.folders import Each, cut, held
from tests.kit.inner.sim import read_manifest, status
from tests.kit.processes import wait_until
from tests.kit.small import SLOTS, merged, slots
from tests.soak import kills

ROOT = Path(__file__).resolve().parents[3]
TIMED = merged(SLOTS, {"learning": {"train": False}})
KINDS = {"slots-timing": TIMED, "slots": SLOTS}


def written(place, mapping):
    path = place / "scenario.yaml"
    path.write_text(yaml.safe_dump(mapping))
    return path


def test_wall_time_that_is_over_saves_and_stops(leomix, runs, tmp_path):
    place = tmp_path / "run"
    line = ["run", written(tmp_path, SLOTS), "--quiet", "--no-cache", "-o", place]
    stopped = leomix(*line, "--max-wall", "0.001s")
    assert stopped.status == 130
    assert "its wall time is over: stopped at" in stopped.err
    assert stopped.err.endswith(f"go on with: --resume -o {place}\n")
    assert read_manifest(place)["status"] == "interrupted"
    assert leomix(*line, "--resume", "--max-wall", "2h").status == 0
    assert held(place) == held(runs["slots"])
    for text in ("soon", "0"):
        refused = leomix("run", "paper-slots", "-o", tmp_path / "none", "--max-wall", text)
        assert (refused.status, f"--max-wall {text}:" in refused.err) == (2, True)


ONE_BELOW = {
    "start": "2026-08-22T12:00:00Z",
    "stop": {"days": 0.05},
    "orbit": {"source": "keplerian", "semi_major_axis_km": 42164, "inclination_deg": 0.05},
    "ground": {
        "clusters": [{"name": "A", "latitude_deg": 10, "longitude_deg": 165, "devices": 2}],
    },
    "compute": {"seconds_per_round": 200},
    "learning": {"step_size": 0.3, "rounds": {"per_gap_max": 3}},
}
"""A client that is always in contact: a model is tested once an hour."""


def at_time(time_s, *, in_haste=False):
    """Interrupt a run at its first event from a time on."""

    def stop(now_s):
        if now_s >= time_s:
            raise sim.Interrupted("asked for", in_haste=in_haste)

    return [Each(stop, of_time=True)]


def evaluated(result):
    pooled = result.metrics[result.metrics.scope == "global"]
    return dict(zip(pooled.time_s, zip(pooled.accuracy, pooled.loss, strict=True), strict=True))


@pytest.mark.parametrize("method", ["fedavg", "local"])
def test_an_interrupted_run_is_evaluated_for_its_tables_alone(method, tmp_path):
    """As an undisturbed run would be at that time; the resumed run knows nothing of it."""
    learning = {"method": method, "model": {"kind": "vector-mlp"}}
    scenario = scenarios.from_dict(merged(ONE_BELOW, {"learning": learning}))
    whole = sim.run(scenario, tmp_path / "whole")
    place, told = tmp_path / "run", []

    class Told(sim.Observer):
        def evaluated(self, time_s, cycle, accuracy):
            told.append(time_s)

    with pytest.raises(sim.Interrupted, match="--resume"):
        sim.run(scenario, place, observers=[*at_time(1500.0), Told()])
    begun, ended = evaluated(sim.load(place))
    assert (begun, told) == (0.0, [0.0]) and 1500.0 <= ended < 3600.0
    often = merged(ONE_BELOW, {"learning": learning | {"evaluate_every_hours": ended / 3600}})
    same = evaluated(sim.run(scenarios.from_dict(often)))
    assert evaluated(sim.load(place))[ended] == pytest.approx(same[ended], rel=1e-6)
    resumed = sim.run(scenario, place, resume=True)
    assert resumed.manifest["trace_sha256"] == whole.manifest["trace_sha256"]
    assert resumed.manifest["spent"] == whole.manifest["spent"]
    assert ended not in evaluated(resumed)
    assert held(place) == held(tmp_path / "whole")


# -- processes that are asked to end


@pytest.mark.process
@pytest.mark.parametrize(
    ("how", "number"),
    [
        ("stopped", signal.SIGINT),
        ("stopped at once", signal.SIGINT),
        ("broken off", signal.SIGINT),
        ("stopped", signal.SIGHUP),
        ("ignored", signal.SIGHUP),
    ],
)
def test_an_interrupt_waits_for_what_is_trained_for_a_while_and_a_second_one_does_not(
    how, number, runs, tmp_path
):
    """The training does not end as long as there is a file of that name.

    One signal breaks it off after some seconds. A closed terminal hangs up twice, which asks for
    no hurry; after nohup it changes nothing.
    """
    written(tmp_path, SLOTS)
    slow, begun, heard, out = (tmp_path / n for n in ("slow", "in-training", "heard", "out"))
    slow.touch()
    if how == "broken off":
        (tmp_path / "hasty").touch()
    line = [sys.executable, "-m", "tests.kit.slow_training", "run", "scenario.yaml", "--quiet"]
    own = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
    line += ["--no-cache", "-o", "out"]
    # What these tests run under may ignore it: nohup does, and children inherit that.
    hang_up = signal.SIG_IGN if how == "ignored" else signal.SIG_DFL
    own["preexec_fn"] = lambda: signal.signal(signal.SIGHUP, hang_up)
    running = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, **own)
    wait_until(begun.exists, "a training begins", 90.0)
    for _ in range(2 if how == "stopped at once" or number == signal.SIGHUP else 1):
        heard.unlink(missing_ok=True)
        assert running.poll() is None
        running.send_signal(number)
        if how != "ignored":
            wait_until(heard.exists, "a signal is heard", 60.0)
    ended = "stopped at once" if how == "broken off" else how
    if ended != "stopped at once":
        slow.unlink()
    _, err = running.communicate(timeout=60)
    if how == "ignored":
        assert (running.returncode, held(out)) == (0, held(runs["slots"]))
        assert err == ""
        return
    said = rf"leomix: interrupted: {ended} at \d\.\d\d h; go on with: --resume -o out\n"
    if how == "broken off":
        said = rf"stopping: a training that takes longer than .* is broken off, .*\n{said}"
    assert (running.returncode, bool(re.fullmatch(said, err))) == (130, True), err
    assert ended == "stopped at once" or read_manifest(out)["status"] == "interrupted"
    sim.run(slots(), out, resume=True)
    assert held(out) == held(runs["slots"])


INTERRUPTED_AT = """
import os, signal, sys, time, weakref

class Interrupt:
    def __set_name__(self, owner, name):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)

def call_back():
    thing = Interrupt()
    seen = weakref.ref(thing, lambda _: Interrupt().__set_name__(None, None))
    del thing

def start_slowly():
    import threading
    start = threading.Thread.start
    threading.Thread.start = lambda thread: (start(thread), time.sleep(0.05))

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            {how}

sys.meta_path.insert(0, Finder())
sys.argv = ["bin/leomix", "contacts", "quickstart"]
from sim.cli import main
main()
"""
HOW = {
    "amid an import": "Interrupt().__set_name__(None, None)",
    "amid a class": "type('Made', (), {'one': Interrupt()})",
    "amid a callback": "call_back()",
    "amid a callback of a busy machine": "start_slowly(); call_back()",
}
"""Where Python makes another exception of it, or swallows it."""


@pytest.mark.process
@pytest.mark.parametrize(
    ("name", "how"),
    [
        *((name, "amid an import") for name in ("lazy_loader", "sgp4")),
        *(("sim.cli.app", how) for how in HOW),
    ],
)
def test_an_interrupt_during_the_start_is_told(name, how):
    line = [sys.executable, "-c", INTERRUPTED_AT.format(name=name, how=HOW[how])]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (128 + signal.SIGINT, "")
    assert done.stderr == "leomix: interrupted: nothing was saved\n"


READ = ["list --schema", "contacts quickstart", "show {}", "compare {0} {0}"]
READ += ["run paper-slots --set stop.cycles=1 --json"]


@pytest.mark.parametrize("line", READ)
def test_a_reader_that_goes_away_has_what_it_wanted(line, runs, tmp_path, monkeypatch, capsys):
    """As ``head`` does, or ``true``, which reads nothing."""
    monkeypatch.chdir(tmp_path)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        arguments = line.format(runs["slots-timing"]).split()
        more = ["--set", "learning.train=false", "--quiet"] if line.startswith("run") else []
        assert (status([*arguments, *more]), capsys.readouterr().err) == (0, "")
        monkeypatch.undo()


FULL = "cannot be written (No space left on device): leomix"
STREAMS = [
    ("run {} >/dev/full", 0, f"the run is complete, its summary {FULL} show out"),
    ("run {} --json >/dev/full", 1, f"the run is complete, its summary {FULL} show out"),
    (
        "sweep {} -p stop.cycles=1 --quiet >/dev/full",
        0,
        f"the sweep is complete, its table {FULL} report",
    ),
    ("run {} >&- 2>&- <&-", 0, ""),
    ("run {} --set compute.seconds_per_round=900 2>/dev/full", 0, ""),  # with a warning
    ("list >/dev/full", 1, "leomix: No space left on device; free some space and try"),
    (
        "ulimit -v 400000; run {}",
        2,
        "ulimit -v 400000 leaves 409.60 MB of address space and leomix",
    ),
    ("ulimit -f 2; run {}", 1, "contacts.parquet: File too large; what was traced is lost\n"),
]


@pytest.mark.process
@pytest.mark.parametrize(("line", "status", "said"), STREAMS, ids=lambda value: str(value)[:40])
def test_streams_that_are_full_or_closed_change_no_run(line, status, said, tmp_path):
    line = re.sub("run|sweep|list", rf"{sys.executable} -m sim \g<0>", line)
    line = line.format(f"{written(tmp_path, TIMED)} -o out --no-cache")
    env = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (status, bool(said)), done.stderr
    assert said in done.stderr
    if not status:
        (manifest,) = tmp_path.glob("out/**/manifest.json")
        assert read_manifest(manifest.parent)["status"] == "complete"


@pytest.mark.process
def test_what_is_killed_and_resumed_is_what_it_would_have_been(tmp_path):
    """Kill -9 at random moments; `make soak` kills a hundred times."""
    assert kills.campaign(tmp_path, 2, 8, ("trained run",), (2,)).total() == 2


# -- the end of a process

ENDING = """
import atexit, os
from sim.cli import main

class Late:
    def __del__(self):
        os.write(1, b"taken apart")

late, log = Late(), open("log", "w")
log.write("kept")
atexit.register(print, "ended")
main(["run", "nothing"])
"""


@pytest.mark.process
def test_a_command_ends_without_taking_python_apart(tmp_path):
    """A library's thread that asks for Python meanwhile would abort the process."""
    how = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(ROOT)}}
    done = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, **how)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "ended\n", 1)
    assert (tmp_path / "log").read_text() == "kept"


# -- a disk that is full


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own, where this may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    line = [shutil.which("mount") or "false", "-t", "tmpfs", "-o", "size=512k", "tmpfs", place]
    if subprocess.run(line, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk (tmpfs) is not permitted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(disk, free_kib):
    """Fill a disk but for some KiB; return the file that does."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        room = os.statvfs(disk)
        file.write(bytes(room.f_bavail * room.f_frsize - free_kib * 1024))
    return ballast


@pytest.mark.process
def test_a_folder_that_may_not_be_written_to_is_wrong_input(leomix, disk, tmp_path, runs):
    """Of a disk that is mounted for reading only: root may write to whatever has no rights."""
    complete = runs.copy("slots-timing", disk)
    stopped = disk / "stopped"
    cut(slots(learning={"train": False}), stopped, 12)
    line = ("run", written(tmp_path, TIMED), "--quiet", "--no-cache", "-o")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    sweep = ("sweep", line[1], "-p", "seed=1,2", "--quiet", "-o", disk / "sweep")
    again = (*line, stopped, "--resume")
    report = ("report", complete)
    for command in ((*line, disk / "new"), again, report, sweep):
        status, _, err = leomix(*command)
        assert (status, err.count("\n"), str(disk) in err) == (2, 1, True), (command, err)
    assert leomix(*line, complete, "--resume").status == 0  # there is nothing to write


@pytest.mark.process
@pytest.mark.parametrize(
    ("kind", "free_kib"),
    [("slots-timing", 0), ("slots-timing", 24), ("slots", 40)],
)
def test_a_run_says_what_is_full_and_goes_on(leomix, disk, tmp_path, runs, kind, free_kib):
    scenario = written(tmp_path, KINDS[kind])
    place = disk / "run"
    ballast = fill(disk, free_kib)
    line = ("run", scenario, "-o", place, "--quiet", "--no-cache")
    status, out, err = leomix(*line)
    assert (status, out, err.count("\n")) == (1, "", 1), err
    assert f"{place}" in err and "No space left on device" in err
    ballast.unlink()
    assert leomix(*line, "--resume").status == 0
    assert held(place) == held(runs[kind])
    fill(disk, 8)
    status, out, err = leomix("export", runs[kind], "--to", "csv", "-o", disk / "e")
    assert (status, out, "No space left on device" in err) == (1, "", True)
    assert not (disk / "e").exists()
