"""The list of checks: each a predicate over a run, a sentence, and the key to change."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa

from learning.methods.base import GlobalModelMethod, MethodType
from learning.methods.emsfl import EmsFl, EmsFlOptions
from learning.methods.options import read_options
from learning.policies.model_splitting import assign_experts, home_threshold, own_mass
from sim.analysis.checks import check as keys
from sim.analysis.checks.check import Check, Key
from sim.analysis.checks.held_back import (
    SECONDS_A_DAY,
    critical_shares,
    passes_a_day,
    waiting_for_passes,
)
from sim.analysis.checks.run import EndedRun
from sim.analysis.experts import ENDS, by_cluster, split_at
from sim.analysis.learnt import GROWN
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
MOST_CLASSES = 5
"""Classes that are named one by one."""
AWAY = 0.1
"""How much more of the gate's mass is on own experts if all are at home, where it is the draw that
keeps it from them: more than now, and more than the 1 / C that any draw has under an even gate. In
few trial samples the shares of an even gate differ by less."""
Found = tuple[str, Key] | None
"""What a check finds: its sentence and key, None where there is nothing to say."""


def checks_of(
    tables: Mapping[str, pa.Table], manifest: Mapping[str, Any], method: MethodType
) -> list[Check]:
    """Return the checks of a run that has ended, by its ``method``."""
    run = EndedRun(tables, manifest, method)
    every = ((code, check(run)) for code, check in CHECKS.items())
    return [Check(code, found[0], *found[1]) for code, found in every if found is not None]


# How a run ended.


def _how_far(run: EndedRun) -> str:
    stop = run.scenario["stop"]
    span_s = None if stop.get("days") is None else stop["days"] * SECONDS_A_DAY
    return how_far(run.manifest["simulated_s"], span_s, run.cycles, stop.get("cycles"))


def interrupted(run: EndedRun) -> Found:
    """The run was interrupted; `--resume` goes on with it."""
    if run.manifest["status"] != INTERRUPTED:
        return None
    return f"Interrupted at {_how_far(run)}; --resume goes on with it", Key()


def failed(run: EndedRun) -> Found:
    """The run failed before its end."""
    if run.manifest["status"] != FAILED:
        return None
    why = str(run.manifest.get("error") or "").rstrip(".")
    return f"Failed at {_how_far(run)}" + (why and f": {why}"), Key()


def no_update(run: EndedRun) -> Found:
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
        return f"{what}: {run.manifest['method']} ended the run ({because})", Key()
    if memory(run) or large_payload(run):
        return what, Key()  # these name it
    why, key = _why_no_update(run)
    return f"{what}: {why}", key


def _why_no_update(run: EndedRun) -> tuple[str, Key]:
    asked = bool(run.manifest.get("loads"))
    if run.unserved:
        clients = counted(len(run.devices), "client")
        return f"{run.unserved} of {clients} never served", keys.more_service(run.scenario)
    if run.over_mesh and (run.device_rounds or not asked):
        return "none came over links between satellites", keys.faster_isls(run.scenario)
    if run.moved.up.delivered:
        return "they were not what it waits for", Key()
    if run.device_rounds:
        return "no upload began", keys.longer(run.scenario)
    if not asked:
        return "none was asked for", keys.longer(run.scenario)
    return "none that began came to its end", keys.shorter_rounds(run.scenario)


def not_trained(run: EndedRun) -> Found:
    """`learning.train` is false, and a key asks for what only training gives."""
    if run.learning["train"]:
        return None
    asked = [f"learning.{key}" for key in ("targets", "metrics") if run.learning.get(key)]
    if not asked:
        return None
    text = f"Only the timing was simulated: nothing was trained that {listed(asked)} could show"
    return text, Key("learning.train", value=True)


def not_tested(run: EndedRun) -> Found:
    """The model was trained, and not tested since the start."""
    curve = run.learnt.curve
    if not curve or not run.used or any(one.hours > 0.0 for one in curve):
        return None
    text = "Not tested since the start: whether it learns is not known"
    hours = run.manifest["simulated_s"] / 3600.0 / 10.0
    return text, Key("learning.evaluate_every_hours", float(f"{hours:.2g}"))


# What was learnt.


def diverged(run: EndedRun) -> Found:
    """The loss or an update is not finite; or nothing was learnt, and the loss grew."""
    lost = [one.cycles for one in run.learnt.curve if not math.isfinite(one.loss or 0.0)]
    refused = run.events.refused
    smaller = _other_step(run, 0.1)
    if lost:
        return f"Training diverged: the loss is not finite from cycle {lost[0]} on", smaller
    if refused:
        text = f"{counted(refused, 'update')} were not finite, and refused by the server"
        return f"Training diverged: {text}", smaller
    if run.stayed and run.learnt.loss_grew and sum(run.untaught.values()) < 1.0:
        first, *_, last = losses = run.learnt.losses
        text = f"loss {first:.4g} to {last:.4g}, at most {max(losses):.4g}"
        return f"Training diverged: {text}; {run.learnt.course}", smaller
    return None


def _other_step(run: EndedRun, times: float) -> Key:
    if run.method.traits.own_learning:  # it stands in code of one's own
        return Key()
    return keys.scaled(run.scenario, ("learning.step_size", times))


def step_size(run: EndedRun) -> Found:
    """Nothing was learnt: the loss hardly moved, is that of a guess, or fell and rose again."""
    learnt = run.learnt
    if not run.stayed or diverged(run) or sum(run.untaught.values()) >= 1.0:
        return None
    if learnt.was_lost:
        return f"What was learnt was lost again: {learnt.course}", _other_step(run, 0.1)
    if learnt.loss_stayed:
        text = f"The loss stays at {learnt.losses[-1]:.4g}: {learnt.course}"
        return text, _other_step(run, 10.0)
    if learnt.guess is not None and learnt.is_a_guess:
        has_fallen = learnt.losses[0] > GROWN * learnt.guess.loss_nats
        text = f"The loss is that of a guess, {learnt.losses[-1]:.4g}: {learnt.course}"
        return text, _other_step(run, 0.1 if has_fallen else 10.0)
    return None


def clients_unlike(run: EndedRun) -> Found:
    """No client has samples of a tested class; or nothing was learnt of clients that differ."""
    key = keys.scaled(run.scenario, ("learning.data.split.alpha", 10.0), ("learning.data", 1.0))
    if run.untaught:
        names = [*map(str, run.untaught)]
        few = f"class{'es' if names[1:] else ''} {listed(names)}"
        of = few if len(names) <= MOST_CLASSES else f"{len(names)} classes"
        share = sum(run.untaught.values())
        return f"No client has a sample of {of}: {percent(share, 0)} of the tests", key
    if not run.stayed or diverged(run) or step_size(run) or run.skew < UNLIKE:
        return None
    text = (
        f"{percent(run.skew, 0)} of a client's samples would be of other classes if all were alike"
    )
    return f"Not learnt beyond chance: {run.learnt.course}; {text}", key


def _still_learning(run: EndedRun) -> str:
    """Say that a longer run would have learnt more; empty where that is not known."""
    if not (run.is_complete and run.used) or run.manifest.get("ended_by"):
        return ""
    if run.learnt.still_rises and not run.learnt.is_most:
        return f"Still learning at the end: {run.learnt.course}"
    if not run.stayed or any(check(run) for check in (diverged, step_size, clients_unlike)):
        return ""
    return f"Not learnt beyond chance yet: {run.learnt.course}"


def too_few_passes(run: EndedRun) -> Found:
    """The run was still learning at its end, and mostly waited for passes."""
    text = _still_learning(run)
    if not text or "slots" in run.scenario["orbit"]:
        return None
    waiting = waiting_for_passes(critical_shares(run))
    if waiting < HALF:
        return None
    passes = (
        f"{passes_a_day(run):.1f} passes a day for each client, {percent(waiting, 1)} of the time"
    )
    return f"{text}; {passes} went by until the next one", keys.more_passes(run.scenario)


def budget(run: EndedRun) -> Found:
    """The run was still learning when `stop` ended it, for another reason than passes."""
    text = _still_learning(run)
    return None if not text or too_few_passes(run) else (text, keys.longer(run.scenario))


def stale(run: EndedRun) -> Found:
    """The mean age of updates, in versions of the model, is larger than the number of devices."""
    # FedSat has no option against it: its updates are as old as its protocol makes them.
    options = {option.name for option in fields(run.method.Options)}
    if not options & {"staleness", "buffer_size"}:
        return None
    count = sum(run.staleness.values())
    versions = sum(old * times for old, times in run.staleness.items())
    devices = sum(run.devices.values())
    if versions <= count * devices:
        return None
    text = f"Updates are {versions / count:.0f} versions old in the mean"
    key = Key("learning.options.buffer_size") if "buffer_size" in options else Key()
    if "staleness" in options and run.learning["options"].get("staleness") == "constant":
        key = Key("learning.options.staleness", "polynomial")
    return f"{text}, of {counted(devices, 'device')}", key


def experts_away(run: EndedRun) -> Found:
    """The draw of a method gave experts to clusters that use them less than others do."""
    rows = pa.concat_tables(map(by_cluster, pieces_of(run.tables, "assignments")))
    if not (run.learning["train"] and run.method.traits.splits_experts and len(rows)):
        return None
    splits = [(name, split_at(rows, place)) for name, place in ENDS.items()]
    when, split = min(splits, key=lambda end: end[1].own_mass)
    if split.home_mass - max(split.own_mass, 1 / len(split.clusters)) <= AWAY:
        return None
    away = len(split.owner) - split.at_home
    text = (
        f"{away} of {counted(len(split.owner), 'expert')} are with clusters that use them less "
        f"than others do: own gate mass {split.own_mass:.2f} at the {when}, {split.home_mass:.2f} "
        "with all at home"
    )
    if not issubclass(run.method, EmsFl):
        return text, Key()
    threshold = home_threshold(split.relevance)
    owner = assign_experts(split.relevance, threshold, np.random.default_rng(0))
    if own_mass(split.relevance, owner) > split.own_mass:
        return text, Key("learning.options.threshold", threshold)
    period = read_options(run.method.Options, run.learning["options"]).resplit_cycles
    cycles = 1 if period > 1 else EmsFlOptions().resplit_cycles
    return text, Key("learning.options.resplit_cycles", cycles)


# What devices and links lack.


def memory(run: EndedRun) -> Found:
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
    return text, Key("compute.memory_gib", math.ceil(needed_bytes / GIB) or None)


def large_payload(run: EndedRun) -> Found:
    """No pass carried a whole upload, or a whole download."""
    if run.over_mesh:
        return None
    for what, sent in (("an upload", run.moved.up), ("a download", run.moved.down)):
        if sent.rows and sent.carried_bytes < sent.payload_bytes:
            took = "none got through"
            if sent.passes_each is not None:
                took = f"one takes {sent.passes_each:.1f} passes on average"
            text = (
                f"No pass carries more than {data_size(sent.carried_bytes)} of {what} of "
                f"{data_size(sent.payload_bytes)}: {took}"
            )
            return text, keys.faster(run.scenario, sent.directions)
    return None


def silent_devices(run: EndedRun) -> Found:
    """Devices sent nothing while others of their client did: they may see no satellite."""
    heard = run.moved.heard | run.events.faulty
    by_client = Counter(cluster for cluster, _ in heard)
    silent = {name: n - by_client[name] for name, n in run.devices.items() if by_client[name]}
    lacking = {name: n for name, n in silent.items() if n > 0}
    if not lacking or not run.moved.up.rows:
        return None
    devices = counted(sum(lacking.values()), "device")
    text = f"{devices} of {listed([*lacking])} sent nothing while others there did"
    return text, keys.scaled(run.scenario, ("orbit.min_elevation_deg", 0.5))


def faults(run: EndedRun) -> Found:
    """One device round in a hundred, or more, failed by what no key of `faults` asked for."""
    total = run.events.faults.total()
    if total == 0 or total < FEW * run.device_rounds:
        return None
    [(most, times)] = run.events.faults.most_common(1)
    others = "" if total == times else f" ({total - times} others are in the table events)"
    return f"{counted(times, 'fault')}: {most}{others}", Key()


CHECKS: Mapping[str, Callable[[EndedRun], Found]] = {
    check.__name__.replace("_", "-"): check
    for check in (
        *(interrupted, failed, no_update, memory, large_payload, not_trained, not_tested),
        *(diverged, step_size, clients_unlike, too_few_passes, budget, stale, experts_away),
        *(silent_devices, faults),
    )
}
"""The checks of a run by code, in the order in which they are said."""
