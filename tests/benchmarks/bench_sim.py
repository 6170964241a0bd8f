"""Time of timing-only runs: against as many bare SimPy timeouts, and where it goes in a large one.

`python tests/benchmarks/bench_sim.py DAYS` runs the large one over other than its 115 days.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import simpy
from stopwatch import timed, watching

import scenarios
import sim
from sim.execution.identity import NamedBuild
from sim.execution.ready import build
from sim.execution.running import Run

CITIES, DEVICES, DAYS = 20, 50, 7
MANY_DEVICES, MANY_DAYS = 1000, 120
MUNICH = {
    "name": "Munich", "latitude_deg": 48.14, "longitude_deg": 11.58,
    "devices": MANY_DEVICES, "radius_km": 50,
}  # fmt: skip
"""A city that one satellite sees four times a day."""
WIDE = {"uplink": {"total_bandwidth_mhz": 500}}

# What is timed in the large run, and under which name: functions where they are looked up, so that
# the product needs no clock of its own. Time of an inner one does not count for the outer one.
PARTS = {
    "contact plan": ("sim.execution.ready:run_plan",),
    "geometry": ("sim.links.link_table:PassGeometry",),
    "SNR": ("sim.links.rate_points:unchecked_loss_db", "sim.links.rate_points:signal_after_loss"),
    "rate": ("sim.links.rate_points:unchecked_rate_bps", "sim.links.rate_points:bit_preserving"),
    "link curves": ("sim.links.plan_links:LinkTable",),
    "transfers (chains)": (
        "sim.network.chains:Chain.plan",
        "sim.network.chains:Chain.settle",
    ),
    "rows": (
        "sim.network.legs:LegLog.add",
        "sim.network.legs:LegLog.flush",
        "sim.trace.recorder:Trace.add",
    ),
    "tables (sort)": ("sim.trace.recorder:Trace.tables", "sim.execution.outcome:contacts_table"),
    "digests": ("sim.execution.manifest:digests",),
    "invariants": (
        "sim.checks.invariants:Invariants._unless_at_rest",
        "sim.checks.invariants:Invariants.conclude",
    ),
    "warnings": ("sim.execution.running:warnings_of",),
    "summary": ("sim.execution.result:summarise",),
    "writing": ("sim.execution.running:Run._write",),
}


def cities(count: int, devices: int) -> list[dict[str, Any]]:
    """Up to twenty cities with so many devices each, from south to north and around the Earth."""
    common = {"devices": devices, "radius_km": 100}
    return [
        {"name": f"c{i:02d}", "latitude_deg": -57 + 6 * place,
         "longitude_deg": 47 * place % 360 - 180, **common}
        for i, place in enumerate(range(0, CITIES, CITIES // count))
    ]  # fmt: skip


def scenario(clusters: list[dict[str, Any]], days: float, **link: Any) -> scenarios.Scenario:
    """One circular satellite over some clusters, nothing trained."""
    return scenarios.from_dict(
        {
            "start": "2026-08-22T00:00:00Z",
            "stop": {"days": days},
            "orbit": {"source": "circular", "altitude_km": 600, "inclination_deg": 97.8},
            "ground": {"clusters": clusters},
            "link": {"preset": "physical", **link},
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
    return timed(env.run)[0]


def many_cities() -> None:
    """Print plan and run times, rows, and the ratio to SimPy alone."""
    planned_s, built = timed(lambda: build(scenario(cities(CITIES, DEVICES), DAYS)))
    took_s, result = timed(lambda: Run(NamedBuild(built), None, 10.0).execute())
    rows = sum(len(table) for table in result.tables.values())
    plain = bare_timeouts(rows)
    print(f"{CITIES} cities x {DEVICES} devices, {DAYS} days: {len(built.plan.contacts)} contacts")
    print(f"contact plan                 {planned_s:8.2f} s")
    print(f"links, run, tables, digests  {took_s:8.2f} s  {rows:,} rows")
    print(f"SimPy alone, one event a row {plain:8.2f} s")
    print(f"ratio                        {took_s / plain:8.1f}")


def many_devices(days: float) -> None:
    """Print the time of a large run with its run folder, and the share of each part."""

    def run(place: str) -> tuple[sim.Result, int]:
        result = sim.run(scenario([MUNICH], days, **WIDE), Path(place) / "run")
        return result, result.summary["contacts"]  # computed on demand: it belongs to the run

    with watching(PARTS) as watch, tempfile.TemporaryDirectory() as folder:
        took, (result, contacts) = timed(run, folder)
        rows = {name: len(table) for name, table in result.tables.items()}
    print(f"\n{contacts} contacts x {MANY_DEVICES} devices, {days:g} days, with the run folder")
    print(f"{'whole simulator':28} {took:8.2f} s  {took / contacts * 1000:.1f} ms a contact")
    watch.seconds["clock, method, the rest"] = took - sum(watch.seconds.values())
    for part, seconds in watch.seconds.items():
        print(f"  {part:26} {seconds:8.2f} s  {seconds / took:6.1%}")
    events = result.manifest["events"]
    total = sum(rows.values())
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"events of the clock          {events:8,}    {events / took:,.0f} a second")
    print(f"rows                         {total:8,}    {total / took:,.0f} a second")
    print(f"  transfers, events          {rows['transfers']:8,}  {rows['events']:,}")
    print(f"peak memory                  {peak_mb:8.0f} MB")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        many_cities()
    many_devices(float(sys.argv[1]) if len(sys.argv) > 1 else MANY_DAYS)
