"""A folder to sweep in: a scenario, and a method whose runs can be counted, slowed and broken."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import yaml

from tests.kit import small
from tests.kit.inner import sim as inner
from tests.kit.inner.sim import MACHINE_COLUMNS, status

METHOD = textwrap.dedent(
    """
    import os
    import resource
    import signal
    import time
    from pathlib import Path

    from learning.methods.emsfl import EmsFl


    class Watched(EmsFl):
        '''Tells of every run; files called after its seed slow it down, kill it or make it fail.'''

        def __init__(self, world, options=None):
            super().__init__(world, options)
            self.mark = f"{world.seed}-{world.cycles}"
            self.begun = False
            if Path(f"{self.mark}-refuse").exists():
                raise ValueError("refused on purpose")

        def begin(self):
            self.begun = True
            with open("runs.txt", "a") as runs:
                sees = os.environ.get("CUDA_VISIBLE_DEVICES")
                runs.write(f"{self.mark} {os.getpid()} {sees}\\n")
            print("what a run prints must not reach the supervisor")
            os.system("cat; echo nor what its children print, and they read none of its tasks")
            for marker in sorted(Path().glob(f"{self.mark}-kill*")):
                marker.unlink()
                os.kill(os.getpid(), signal.SIGKILL)

        def cluster(self, me):
            if not self.begun:
                self.begin()
            inner, answer = super().cluster(me), None
            while True:
                if Path("slow").exists():
                    time.sleep(0.05)
                if Path("stuck").exists():
                    time.sleep(60.0)
                if Path("full").exists():
                    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
                if Path(f"{self.mark}-fail").exists():
                    raise ArithmeticError("on purpose")
                try:
                    answer = yield inner.send(answer)
                except StopIteration:
                    return
    """
)


def planned(folder: Path, *specs: str) -> tuple[Path, dict[str, Any]]:
    """Make a sweep without training that nobody works on; return its folder and its definition."""
    folder.mkdir(exist_ok=True)
    scenario = folder / "tiny.yaml"
    scenario.write_text(yaml.safe_dump(small.SLOTS))
    axes = inner.Axes.of(inner.read_pairs(specs), None)
    about: dict[str, Any] = inner.SweepPlan(str(scenario), {"learning.train": False}, axes).about
    place = folder / "out"
    assert inner.claim_sweep(place, about, there=inner.There.NOTHING)
    return place, about


def worked(place: Path) -> list[inner.Claim]:
    """Work on a sweep in this process; return the last claim on each point, in their order."""
    inner.Joined(place, inner.StopSignal(), cache=False, keep_going=True).work()
    held = inner.Claims(place).look()
    points = json.loads((place / "sweep.json").read_text())["points"]
    return [held[point["digest"]] for point in points]


def by_hand(
    folder: Path, points: Iterable[tuple[dict[str, Any], int, dict[str, Any] | None]]
) -> Path:
    """Return the folder of a sweep of points: values, seed, and figures or None if it failed.

    Their rows are written, and there are no runs.
    """
    every, outcomes = [], {}
    for number, (values, seed, figures) in enumerate(points):
        digest = f"{number:024x}"
        every.append(inner.Point(number, digest, "tiny.yaml", dict(values), values, 0, seed))
        status = {"figures": figures} if figures is not None else {"error": "on purpose"}
        outcomes[digest] = inner.PointOutcome(
            digest, "failed" if figures is None else "complete", **status
        )
    about = {"scenario": "tiny.yaml", "keys": [*every[0].values], "made_with": inner.versions()}
    about |= {"replications": 1, "points": [asdict(point) for point in every]}
    assert inner.claim_sweep(folder, about, there=inner.There.NOTHING)
    inner.write_rows(folder, inner.rows_table(every, outcomes))
    return folder


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


class Place:
    """A working directory for sweeps of ``tiny.yaml``, timing only unless ``train``."""

    def __init__(self, folder: Path, train: bool = False) -> None:
        self.folder = folder
        self.train = train
        if not (folder / "tiny.yaml").exists():
            folder.mkdir(exist_ok=True)
            (folder / "watched_method.py").write_text(METHOD)
            (folder / "tiny.yaml").write_text(yaml.safe_dump(small.SLOTS))

    def _line(self, arguments: tuple[object, ...]) -> list[str]:
        train = [] if self.train else ["--set", "learning.train=false"]
        line = ["sweep", "tiny.yaml", "--set", "learning.method=watched_method:Watched", *train]
        return [*line, *map(str, arguments)]

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start a sweep in a process of its own."""
        line = [sys.executable, "-m", "sim", *self._line(arguments)]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(line, cwd=self.folder, text=True, **pipes)

    def sweep(self, *arguments: object) -> Done:
        """Sweep with the supervisor in this process."""
        return self.typed(*self._line(arguments))

    def typed(self, *line: Any) -> Any:
        """Carry out a whole command line in this process."""
        out = io.StringIO()
        err = io.StringIO()
        with chdir(self.folder), redirect_stdout(out), redirect_stderr(err):
            code = status(list(map(str, line)))
        return Done(code, out.getvalue(), err.getvalue())

    def mark(self, *names: str) -> None:
        for name in names:
            (self.folder / name).touch()

    def runs(self) -> list[str]:
        """Marks of the runs that were begun, in order."""
        file = self.folder / "runs.txt"
        return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []

    def workers(self) -> set[int]:
        """Process ids in which runs were begun."""
        lines = (self.folder / "runs.txt").read_text().splitlines()
        return {int(line.split()[1]) for line in lines}

    def rows(self, name: str = "out") -> list[dict[str, Any]]:
        """The rows of a sweep without what depends on the machine."""
        table = pq.read_table(self.folder / name / "sweep.parquet")
        return table.drop_columns(list(MACHINE_COLUMNS)).to_pylist()

    def statuses(self, name: str = "out") -> list[str]:
        return [row["status"] for row in self.rows(name)]
