"""The list of checks: each a predicate over a run with a sentence, and overrides that may help."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from learning.methods.base import GlobalModelMethod, MethodType
from learning.methods.emsfl import EmsFl
from learning.methods.options import read_options
from learning.policies.model_splitting import assign_experts, home_threshold, own_mass
from sim.analysis.checks import check as keys
from sim.analysis.checks.check import Bottleneck, Check, Override
from sim.analysis.checks.held_back import SECONDS_A_DAY, passes_a_day
from sim.analysis.checks.run import EndedRun
from sim.analysis.critical_path import Part
from sim.analysis.experts import RUN_ENDS, by_cluster, split_at
from sim.facts.status import FAILED, INTERRUPTED
from sim.formatting import counted, data_size, how_far, listed, percent
from sim.trace.tables import pieces_of

GIB = 2**30
FEW = 0.01
"""Faults for each device round below which they are left to the table of events."""
HALF = 0.5
"""The share of the critical path from which on waiting for passes holds a run back."""
UNLIKE = 0.5
"""How far the classes of a client are from those of all (0 to 1), from which on they may be why."""
MOST_NAMED_CLASSES = 5
"""Classes that are named one by one."""
AWAY = 0.1
"""How much more of the gate's mass is on own experts if all are at home, where it is the draw that
keeps it from them: more than now, and more than the 1 / C that any draw has under an even gate. In
few trial samples the shares of an even gate differ by less."""


def checks_of(
    tables: Mapping[str, pa.Table], manifest: Mapping[str, Any], method: MethodType
) -> list[Check]:
    """Return the checks of a run that has ended, by its ``method``, without remedies."""
    found = findings_of(EndedRun(tables, manifest, method))
    return [Check(code, finding.sentence) for code, finding in found.items()]


def findings_of(run: EndedRun) -> dict[str, Bottleneck]:
    """Return what the checks find in a run that has ended, by their codes."""
    every = ((code, check(run)) for code, check in CHECKS.items())
    return {code: found for code, found in every if found is not None}


# How a run ended.


def _how_far(run: EndedRun) -> str:
    stop = run.scenario["stop"]
    span_s = None if stop.get("days") is None else stop["days"] * SECONDS_A_DAY
    return how_far(run.manifest["simulated_s"], span_s, run.cycles, stop.get("cycles"))


def interrupted(run: EndedRun) -> Bottleneck | None:
    """The run was interrupted; `--resume` goes on with it."""
    if run.manifest["status"] != INTERRUPTED:
        return None
    return Bottleneck(f"Interrupted at {_how_far(run)}; --resume goes on with it")


def failed(run: EndedRun) -> Bottleneck | None:
    """The run failed before its end."""
    if run.manifest["status"] != FAILED:
        return None
    why = str(run.manifest.get("error") or "").rstrip(".")
    return Bottleneck(f"Failed at {_how_far(run)}" + (why and f": {why}"))


def no_update(run: EndedRun) -> Bottleneck | None:
    """No update of a client became part of the model (exit code 4 if the run trains)."""
    if not run.is_complete or run.used:
        return None
    up = run.moved.up
    aggregates = issubclass(run.method, GlobalModelMethod) and not run.method.traits.own_learning
    if not aggregates and (up.delivered or (run.device_rounds and not up.rows)):
        return None
    if not run.device_rounds:
        what = "No device completed a round of training"
    elif up.delivered:
        what = f"The server used none of {counted(up.delivered, 'update')} that reached it"
    else:
        what = "No update of a client reached the server"
    if because := run.manifest.get("ended_by_method"):
        return Bottleneck(f"{what}: {run.manifest['method']} ended the run ({because})")
    if memory(run) or large_payload(run):
        return Bottleneck(what)  # these name it
    why, overrides = _why_no_update(run)
    return Bottleneck(f"{what}: {why}", "updates_used", tuple(overrides))


def _why_no_update(run: EndedRun) -> tuple[str, Iterable[Override]]:
    asked = bool(run.manifest.get("loads"))
    scenario = run.scenario
    if run.unserved:
        clients = counted(len(run.devices), "client")
        more = chain(keys.more_service(scenario), keys.more_passes(scenario))
        return f"{run.unserved} of {clients} never served", more
    if run.over_mesh and (run.device_rounds or not asked):
        more = chain(keys.faster(scenario, ["isl"]), keys.try_more_links(scenario))
        return "none came over links between satellites", more
    if run.moved.up.delivered:
        return "they were not what it waits for", ()
    if run.device_rounds:
        return "no upload began", keys.longer(scenario)
    if not asked:
        return "none was asked for", keys.longer(scenario)
    more = chain(keys.try_shorter_rounds(scenario), keys.longer(scenario))
    return "none that began came to its end", more


def not_trained(run: EndedRun) -> Bottleneck | None:
    """`learning.train` is false, and a key asks for what only training gives."""
    if run.learning["train"]:
        return None
    asked = [f"learning.{key}" for key in ("targets", "metrics") if run.learning.get(key)]
    if not asked:
        return None
    why = "Only the timing was simulated (learning.train is false)"
    return Bottleneck(f"{why}: {listed(asked)} show nothing")


def not_tested(run: EndedRun) -> Bottleneck | None:
    """The model was trained, and not tested since the start."""
    curve = run.learnt.curve
    if not curve or not run.used or any(one.hours > 0.0 for one in curve):
        return None
    return Bottleneck("Not tested since the start: whether it learns is not known")


# What was learnt.


def diverged(run: EndedRun) -> Bottleneck | None:
    """The loss or an update is not finite; or nothing was learnt, and the loss grew by a tenth."""
    lost = [one.cycles for one in run.learnt.curve if not math.isfinite(one.loss or 0.0)]
    refused = run.events.refused
    if lost:
        return Bottleneck(f"Training diverged: the loss is not finite from cycle {lost[0]} on")
    if refused:
        text = f"{counted(refused, 'update')} were not finite, and refused by the server"
        return Bottleneck(f"Training diverged: {text}")
    if run.stayed and run.learnt.loss_grew and sum(run.untaught.values()) < 1.0:
        first, *_, last = losses = run.learnt.losses
        text = f"loss {first:.4g} to {last:.4g}, at most {max(losses):.4g}"
        return Bottleneck(f"Training diverged: {text}; {run.learnt.course}")
    return None


def step_size(run: EndedRun) -> Bottleneck | None:
    """Nothing was learnt: the loss hardly moved, is that of a guess, or fell and rose again."""
    learnt = run.learnt
    if not run.stayed or diverged(run) or sum(run.untaught.values()) >= 1.0:
        return None
    if learnt.was_lost:
        return Bottleneck(f"What was learnt was lost again: {learnt.course}")
    if learnt.loss_stayed:
        return Bottleneck(f"The loss stays at {learnt.losses[-1]:.4g}: {learnt.course}")
    if learnt.is_a_guess:
        text = f"The loss is that of a guess, {learnt.losses[-1]:.4g}: {learnt.course}"
        return Bottleneck(text)
    return None


def clients_unlike(run: EndedRun) -> Bottleneck | None:
    """No client has samples of a tested class; or nothing was learnt of clients that differ."""
    if run.untaught:
        names = [*map(str, run.untaught)]
        few = f"class{'es' if names[1:] else ''} {listed(names)}"
        of = few if len(names) <= MOST_NAMED_CLASSES else f"{len(names)} classes"
        share = sum(run.untaught.values())
        return Bottleneck(f"No client has a sample of {of}: {percent(share, 0)} of the tests")
    if not run.stayed or diverged(run) or step_size(run) or run.skew < UNLIKE:
        return None
    text = (
        f"{percent(run.skew, 0)} of a client's samples would be of other classes if all were alike"
    )
    return Bottleneck(f"Not learnt beyond chance: {run.learnt.course}; {text}")


def _still_learning(run: EndedRun) -> str:
    """Say that a longer run would have learnt more; empty where that is not known."""
    if not (run.is_complete and run.used) or run.manifest.get("ended_by"):
        return ""
    if run.learnt.still_rises and not run.learnt.is_most:
        return f"Still learning at the end: {run.learnt.course}"
    if not run.stayed or any(check(run) for check in (diverged, step_size, clients_unlike)):
        return ""
    return f"Not learnt beyond chance yet: {run.learnt.course}"


def too_few_passes(run: EndedRun) -> Bottleneck | None:
    """The run was still learning at its end, and mostly waited for passes."""
    text = _still_learning(run)
    if not text or "slots" in run.scenario["orbit"]:
        return None
    waiting = run.critical_path.shares.get(Part.PASS_AWAITED, 0.0)
    if waiting < HALF:
        return None
    passes = (
        f"{passes_a_day(run):.1f} passes a day for each client, {percent(waiting, 1)} of the time"
    )
    return Bottleneck(
        f"{text}; {passes} went by until the next one",
        "device_rounds_per_day",
        (*keys.more_rounds(run.scenario), *keys.more_passes(run.scenario)),
    )


def budget(run: EndedRun) -> Bottleneck | None:
    """The run was still learning when `stop` ended it, for another reason than passes."""
    text = _still_learning(run)
    if not text or too_few_passes(run):
        return None
    return Bottleneck(text, "device_rounds", tuple(keys.longer(run.scenario)))


def stale(run: EndedRun) -> Bottleneck | None:
    """The mean age of updates, in versions of the model, is larger than the number of devices."""
    # FedSat has no option against it: its updates are as old as its protocol makes them.
    options = {option.name for option in fields(run.method.Options)}
    if not options & {"staleness", "buffer_size"}:
        return None
    devices = sum(run.devices.values())
    if run.mean_staleness <= devices:
        return None
    text = f"Updates are {run.mean_staleness:.0f} versions old in the mean"
    overrides = []
    if "buffer_size" in options:
        size = read_options(run.method.Options, run.learning["options"]).buffer_size
        overrides = [Override("learning.options.buffer_size", 2 * size)]
    return Bottleneck(
        f"{text}, of {counted(devices, 'device')}", "mean_staleness", tuple(overrides)
    )


def experts_away(run: EndedRun) -> Bottleneck | None:
    """The draw of a method gave experts to clusters that use them less than others do."""
    rows = pa.concat_tables(map(by_cluster, pieces_of(run.tables, "assignments")))
    if not (run.learning["train"] and run.method.traits.splits_experts and len(rows)):
        return None
    splits = [(name, split_at(rows, place)) for name, place in RUN_ENDS.items()]
    when, split = min(splits, key=lambda end: end[1].own_mass)
    if split.home_mass - max(split.own_mass, 1 / len(split.clusters)) <= AWAY:
        return None
    away = len(split.owner) - split.at_home
    text = (
        f"{away} of {counted(len(split.owner), 'expert')} are with clusters that use them less "
        f"than others do: own gate mass {split.own_mass:.2f} at the {when}, {split.home_mass:.2f} "
        "with all at home"
    )
    if issubclass(run.method, EmsFl):
        threshold = home_threshold(split.relevance)
        owner = assign_experts(split.relevance, threshold, np.random.default_rng(0))
        drawn = own_mass(split.relevance, owner)
        if drawn > split.own_mass:
            text += f", {drawn:.2f} if drawn with learning.options.threshold={threshold:g}"
    return Bottleneck(text)


# What devices and links lack.


def memory(run: EndedRun) -> Bottleneck | None:
    """Devices have too little memory for a round, and do not train."""
    excluded = len(run.events.excluded)
    if not excluded:
        return None
    lacking = {cluster for cluster, _ in run.events.excluded}
    loads = [row for row in run.manifest["loads"] if row["cluster"] in lacking]
    needed_bytes = max((row["least_memory_bytes"] for row in loads), default=0.0)
    devices = counted(sum(run.devices.values()), "device")
    text = (
        f"{excluded} of {devices} do not train: a round takes {data_size(needed_bytes)} of memory"
    )
    sized = "learning" if run.learning["sized_as"] is None else "learning.sized_as"
    overrides = [
        Override(f"{sized}.micro_batch", 1),
        Override("compute.memory_gib", math.ceil(needed_bytes / GIB)),
    ]
    return Bottleneck(text, "devices_training", tuple(overrides))


def large_payload(run: EndedRun) -> Bottleneck | None:
    """No pass carried a whole upload, or a whole download."""
    if run.over_mesh:
        return None
    for name, sent in (("upload", run.moved.up), ("download", run.moved.down)):
        if sent.rows and sent.carried_bytes < sent.payload_bytes:
            took, figure = "none got through", f"{name}s_delivered"
            if sent.passes_each is not None:
                took = f"one takes {sent.passes_each:.1f} passes on average"
                figure = f"passes_per_{name}"
            text = (
                f"No pass carries more than {data_size(sent.carried_bytes)} of "
                f"{'an' if name == 'upload' else 'a'} {name} of "
                f"{data_size(sent.payload_bytes)}: {took}"
            )
            smaller = keys.smaller_payloads(run.scenario)
            return Bottleneck(text, figure, (*smaller, *keys.faster(run.scenario, sent.directions)))
    return None


def silent_devices(run: EndedRun) -> Bottleneck | None:
    """Devices sent nothing while others of their client did: they may see no satellite."""
    heard = run.moved.heard | run.events.faulty
    by_client = Counter(cluster for cluster, _ in heard)
    silent = {name: n - by_client[name] for name, n in run.devices.items() if by_client[name]}
    lacking = {name: n for name, n in silent.items() if n > 0}
    if not lacking or not run.moved.up.rows:
        return None
    devices = counted(sum(lacking.values()), "device")
    text = f"{devices} of {listed([*lacking])} sent nothing while others there did"
    lower_mask = keys.scaled(run.scenario, "orbit.min_elevation_deg", 0.5)
    return Bottleneck(text, "devices_heard", tuple(lower_mask))


def faults(run: EndedRun) -> Bottleneck | None:
    """One device round in a hundred, or more, failed by what no key of `faults` asked for."""
    total = run.events.faults.total()
    if total == 0 or total < FEW * run.device_rounds:
        return None
    [(most, times)] = run.events.faults.most_common(1)
    others = "" if total == times else f" ({total - times} others are in the table events)"
    return Bottleneck(f"{counted(times, 'fault')}: {most}{others}")


CHECKS: Mapping[str, Callable[[EndedRun], Bottleneck | None]] = {
    check.__name__.replace("_", "-"): check
    for check in (
        *(interrupted, failed, no_update, memory, large_payload, not_trained, not_tested),
        *(diverged, step_size, clients_unlike, too_few_passes, budget, stale, experts_away),
        *(silent_devices, faults),
    )
}
"""The checks of a run by code, in the order in which they are said."""
