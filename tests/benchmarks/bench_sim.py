"""Time of a timing-only week, against as many bare SimPy timeouts as it has rows."""

from __future__ import annotations

import time

import simpy

import scenarios
import sim
from sim.build import build
from sim.running import Run

CITIES, DEVICES, DAYS = 20, 50, 7


def scenario() -> scenarios.Scenario:
    """One circular satellite over many cities with many devices, nothing trained."""
    clusters = [
        {
            "name": f"c{i:02d}",
            "latitude_deg": -57 + 6 * i,
            "longitude_deg": (47 * i) % 360 - 180,
            "devices": DEVICES,
            "radius_km": 100,
        }
        for i in range(CITIES)
    ]
    return scenarios.from_dict(
        {
            "start": "2026-08-22T00:00:00Z",
            "stop": {"days": DAYS},
            "orbit": {"source": "circular", "altitude_km": 600, "inclination_deg": 97.8},
            "ground": {"clusters": clusters},
            "learning": {"method": "emsfl", "train": False, "rounds": {"per_gap_max": 3}},
        }
    )


def bare_timeouts(count: int) -> float:
    """Seconds that SimPy alone takes for ``count`` timeouts of one process."""

    def process(env: simpy.Environment):  # type: ignore[no-untyped-def]
        for _ in range(count):
            yield env.timeout(1.0)

    env = simpy.Environment()
    env.process(process(env))
    began = time.perf_counter()
    env.run()
    return time.perf_counter() - began


def main() -> None:
    """Print plan and run times, rows, and the ratio to SimPy alone."""
    began = time.perf_counter()
    built = build(scenario())
    planned = time.perf_counter()
    result: sim.Result = Run(built, None, 10.0).execute(None, None)
    done = time.perf_counter()
    rows = sum(len(table) for table in result.tables.values())
    plain = bare_timeouts(rows)
    print(f"{CITIES} cities x {DEVICES} devices, {DAYS} days: {len(built.plan.contacts)} contacts")
    print(f"contact plan                 {planned - began:8.2f} s")
    print(f"links, run, tables, digests  {done - planned:8.2f} s  {rows:,} rows")
    print(f"SimPy alone, one event a row {plain:8.2f} s")
    print(f"ratio                        {(done - planned) / plain:8.1f}")


if __name__ == "__main__":
    main()
