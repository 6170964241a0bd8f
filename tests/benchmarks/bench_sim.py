"""Time of timing-only runs, against as many bare SimPy timeouts."""

import simpy
from stopwatch import timed

import scenarios
from sim.execution.identity import NamedBuild
from sim.execution.ready import build
from sim.execution.running import RunExecution

CITIES, DEVICES, DAYS = 20, 50, 7


def cities(count, devices):
    """Up to twenty cities with so many devices each, from south to north and around the Earth."""
    common = {"devices": devices, "radius_km": 100}
    return [
        {"name": f"c{i:02d}", "latitude_deg": -57 + 6 * place,
         "longitude_deg": 47 * place % 360 - 180, **common}
        for i, place in enumerate(range(0, CITIES, CITIES // count))
    ]  # fmt: skip


def scenario(clusters, days):
    """One circular satellite over some clusters, nothing trained."""
    return scenarios.from_dict(
        {
            "start": "2026-08-22T00:00:00Z",
            "stop": {"days": days},
            "orbit": {"source": "circular", "altitude_km": 600, "inclination_deg": 97.8},
            "ground": {"clusters": clusters},
            "link": {"preset": "physical"},
            "learning": {"method": "emsfl", "train": False, "rounds": {"per_gap_max": 3}},
        }
    )


def bare_timeouts(count):
    """Seconds that SimPy alone takes for ``count`` timeouts of one process."""

    def process(env):  # type: ignore[no-untyped-def]
        for _ in range(count):
            yield env.timeout(1.0)

    env = simpy.Environment()
    env.process(process(env))
    return timed(env.run)[0]


def many_cities():
    """Print plan and run times, rows, and the ratio to SimPy alone."""
    planned_s, built = timed(lambda: build(scenario(cities(CITIES, DEVICES), DAYS)))
    took_s, result = timed(lambda: RunExecution(NamedBuild(built), None, 10.0).execute())
    rows = sum(len(table) for table in result.tables.values())
    plain = bare_timeouts(rows)
    print(f"{CITIES} cities x {DEVICES} devices, {DAYS} days: {len(built.plan.contacts)} contacts")
    print(f"contact plan                 {planned_s:8.2f} s")
    print(f"links, run, tables, digests  {took_s:8.2f} s  {rows:,} rows")
    print(f"SimPy alone, one event a row {plain:8.2f} s")
    print(f"ratio                        {took_s / plain:8.1f}")


if __name__ == "__main__":
    many_cities()
