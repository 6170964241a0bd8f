"""How long one timing-only point of a sweep takes, and where that goes.

`python tests/benchmarks/bench_point.py` times the shipped scenario `circular` (20 devices in four
cities, 14 days) at altitudes of its own, without training, and prints CPU seconds beyond imports:
load (scenario), plan (contacts), simulate (links and transfers) and write (tables and digests).
Beside them stands, as the reference, what SGP4 alone takes for the same passes at the same knots:
bare `sgp4_array` calls. The quickest of nine points counts, each stage by itself.
`python tests/benchmarks/bench_point.py many 30` runs so many points in one process, and says what a
thousand would take, and by how much memory grows.
"""

import resource
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any
from unittest import mock

import numpy as np

import scenarios
import sim
from orbit import propagation
from sim import folder as run_folder
from sim import running
from sim.simulation import Simulation

POINTS = 9
WARM = 3


def main() -> None:
    """Print times and ratios."""
    if sys.argv[1:2] == ["many"]:
        _many(int(sys.argv[2]) if len(sys.argv) > 2 else 30)
        return
    with TemporaryDirectory() as folder:
        points = [_stages(n, Path(folder) / str(n)) for n in range(-1, POINTS)][1:]
    best = {stage: min(point[stage] for point in points) for stage in points[0]}
    sgp4_s = min(_bare_sgp4(n) for n in range(POINTS))
    print(f"circular, timing only: CPU seconds beyond imports, the quickest of {POINTS} points")
    for stage, seconds in best.items():
        print(f"{stage:10s} {seconds:7.3f} s  {seconds / sgp4_s:7.0f} x bare SGP4")
    print(f"{'bare SGP4':10s} {sgp4_s:7.3f} s")


def _scenario(point: float) -> scenarios.Scenario:
    keys = {"learning.train": False, "orbit.altitude_km": 600.0 + 7.3 * point}
    return scenarios.load("circular", keys)


def _stages(point: int, folder: Path) -> dict[str, float]:
    """CPU seconds of the stages of a point, and of all of it."""
    spent: dict[str, float] = {}
    begun = process_time()
    scenario = _scenario(point)
    spent["load"] = process_time() - begun
    with (
        _timed(spent, "plan", running, "build"),
        _timed(spent, "simulate", Simulation, "run"),
        _timed(spent, "write", run_folder, "write_tables"),
        _timed(spent, "manifest", run_folder, "write_manifest"),
    ):
        sim.run(scenario, folder)
    whole = process_time() - begun
    return {**spent, "rest": whole - sum(spent.values()), "all": whole}


@contextmanager
def _timed(spent: dict[str, float], stage: str, place: Any, name: str) -> Any:
    """Note what a function of the run takes."""
    function: Callable[..., Any] = getattr(place, name)

    def timed(*arguments: Any, **keys: Any) -> Any:
        begun = process_time()
        try:
            return function(*arguments, **keys)
        finally:
            spent[stage] = spent.get(stage, 0.0) + process_time() - begun

    with mock.patch.object(place, name, timed):
        yield


def _bare_sgp4(point: int) -> float:
    """CPU seconds of SGP4 for the passes of a point, one call a pass."""
    asked: list[tuple[Any, np.ndarray, np.ndarray]] = []
    exact = propagation.propagate

    def noted(satellite: Any, start: Any, time_s: np.ndarray, *rest: Any) -> np.ndarray:
        day = np.full(time_s.shape, start.julian_day)
        asked.append((satellite.model, day, start.day_fraction(time_s)))
        return exact(satellite, start, time_s, *rest)

    with mock.patch("orbit.track.propagate", noted):
        sim.run(_scenario(point))
    begun = process_time()
    for model, day, fraction in asked:
        model.sgp4_array(day, fraction)
    return process_time() - begun


def _many(points: int) -> None:
    """Points one after the other in one process."""
    with TemporaryDirectory() as folder:
        each_s, used_mb = [], []
        for point in range(points):
            begun = process_time()
            sim.run(_scenario(point / 3), Path(folder) / str(point))
            each_s.append(process_time() - begun)
            used_mb.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
    warm_s = each_s[WARM:]
    middle_s = float(np.median(warm_s))
    print(f"{points} points: {middle_s:.3f} s each ({min(warm_s):.3f} to {max(warm_s):.3f} s)")
    print(f"a thousand in one process: {middle_s * 1000 / 60:.0f} minutes")
    print(
        f"memory: {used_mb[WARM]:.0f} MB after {WARM + 1} points, {used_mb[-1]:.0f} MB at the end"
    )


if __name__ == "__main__":
    main()
