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
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any
from unittest import mock

import numpy as np
from stopwatch import timed, watching

import scenarios
import sim
from orbit import propagation

STAGES = {
    "plan": ("sim.execution.running:build",),
    "simulate": ("sim.engine.simulation:Simulation.run",),
    "write": ("sim.execution.folder:write_tables",),
    "manifest": ("sim.execution.folder:write_manifest",),
}
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


def _run(point: float, folder: Path | None = None) -> None:
    sim.run(_scenario(point), folder)


def _stages(point: int, folder: Path) -> dict[str, float]:
    """CPU seconds of the stages of a point, and of all of it."""
    load_s, scenario = timed(_scenario, point, clock=process_time)
    with watching(STAGES, process_time) as watch:
        run_s, _ = timed(sim.run, scenario, folder, clock=process_time)
    rest_s = run_s - sum(watch.seconds.values())
    return {"load": load_s, **watch.seconds, "rest": rest_s, "all": load_s + run_s}


def _bare_sgp4(point: int) -> float:
    """CPU seconds of SGP4 for the passes of a point, one call a pass."""
    asked: list[tuple[Any, np.ndarray, np.ndarray]] = []
    exact = propagation.propagate

    def noted(satellite: Any, start: Any, time_s: np.ndarray, *rest: Any) -> np.ndarray:
        day = np.full(time_s.shape, start.julian_day)
        asked.append((satellite.model, day, start.day_fraction(time_s)))
        return exact(satellite, start, time_s, *rest)

    with mock.patch("orbit.tracks.propagate", noted):
        _run(point)
    begun = process_time()
    for model, day, fraction in asked:
        model.sgp4_array(day, fraction)
    return process_time() - begun


def _many(points: int) -> None:
    """Points one after the other in one process."""
    with TemporaryDirectory() as folder:
        each_s = []
        used_mb = []
        for point in range(points):
            place = Path(folder) / str(point)
            each_s.append(timed(_run, point / 3, place, clock=process_time)[0])
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
