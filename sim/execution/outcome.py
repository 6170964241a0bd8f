"""What a run leaves besides its manifest: tables, warnings, and the final model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from learning.learner import Learner
from learning.methods.base import Method
from learning.methods.own_learning import OwnLearning
from learning.values.lazy import Handle
from learning.values.store import Tensors, as_file
from sim.advice.doubts import doubts_of
from sim.devices.battery import Battery
from sim.engine.evaluation import personal_parts
from sim.engine.setup import Build
from sim.engine.simulation import Simulation
from sim.execution.cache import Namespace
from sim.execution.model import write_model
from sim.facts.energy import ChargeRow
from sim.plan.contact_table import contacts_table, feeder_table, isl_table
from sim.trace.arrow import array, coded_text
from sim.trace.schema import table_of
from sim.trace.tables import Tables
from statements import Code, Statement


def tables_so_far(built: Build, simulation: Simulation, clients: pa.Table | None) -> Tables:
    """Return the tables of a run by now, with those of its plan and, if any, of its ``clients``."""
    tables = simulation.tables()
    end_s = simulation.end_s
    tables["contacts"] = contacts_table(built.plan, end_s)
    if built.plan.isls is not None:
        tables["isl_windows"] = isl_table(built.plan.isls, end_s)
    if built.plan.feeder is not None:
        tables["feeder_windows"] = feeder_table(built.plan.feeder, end_s)
    if (charges := charge_table(simulation)) is not None:
        tables["charges"] = charges
    if built.learner.metrics or built.method.traits.own_learning:
        tables["metrics"] = simulation.evaluator.with_own(tables["metrics"])
    if clients is not None:
        tables["clients"] = clients
    return tables


def write_final_model(
    place: Path, built: Build, simulation: Simulation, results: Namespace | None
) -> None:
    """Write the model that the run keeps, from ``results`` if it is there, and its payloads.

    ``learning.keep`` says which: that of the end, that of the best evaluation, or no weights.
    """
    learner = built.learner
    method = simulation.method
    keep = built.world.learning.keep
    best = simulation.evaluator.best if keep == "best" else None
    weights: bytes | Tensors | None = None
    personal = None
    if learner.trains and keep != "none":
        if best is None or best.model is None:
            server, parts = method.model(), personal_parts(method)
        else:
            server, parts = best.model, best.personal
        weights = final_model(learner, server, results)
        if parts:
            personal = personal_tensors(method, parts)
    if isinstance(method, OwnLearning) and keep != "none":
        weights = method.final_weights()
    about = {
        "what": "the satellite's model at "
        + ("the end of the run" if best is None else f"its best evaluation, cycle {best.cycle}"),
        "kind": None if built.method.traits.own_learning else learner.config.model.kind,
        "version": method.version if best is None else best.version,
        "trained": learner.measures,
    }
    write_model(place, weights, about, simulation.clients.books.listed(), personal)


def model_kept(built: Build, simulation: Simulation) -> dict[str, Any] | None:
    """Return which model the run folder keeps, and the evaluation that it is of, as JSON.

    Keys: keep, and cycle, hours, figure and value of that evaluation; these are None if no model is
    kept, and the value is None if it is not finite. None for a run that measures nothing.
    """
    if not built.learner.measures:
        return None
    keep = built.world.learning.keep
    evaluator = simulation.evaluator
    kept = {"best": evaluator.best, "last": evaluator.latest, "none": None}[keep]
    if kept is None:
        return {"keep": keep, **dict.fromkeys(("cycle", "hours", "figure", "value"))}
    value = kept.value if math.isfinite(kept.value) else None
    hours = kept.time_s / 3600
    found = {"cycle": kept.cycle, "hours": hours, "figure": kept.figure, "value": value}
    return {"keep": keep, **found}


def personal_tensors(method: Method, parts: Mapping[str, Handle]) -> Tensors:
    """Return the personal parts of each device, out of those by cluster, as CLUSTER/DEVICE/NAME."""
    found: Tensors = {}
    for me in method.world.clusters:
        own = method.learner.force(parts[me.name])
        for name, stacked in own.items():
            rows = (f"{me.name}/{device}/{name}" for device in range(me.devices))
            found = {**found, **dict(zip(rows, stacked, strict=True))}
    return found


def final_model(learner: Learner, server: Handle, results: Namespace | None) -> bytes | Tensors:
    """Return the weights of ``server`` as tensors, or as the file of them that ``results`` has.

    Models from checkpoints are not shared between runs: they would displace all else in the cache.
    """
    final = learner.final(server)
    if results is None or final.foreign or learner.config.model.checkpoints:
        return learner.force(final)
    data = results.read(f"{final.key}.model", bytes)
    if data is not None:
        learner.values.spare(final)
        return data
    data = as_file(learner.force(final))
    results.keep(f"{final.key}.model", len(data), lambda: data)
    return data


def charge_ends(simulation: Simulation) -> Iterator[dict[str, Any]]:
    """Yield the lowest and the last charge of the battery of each cluster that has one."""
    for name, battery in _batteries(simulation).items():
        lowest, last = battery.charges_at(simulation.end_s)
        yield {"cluster": name, "lowest": lowest, "last": last}


def charge_table(simulation: Simulation) -> pa.Table | None:
    """Return the charges table: the bends of each battery's charge; None without batteries."""
    batteries = _batteries(simulation)
    if not batteries:
        return None
    charges = [battery.charge_by(simulation.end_s) for battery in batteries.values()]
    codes = np.repeat(np.arange(len(charges)), [len(charge.time_s) for charge in charges])
    return table_of(
        ChargeRow(
            cluster=coded_text(codes, list(batteries)),
            time_s=array(np.concatenate([charge.time_s for charge in charges])),
            charge=array(np.concatenate([charge.share for charge in charges])),
        )
    )


def _batteries(simulation: Simulation) -> Mapping[str, Battery]:
    clients = sorted(simulation.clients.by_name.items())
    held = ((name, client.devices.battery) for name, client in clients)
    return {name: battery for name, battery in held if battery is not None}


def warnings_of(built: Build, method: Method) -> list[Statement]:
    """Return what may be wrong with contacts and memory, and what code of one's own has done."""
    own = method.doubts() if isinstance(method, OwnLearning) else ()
    return [*doubts_of(built), *own, *_alone(built)]


def _alone(built: Build) -> Iterator[Statement]:
    """A model, or a loss, whose devices cannot be trained at once."""
    why, why_of_loss = built.learner.alone
    if why_of_loss:
        yield Statement.doubt(
            Code.SLOW_TRAINING,
            "learning.loss",
            "{loss!r} is computed device by device, which is slower: torch.func.vmap {why}",
            loss=built.world.learning.loss,
            why=why_of_loss,
        )
    if why:
        yield Statement.doubt(
            Code.SLOW_TRAINING,
            "learning.model.kind",
            "{kind!r} is trained device by device, which is slower: torch.func.vmap {why}; the "
            "class attribute batched = False asks for that",
            kind=built.world.learning.model.kind,
            why=why,
        )
