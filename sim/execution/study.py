"""A network study carried out: its folder, which is that of a run without a method."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from learning.files import sync_folder
from learning.hardware import peak_bytes
from learning.rng import draws_so_far
from scenarios import Scenario
from sim.capacity.study import NetworkStudy, study_of
from sim.execution import claim
from sim.execution import folder as run_folder
from sim.execution.extension import is_of_another_stop
from sim.execution.identity import Named
from sim.execution.manifest import said_of
from sim.execution.ready import network_plan
from sim.execution.result import Result, stored
from sim.execution.run_cache import RunCache
from sim.execution.versions import versions
from sim.facts import status
from sim.facts.observer import Observer
from sim.plan.passes import find_windows
from sim.trace.digest import digests
from sim.world.world import World


def run_study(
    scenario: Scenario,
    name: str,
    place: Path | None,
    cache: RunCache | None,
    observers: Sequence[Observer],
) -> Result:
    """Return the result of a network study, out of its folder if it is there.

    One with another stop is made anew: that takes seconds.
    """
    began = time.monotonic()
    world = World(scenario)
    plan = network_plan(world, find_windows if cache is None else cache.windows.find)
    named = Named(world, plan, name)
    with claim.locked(place):
        if place is not None:
            with claim.as_run_failure(place):
                before = claim.manifest_before(place, named)
            if before is not None and not is_of_another_stop(before, named):
                return stored(place, before)
            claim.check_writable(place)
        for observer in observers:
            observer.doubted(plan.doubts)
        found = _result(study_of(world, plan), named, began)
        if place is not None:
            with claim.as_run_failure(place):
                _write(place, found)
        if cache is not None:
            cache.close()
        return replace(found, folder=place)


def _result(study: NetworkStudy, named: Named, began: float) -> Result:
    """Return a network study as a result, in no folder; it ``began`` at this monotonic time."""
    plan, scenario = study.plan, study.world.scenario
    tables = study.tables
    whole, timing = digests(tables)
    draws = draws_so_far()
    manifest = {
        "name": named.name,
        "status": status.COMPLETE,
        "method": None,
        "seed": scenario.seed,
        "start_utc": plan.start.isoformat(),
        "simulated_s": plan.stop_s,
        "wall_s": round(time.monotonic() - began, 3),
        "peak_memory_bytes": peak_bytes(),
        **({} if draws is None else {"drawn": draws.any}),
        "identity": named.identity,
        "besides_stop": named.besides_stop,
        "network": study.figures,
        "trace_sha256": whole,
        "timing_sha256": timing,
        **said_of(plan.doubts),
        "versions": dict(versions()),
        "scenario": named.scenario_json,
    }
    return Result(tables, manifest, None, list(plan.doubts))


def _write(place: Path, found: Result) -> None:
    """Write tables, and behind them the manifest, which speaks of all of them."""
    run_folder.write_tables(place, found.tables)
    found.manifest["checksums"] = run_folder.checksums(place, found.tables)
    sync_folder(place)
    run_folder.write_manifest(place, found.manifest)
