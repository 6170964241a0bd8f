"""Sweeps on a real Dask scheduler with two workers: what a lost worker or scheduler costs."""

import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import psutil
import pytest

from tests.kit.processes import is_alive, wait_until
from tests.kit.sweep_place import Place

pytestmark = pytest.mark.process
POINTS = ["-p", "stop.cycles=2,3", "--replications", 2, "--quiet"]


@contextmanager
def marked(place, *names):
    """Slow runs down, or have them fail, for a while."""
    place.mark(*names)
    try:
        yield
    finally:
        for name in names:
            (place.folder / name).unlink(missing_ok=True)


class Cluster:
    """A scheduler on the loopback interface and its workers, in processes of their own.

    Each of them takes two seconds of a processor to start: a test has as few as it can do with.
    """

    def __init__(self, folder, workers=1):
        self.place = Place(folder / "place")
        self.folder = folder
        self.processes = []
        about = folder / "scheduler.json"
        options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        self.scheduler = self.start("scheduler", *options, "--scheduler-file", str(about))
        wait_until(lambda: about.exists() and about.read_text(), "a scheduler")
        self.address = json.loads(about.read_text())["address"]
        self.asked = ["--dask", self.address]
        self.workers = [self.new_worker() for _ in range(workers)]

    def start(self, what, *options):
        line = [sys.executable, "-m", f"distributed.cli.dask_{what}", *options]
        with (self.folder / f"{what}.log").open("ab") as log:
            process = subprocess.Popen(line, cwd=self.place.folder, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def new_worker(self):
        options = ["--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        return self.start("worker", self.address, *options, "--local-directory", str(self.folder))

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("cluster"), workers=2)
    yield made
    made.close()


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The rows of processes of this machine."""
    place = Place(tmp_path_factory.mktemp("local"))
    assert place.sweep(*POINTS, "-j", 1, "-o", "out").returncode == 0
    return place.rows()


def test_a_killed_worker_costs_only_its_point(cluster, expected):
    place = cluster.place
    before = len(place.runs())
    with marked(place, "slow"):
        running = place.start(*POINTS, "-o", "killed", *cluster.asked)
        wait_until(lambda: len(place.runs()) >= before + 2, "two points are begun")
        begun_last = int((place.folder / "runs.txt").read_text().split()[-2])
        parent = psutil.Process(begun_last).ppid()
        [victim] = [worker for worker in cluster.workers if worker.pid == parent]
        cluster.workers.remove(victim)
        victim.kill()
        wait_until(lambda: not is_alive(begun_last), "the point's process has gone as well")
    _, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (0, "")
    assert place.rows("killed") == expected
    assert len(place.runs()) == before + 5


@pytest.mark.parametrize("silent", [False, True])
def test_ctrl_c_saves_and_a_second_one_ends_a_sweep_whose_scheduler_is_silent(
    cluster, expected, silent
):
    place, out = cluster.place, f"halted-{silent}"
    before = len(place.runs())
    with marked(place, "slow"):
        running = place.start(*POINTS, "-o", out, *cluster.asked)
        wait_until(lambda: len(place.runs()) >= before + 2, "two points are begun")
        if silent:
            cluster.scheduler.send_signal(signal.SIGSTOP)
            running.send_signal(signal.SIGINT)
            time.sleep(2.0)
        running.send_signal(signal.SIGINT)
        try:
            _, err = running.communicate(timeout=60)
        finally:
            cluster.scheduler.send_signal(signal.SIGCONT)
    wait_until(lambda: not any(map(is_alive, place.workers())), "what worked on it has ended")
    ended = "stopped at once" if silent else f"go on with: --resume -o {out}"
    assert (running.returncode, "Traceback" in err) == (130, False)
    assert err.splitlines()[-1] == f"leomix: interrupted: {ended}"
    if not silent:
        assert "missing" in place.statuses(out)
        assert place.sweep(*POINTS, "-o", out, "--resume", *cluster.asked).returncode == 0
        assert place.rows(out) == expected


def test_what_is_done_outlives_the_scheduler(tmp_path, expected):
    cluster = Cluster(tmp_path)
    place = cluster.place
    try:
        with marked(place, "slow"):
            running = place.start(*POINTS, "-o", "out", *cluster.asked)
            wait_until(lambda: len(place.runs()) >= 2, "a point is done")
            cluster.scheduler.kill()
            _, err = running.communicate(timeout=60)
    finally:
        cluster.close()
    lost, left = err.splitlines()
    assert (running.returncode, "complete" in place.statuses()) == (3, True)
    assert lost == f"note: the scheduler {cluster.address} is gone; what is done is kept"
    assert "of 4 points are not done" in left
    assert place.sweep(*POINTS, "-o", "out", "--resume").returncode == 0
    assert place.rows() == expected


def test_a_worker_with_another_source_is_refused(cluster, monkeypatch):
    """It has that of these tests, and the sweep says that it was begun with another one."""
    before = cluster.place.runs()
    monkeypatch.setattr("sim.execution.versions._source", lambda: "01234567")
    done = cluster.place.sweep(*POINTS, "-o", "other", *cluster.asked)
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    assert "has other versions than the sweep: leomix's source" in line and "numpy" not in line
    assert cluster.place.runs() == before


def test_a_scheduler_that_cannot_be_had_is_one_line(tmp_path):
    # In a process of its own: Dask says some things only when it ends.
    began = time.monotonic()
    address = "tls://127.0.0.1:9"
    asked = ["--dask", address]
    running = Place(tmp_path).start(*POINTS, "-o", "out", *asked)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"leomix: --dask {address}: no connection (")
    assert time.monotonic() - began < 30
