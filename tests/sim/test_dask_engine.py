"""Sweeps on a real Dask scheduler with two workers: what a lost worker or scheduler costs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.kit.processes import is_alive, wait_until
from tests.kit.sweep_place import Place
from tests.kit.sweeps import Outcome, Point, run_point

pytestmark = pytest.mark.process
POINTS = ["-p", "stop.cycles=2:4:1", "--replications", 2, "--quiet"]


@contextmanager
def marked(place: Place, *names: str) -> Iterator[None]:
    """Slow runs down, or have them fail, for a while."""
    place.mark(*names)
    try:
        yield
    finally:
        for name in names:
            (place.folder / name).unlink(missing_ok=True)


class Cluster:
    """A scheduler on the loopback interface and its workers, in processes of their own."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place, self.folder = place, folder
        self.processes: list[subprocess.Popen[bytes]] = []
        about = folder / "scheduler.json"
        options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        self.scheduler = self.start("scheduler", *options, "--scheduler-file", str(about))
        wait_until(lambda: about.exists() and about.read_text(), "a scheduler")
        self.address = json.loads(about.read_text())["address"]
        self.workers = [self.new_worker(), self.new_worker()]

    def start(self, what: str, *options: str) -> subprocess.Popen[bytes]:
        line = [sys.executable, "-m", f"distributed.cli.dask_{what}", *options]
        with (self.folder / f"{what}.log").open("ab") as log:
            process = subprocess.Popen(line, cwd=self.place.folder, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def new_worker(self) -> subprocess.Popen[bytes]:
        options = ["--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        return self.start("worker", self.address, *options, "--local-directory", str(self.folder))

    def asked(self) -> list[str]:
        return ["--engine", "dask", "--scheduler", self.address]

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = new_cluster(tmp_path_factory.mktemp("cluster"))
    yield made
    made.close()


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = new_cluster(tmp_path)
    yield made
    made.close()


def new_cluster(folder: Path) -> Cluster:
    (folder / "dask").mkdir()
    return Cluster(Place(folder / "place"), folder / "dask")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("local"))
    assert place.sweep(*POINTS, "-j", 2, "-o", "out").returncode == 0
    return place


def test_a_killed_worker_costs_only_its_point(cluster: Cluster, local: Place) -> None:
    place = cluster.place
    with marked(place, "slow"):
        running = place.start(*POINTS, "-o", "killed", *cluster.asked())
        wait_until(lambda: len(place.runs()) >= 2, "both workers run a point")
        victim = cluster.workers.pop(0)
        [process] = psutil.Process(victim.pid).children()
        victim.kill()
        wait_until(
            lambda: not is_alive(process.pid), "the point's process has gone with its worker"
        )
        cluster.workers.append(cluster.new_worker())
    _, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (0, "")
    assert place.rows("killed") == local.rows()
    assert len(place.runs()) == 7


def test_a_point_that_fails_or_kills_its_process_is_tried_twice(
    cluster: Cluster, local: Place
) -> None:
    place, before = cluster.place, len(cluster.place.runs())
    with marked(place, "3-4-fail", "4-3-kill1"):
        done = place.sweep(*POINTS, "-o", "failing", "--keep-going", *cluster.asked())
    assert done.returncode == 3
    assert "point 4 (stop.cycles=4, seed 3): failed: A at 0.000 s: ArithmeticError" in done.stderr
    runs = place.runs()[before:]
    assert (runs.count("3-4"), runs.count("4-3"), len(runs)) == (2, 2, 8)
    rows, expected = place.rows("failing"), local.rows()
    failed = [row["point"] for row in rows if row["status"] == "failed"]
    assert failed == [4]
    assert [row for row in rows if row["point"] != 4] == expected[:4] + expected[5:]


def test_ctrl_c_saves_and_the_sweep_goes_on(cluster: Cluster, local: Place) -> None:
    place, before = cluster.place, len(cluster.place.runs())
    with marked(place, "slow"):
        running = place.start(*POINTS, "-o", "halted", *cluster.asked())
        wait_until(lambda: len(place.runs()) >= before + 2, "both workers run a point")
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert err.splitlines()[-1] == "leomix: interrupted: go on with: --resume -o halted"
    assert "missing" in place.statuses("halted")
    assert place.sweep(*POINTS, "-o", "halted", "--resume", *cluster.asked()).returncode == 0
    assert place.rows("halted") == local.rows()


def test_what_is_done_outlives_the_scheduler(own_cluster: Cluster, local: Place) -> None:
    place = own_cluster.place
    with marked(place, "slow"):
        running = place.start(*POINTS, "-o", "out", *own_cluster.asked())
        wait_until(lambda: len(place.runs()) >= 4, "some points are done")
        own_cluster.scheduler.kill()
        _, err = running.communicate(timeout=60)
    assert running.returncode == 3
    statuses, begun = place.statuses(), len(place.runs())
    assert set(statuses) == {"complete", "missing"}
    lost, left = err.splitlines()
    assert lost == f"note: the scheduler {own_cluster.address} is gone; what is done is kept"
    assert left.startswith(f"{statuses.count('missing')} of 6 points are not done")
    assert place.sweep(*POINTS, "-o", "out", "--resume").returncode == 0
    assert place.rows() == local.rows()
    assert len(place.runs()) == begun + statuses.count("missing")


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "tls://127.0.0.1:9"])
def test_a_scheduler_that_cannot_be_had_is_one_line(tmp_path: Path, address: str) -> None:
    # In a process of its own: Dask says some things only when it ends.
    began = time.monotonic()
    asked = ["--engine", "dask", "--scheduler", address]
    running = Place(tmp_path).start(*POINTS, "-o", "out", *asked)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (2, "")
    assert err.startswith(f"leomix: --scheduler {address}: no connection (")
    assert err.count("\n") == 1
    assert time.monotonic() - began < 30


def test_without_the_extra_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    asked = ["--engine", "dask", "--scheduler", "tcp://127.0.0.1:9"]
    done = Place(tmp_path).sweep(*POINTS, "-o", "out", *asked)
    assert done.returncode == 2
    assert 'pip install "leomix[cluster]"' in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_worker_that_does_not_see_the_folder_says_so(tmp_path: Path) -> None:
    point = Point(0, "abc", "tiny.yaml", {}, {}, 0, 3)
    outcome = Outcome.from_json(run_point(point.as_json(), str(tmp_path / "points"), False))
    assert outcome.status == "refused"
    assert "workers must share the file system" in outcome.error
