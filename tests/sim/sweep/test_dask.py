"""The example for Dask, on a real scheduler with two workers."""

import json
import subprocess
import sys
from contextlib import contextmanager

import psutil
import pytest

from tests.kit.processes import wait_until
from tests.kit.sweep_place import Place
from tests.kit.sweeps import HOME

pytestmark = pytest.mark.process
POINTS = ["-p", "stop.cycles=2:4:1", "--replications", 2]


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
    """A scheduler on the loopback interface and its workers, in processes of their own."""

    def __init__(self, folder):
        self.place = Place(folder / "place")
        self.folder = folder
        self.processes = []
        about = folder / "scheduler.json"
        options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        self.scheduler = self.start("scheduler", *options, "--scheduler-file", str(about))
        wait_until(lambda: about.exists() and about.read_text(), "a scheduler")
        self.address = json.loads(about.read_text())["address"]
        self.workers = [self.new_worker(), self.new_worker()]

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
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The rows of processes of this machine."""
    place = Place(tmp_path_factory.mktemp("local"))
    assert place.sweep(*POINTS, "-j", 2, "-o", "out").returncode == 0
    return place.rows()


def test_workers_join_a_sweep_and_one_that_dies_costs_only_its_point(cluster, expected):
    place = cluster.place
    line = [sys.executable, str(HOME / "examples/dask_sweep.py"), cluster.address]
    words = place._line((*POINTS, "-o", place.folder / "out"))[1:]
    with marked(place, "slow"):
        running = subprocess.Popen([*line, *words], cwd=place.folder)
        wait_until(lambda: len(place.runs()) >= 2, "two points are begun")
        begun_last = int((place.folder / "runs.txt").read_text().split()[-2])
        workers = {worker.pid: worker for worker in cluster.workers}
        above = (one.pid for one in psutil.Process(begun_last).parents())
        cluster.workers.remove(victim := workers[next(pid for pid in above if pid in workers)])
        victim.kill()
        cluster.workers.append(cluster.new_worker())
    assert running.wait(100) == 0
    assert place.rows("out") == expected
