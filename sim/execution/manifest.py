"""`manifest.json`: versions, machine, digests, warnings; and why a replay differs from its run."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from learning.learner import Learner
from learning.methods.own_learning import OwnLearning
from learning.own.code import running_modules
from learning.provenance import SETTINGS, processor
from scenarios.files import named_code, origin_name
from sim.analysis.checks import checks_of
from sim.engine.simulation import Simulation
from sim.execution.identity import NamedBuild
from sim.execution.outcome import charge_ends, model_kept
from sim.execution.versions import changes, versions
from sim.facts.status import COMPLETE
from sim.network.books import books_of
from sim.trace.digest import digests
from statements import Statement, as_json


def manifest_of(
    named: NamedBuild,
    simulation: Simulation,
    tables: Mapping[str, pa.Table],
    status: str,
    warnings: Sequence[Statement],
    **more: Any,
) -> dict[str, Any]:
    """Return the manifest of a run as far as it has come, with ``more`` keys of the run itself.

    What a user is warned of stands there in words, and what checks found by their codes.
    """
    built = named.build
    scenario = built.world.scenario
    path = scenario.source_path
    sizes = built.learner.architecture
    whole, timing = digests(tables)
    energy = simulation.energy()
    end_s = simulation.end_s
    method = simulation.method
    own = method if isinstance(method, OwnLearning) else None
    modules = running_modules(named_code(scenario))
    found = {
        "name": named.name,
        "read_from": named.name if path is None else origin_name(path),
        "status": status,
        "method": built.world.learning.method,
        "seed": scenario.seed,
        "start_utc": built.plan.start.isoformat(),
        "simulated_s": end_s,
        **({} if own is None else {"own_learning": True, "counts": dict(own.counts())}),
        **({"ended_by_method": why} if (why := simulation.ended_because) else {}),
        "ended_by": [*simulation.ended_by] or None,
        "model_kept": model_kept(built, simulation) if status == COMPLETE else None,
        **more,
        "identity": named.identity,
        "besides_stop": named.besides_stop,
        **({"code": named.code} if named.code else {}),
        **({"own_modules": modules} if modules else {}),
        **({"made_by_code": of_code} if (of_code := simulation.method.made_by_code()) else {}),
        **({"checkpoints": named.checkpoints} if named.checkpoints else {}),
        "computed_device_s": sum(row["computed_s"] for row in energy),
        "energy": energy,
        "spent": simulation.spending,
        "loads": [
            {"cluster": name, **load}
            for name, client in simulation.clients.by_name.items()
            if (load := client.devices.load.figures()) is not None  # of those that train
        ],
        "charges": list(charge_ends(simulation)),
        "model_expert_bytes": sizes.experts * sizes.expert_bytes,
        "stand_in": built.learner.stand_in,
        "books": books_of(simulation.clients.books.booked()),
        "trace_sha256": whole,
        "timing_sha256": timing,
        **said_of(warnings),
        "versions": dict(versions()),
        "determinism": determinism_of(built.learner),
    }
    ended = {**found, "scenario": named.scenario_json}
    checks = [check._asdict() for check in checks_of(tables, ended, built.method)]
    # The scenario stands at the end, where a reader of the file looks for it.
    return {**found, "checks": checks, "scenario": named.scenario_json}


def said_of(warnings: Sequence[Statement]) -> dict[str, Any]:
    """Return the warnings of a run as JSON: their lines, and as values what is ``said``."""
    return {
        "warnings": [str(warning) for warning in warnings],
        "said": [as_json(warning) for warning in warnings],
    }


PROCESSOR_NAME = "model name"


def determinism_of(learner: Learner) -> dict[str, Any]:
    """Return, as JSON, what may make another ``trace_sha256`` of the same scenario.

    ``device`` is what tensors were computed on, None in a timing-only run; the versions of the
    libraries stand in the manifest beside this. docs/trust.md says what each may change.
    """
    named = [line for line in processor() if line.startswith(PROCESSOR_NAME)]
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": named[0].partition(":")[2].strip() if named else platform.processor(),
        "libc": " ".join(platform.libc_ver()).strip(),
        "instructions": [*simd["baseline"], *simd.get("found", [])],  # left out if there are none
        "device": learner.device,
        "settings": {name: os.environ[name] for name in SETTINGS if name in os.environ},
    }


def saved_with(learner: Learner) -> dict[str, str]:
    """Return, by name, the versions and all else that may change a bit of the trace."""
    decides = determinism_of(learner)
    instructions = {f"instructions {name}": "used" for name in decides.pop("instructions")}
    settings = decides.pop("settings")
    known = {name: value for name, value in decides.items() if value is not None}
    return {**versions(), **known, **instructions, **settings}


def replay_differs(
    event: int,
    before: Mapping[str, str],
    now: Mapping[str, str],
    place: Path | None,
    code: Sequence[str],
) -> str:
    """Say that a replay differs at an event from the run that was saved: why, and what to do.

    The run was saved with what was there ``before``. Its scenario and its own ``code`` are the same
    ``now``: a run of others is refused before it begins.
    """
    changed = changes(before, now)
    same = "versions, processor and scenario are those that it was saved with"
    anew = "run it anew in another folder, where what the cache holds is not trained again"
    if not before:
        why = f"it was saved by another version of leomix; {anew}"
    elif changed:
        why = f"{', '.join(changed)} since it was saved; put that back to go on, or {anew}"
    elif code:
        why = (
            f"{same}, so code of your own ({', '.join(code)}) does not do the same each time, or "
            f"leomix has a defect; {anew}"
        )
    else:
        kept = "nothing that was saved is lost"
        if place is not None:
            kept += f": keep {place}, and report it with its scenario"
        why = f"{same}, so this is a defect of leomix; {kept}; {anew}"
    return f"the replay differs from the saved run at event {event}: {why}"
