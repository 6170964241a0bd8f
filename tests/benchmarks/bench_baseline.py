"""The same work in this tree and in the one of 21 November 2026, before its structure changed.

`python tests/benchmarks/bench_baseline.py [CASE ...]` runs each case in processes of its own, in
this tree and in the baseline's in turn, and prints CPU seconds beyond imports: the quickest of
each, their ratio, and the ratio that is aimed at. The baseline is commit a9eb409, taken out of the
repository's history; where there is none, its figures are those kept here, and are said to be.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

BASELINE = "a9eb409"
TREE = Path(__file__).resolve().parents[2]
QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
CITY = {"name": "Munich", "latitude_deg": 48.14, "longitude_deg": 11.58}
ALTITUDES_KM = (540.0, 600.0, 660.0)


def seconds(work: Callable[..., Any], *given: Any) -> float:
    """CPU seconds of one call."""
    began = process_time()
    work(*given)
    return process_time() - began


def run(name: str, keys: Mapping[str, Any]) -> float:
    """CPU seconds of one run of a shipped scenario with its run folder."""
    import scenarios
    import sim

    with TemporaryDirectory() as folder:
        return seconds(sim.run, scenarios.load(name, dict(keys)), Path(folder) / "run")


def point() -> float:
    """A timing-only point of `circular`: 20 devices in four cities, 14 days."""
    keys: dict[str, Any] = {"learning.train": False}
    run("circular", keys | {"stop.days": 1})
    return min(run("circular", keys | {"orbit.altitude_km": x}) for x in ALTITUDES_KM)


def city(devices: int, days: float) -> dict[str, Any]:
    """One circular satellite over one city, nothing trained."""
    return {
        "start": "2026-08-22T00:00:00Z",
        "stop": {"days": days},
        "orbit": {"source": "circular", "altitude_km": 600, "inclination_deg": 97.8},
        "ground": {"clusters": [CITY | {"devices": devices, "radius_km": 50}]},
        "link": {"preset": "physical", "uplink": {"total_bandwidth_mhz": 500}},
        "learning": {"method": "emsfl", "train": False, "rounds": {"per_gap_max": 3}},
    }


def devices() -> float:
    """490 contacts with 1,000 devices each."""
    import scenarios
    import sim

    sim.run(scenarios.from_dict(city(20, 1)), None)
    with TemporaryDirectory() as folder:
        asked = scenarios.from_dict(city(1000, 120))
        return seconds(sim.run, asked, Path(folder) / "run")


def plan() -> float:
    """Contacts of one satellite with 64 clusters in 7 days: windows, and who is served when."""
    import scenarios

    asked = city(5, 7)
    asked["ground"] = {
        "clusters": [
            CITY | {"name": f"c{n}", "latitude_deg": 60 - 15 * (n // 8), "devices": 5,
                    "longitude_deg": -180 + 45 * (n % 8)}
            for n in range(64)
        ]
    }  # fmt: skip
    # Cases run in the root of their tree; the second name is the baseline's.
    place = "sim.execution.ready" if Path("sim/execution/ready.py").is_file() else "sim.build"
    build = import_module(place).build
    scenario = scenarios.from_dict(asked)
    build(scenario)
    return min(seconds(build, scenario) for _ in range(3))


def slots(method: str) -> float:
    """`paper-slots` with its 40 cycles, trained."""
    run("paper-slots", {"learning.method": method, "stop.cycles": 1})
    return run("paper-slots", {"learning.method": method})


def clients() -> float:
    """Ten rounds of 100 MLP clients of five steps; the learner is driven by `bench_learning`."""
    bench = import_module("bench_learning")
    bench.use_one_thread()
    bench.fedavg(bench.FIVE_STEPS, 2)
    return seconds(bench.fedavg, bench.FIVE_STEPS, 10)


CASES: dict[str, tuple[Callable[[], float], float, int, float]] = {
    "point": (point, 0.40, 3, 0.716),
    "devices": (devices, 0.57, 1, 27.1),
    "plan": (plan, 0.2, 2, 0.513),
    "enhanced": (partial(slots, "emsfl-enhanced"), 1.0, 2, 9.13),
    "synchronous": (partial(slots, "synchronous"), 1.0, 2, 7.80),
    "clients": (clients, 1.0, 3, 0.806),
}
"""What is measured, at most what share of the baseline's time it may take, and how many times.

Last the baseline's CPU seconds on two cores of a shared virtual machine: the figures kept.
"""


def in_tree(tree: Path, case: str) -> float:
    """Seconds of a case in a process that imports the packages of a tree."""
    here = os.pathsep.join(map(str, (tree, tree / "tests" / "benchmarks")))
    code = (
        f"import runpy; module = runpy.run_path({str(Path(__file__))!r}); "
        f"print(module['CASES'][{case!r}][0]())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | QUIET | {"PYTHONPATH": here},
        stdout=subprocess.PIPE, text=True, check=True, cwd=tree,
    )  # fmt: skip
    return float(done.stdout.splitlines()[-1])


def baseline(folder: Path) -> Path | None:
    """Take the baseline's tree out of the history; None where it is not there."""
    line = ["git", "-C", str(TREE), "archive", BASELINE]
    with suppress(OSError, subprocess.CalledProcessError):
        done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as packed:
            packed.extractall(folder, filter="data")
        return folder
    return None


def main(names: list[str]) -> None:
    """Print a line for each case."""
    with TemporaryDirectory() as folder:
        old = baseline(Path(folder))
        where = f"commit {BASELINE}, measured in turn" if old else f"{BASELINE}, figures kept"
        print(f"CPU seconds beyond imports; the baseline is {where}")
        for name in names or CASES:
            _, aim, times, kept_s = CASES[name]
            ours = []
            theirs = []
            for _ in range(times):
                theirs += [in_tree(old, name)] if old else [kept_s]
                ours.append(in_tree(TREE, name))
            ratio = min(ours) / min(theirs)
            kept = "holds" if ratio <= aim else "MISSED"
            print(
                f"{name:12} baseline {min(theirs):7.3f} s  now {min(ours):7.3f} s  "
                f"ratio {ratio:5.2f} (at most {aim:.2f}: {kept})",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
