"""What a user should know of a finished run."""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning.methods.base import Method
from learning.methods.emsfl import EmsFl, EmsFlOptions, EnhancedEmsFl
from learning.methods.own_learning import OwnLearning
from learning.methods.synchronous import Synchronous
from learning.policies.model_splitting import assign_experts, home_threshold, own_mass
from learning.requests.facts import INJECTED, Cause
from sim.advice.doubts import doubts_of
from sim.advice.remedies import longer_run, other_step_size
from sim.analysis.caveats import NOTICED
from sim.analysis.experts import ENDS, Split, density_ratio, split_at
from sim.engine.meetings import Waiting
from sim.engine.setup import Build
from sim.engine.simulation import Simulation
from sim.execution.came_to_nothing import CameToNothing
from sim.execution.cut_offers import cut_doubts
from sim.execution.mesh_shortfall import name_of, why_none_arrived
from sim.facts.directions import Way
from sim.formatting import counted, some
from sim.plan.plan import Plan
from sim.trace.arrow import array
from sim.trace.parquet import plain
from sim.trace.sorting import grouped_by, says
from sim.trace.tables import pieces_of, pooled_metrics
from statements import Code, Lower, Other, Remedy, Remove, Set, Statement

LOW_MASS = 0.8
"""Own gate mass below which much of a cluster's data goes to experts that others train."""

AWAY = 0.1
"""How much more of the gate's mass is on own experts if all are at home, where it is the draw that
keeps it from them: more than now, and more than the 1 / C that any draw has under an even gate. In
few trial samples the shares of an even gate differ by less."""

UNIFORM = 0.25
"""How far from 1 (uniform data) towards C (all at home) the mean density ratio has to lie."""


def warnings_of(
    tables: Mapping[str, pa.Table],
    built: Build,
    nothing: CameToNothing | None,
    simulation: Simulation,
) -> list[Statement]:
    """Return each doubt about a finished run, whose tables are read piece by piece.

    That it came to ``nothing`` is the first of them.
    """
    waiting = simulation.waiting
    splits = built.learner.trains and built.method.traits.splits_experts
    refused, faults, faulty = _troubles(tables)
    own = simulation.method
    smaller = other_step_size(built.world, Lower, own_learning=built.method.traits.own_learning)
    text = "{count} updates refused by the server, not finite"
    lost = [Statement.doubt(Code.DIVERGING, "", text, smaller, count=refused)]
    return [
        *([] if nothing is None else [nothing.statement]),
        *_none_arrived(built, simulation, nothing),
        *(_conditions(tables["assignments"], simulation.method) if splits else ()),
        *_unused(built),
        *_alone(built),
        *_diverged(pooled_metrics(tables), smaller),
        *(_progress(tables, built) if nothing is None else ()),  # else it says why by itself
        *(lost if refused else ()),
        *doubts_of(built),
        *_silent(tables, built.plan, faulty),
        *([_interrupted_round(waiting)] if waiting else ()),
        *(_fault(detail, count) for detail, count in sorted(faults.items())),
        *(own.doubts() if isinstance(own, OwnLearning) else ()),
        *_step_sizes(tables, built),
    ]


def _fault(detail: str, count: int) -> Statement:
    text = f"{counted(count, 'time')}: {{detail}}"
    return Statement.doubt(Code.FAULT, "", text, count=count, detail=detail)


def _progress(tables: Mapping[str, pa.Table], built: Build) -> Iterator[Statement]:
    """Say what a run moved too little of: rounds, or payloads."""
    yield from _unfinished(tables, built)
    yield from cut_doubts(tables, built.plan)


MOST_WAITING = 2
"""Clients that waited, of whom each is named with whom it waited for."""


def _interrupted_round(waiting: Sequence[Waiting]) -> Statement:
    """Say who waited for whom when the run was over."""
    each = [
        f"{some(one.here, MOST_WAITING)} waited for "
        + (some(one.awaited, MOST_WAITING) or counted(one.missing, "other client"))
        for one in waiting
    ]
    return Statement.doubt(
        Code.INCOMPLETE,
        "",
        "the run ended in the middle of a round, which the model lacks: {waiting}",
        waiting=some(each, MOST_WAITING, "; "),
    )


def _none_arrived(
    built: Build, simulation: Simulation, nothing: CameToNothing | None
) -> Iterator[Statement]:
    """Ways of a mesh by which nothing arrived, unless that is why the run came to ``nothing``."""
    for way in Way:
        missing = simulation.clients.missing(way)
        if missing is None or not missing.none_arrived:
            continue
        why = why_none_arrived(built, way, missing)
        if why is not None and (nothing is None or nothing.way is not way):
            yield replace(why, text=f"no {name_of(way)} arrived: {why.text}")


def _unused(built: Build) -> Iterator[Statement]:
    """Keys that mean nothing in a run that trains nothing."""
    learning = built.world.learning
    for key in ("targets", "metrics") if not built.learner.measures else ():
        if getattr(learning, key):
            text = "is not used, as nothing is measured with learning.train false"
            yield Statement.doubt(
                Code.UNUSED,
                f"learning.{key}",
                text,
                Remove(),
                Set("learning.train", value=True),
            )


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


def _conditions(assignments: pa.Table, method: Method) -> Iterator[Statement]:
    """Whether the conditions for a gain over the synchronous baseline are there."""
    if not len(assignments):
        return
    ends = {name: split_at(assignments, place) for name, place in ENDS.items()}
    when, least = min(ends.items(), key=lambda end: end[1].own_mass)
    if least.home_mass - max(least.own_mass, 1 / len(least.clusters)) > AWAY:
        # What gate and data could give is not known before the experts are at home.
        yield _away(method, when, least)
        return
    if least.own_mass < LOW_MASS:
        yield Statement.doubt(
            Code.NO_ADVANTAGE,
            "",
            "own gate mass {start:.2f} at the start, {end:.2f} at the end: the gate sends much of "
            "a cluster's data to experts that others train, so that EMS-FL may gain less over the "
            "synchronous baseline",
            start=ends["start"].own_mass,
            end=ends["end"].own_mass,
        )
    ratios = density_ratio(assignments)
    known = [ratio for ratio in (ratios or {}).values() if ratio is not None]
    if ratios and known and np.mean(known) < 1 + UNIFORM * (len(ratios) - 1):
        shown = {name: "-" if r is None else f"{r:.2f}" for name, r in ratios.items()}
        each = ", ".join(f"{name} {ratio}" for name, ratio in shown.items())
        yield Statement.doubt(
            Code.NO_ADVANTAGE,
            "",
            "data related to a cluster's experts are hardly denser with it than elsewhere: ratio "
            "{ratios} (1 is uniform, {clusters} all at home), so that the synchronous baseline may "
            "be as fast as EMS-FL or faster",
            ratios=each,
            clusters=len(ratios),
        )


def _away(method: Method, when: str, split: Split) -> Statement:
    """Say that the draw and not the gate keeps experts from the data that use them."""
    experts = len(split.owner)
    figures = {
        "away": experts - split.at_home,
        "experts": experts,
        "own_mass": split.own_mass,
        "home_mass": split.home_mass,
        "when": when,
    }
    text = (
        "gave {away} of {experts} experts to clusters that use them less than others do: own gate "
        "mass {own_mass:.2f} at the {when}, {home_mass:.2f} if every expert were at home, with the "
        "cluster that uses it most"
    )
    if not isinstance(method, EmsFl):
        return Statement.doubt(Code.NO_ADVANTAGE, "", f"the method {text}", **figures)
    remedies: list[Remedy] = []
    better = home_threshold(split.relevance)
    owner = assign_experts(split.relevance, better, np.random.default_rng(0))
    if own_mass(split.relevance, owner) > split.own_mass:
        remedies.append(Set(value=better))
    key, period = "learning.options.resplit_cycles", method.options.resplit_cycles
    if period > 1:
        remedies.append(Lower(key, now=period, to=1))
    elif period == 0:
        remedies.append(Set(key, value=EmsFlOptions().resplit_cycles))
    return Statement.doubt(
        Code.NO_ADVANTAGE,
        "learning.options.threshold",
        f"at {{threshold:.3g}} Algorithm 1 {text}",
        *remedies,
        threshold=method.threshold,
        **figures,
    )


def _step_sizes(tables: Mapping[str, pa.Table], built: Build) -> Iterator[Statement]:
    """Whether the step sizes are those of EMS-FL's Theorems 1 and 2.

    The condition is eta_E <= eta_U / gamma <= 1 / sqrt(T), eta_U being the step of the gate. The
    baseline splits no experts and so measures no density ratio, which is at least 1; of its steps,
    the text of the paper that there is says no more.
    """
    learning = built.world.learning
    splits = built.method.traits.splits_experts
    is_baseline = issubclass(built.method, Synchronous) and built.learner.architecture.experts > 0
    if not built.learner.trains or not (splits or is_baseline) or _keeps_its_gate(built):
        return
    ratios = density_ratio(tables["assignments"]) if splits else None
    known = [ratio for ratio in (ratios or {}).values() if ratio is not None]
    least = float(np.mean(known)) if known else 1.0
    # The mean of measured shares has their rounding.
    if learning.gate_step_size_ratio < least * (1 - ROUNDING):
        yield Statement.note(
            Code.BEYOND_THEORY,
            "learning.gate_step_size_ratio",
            "{ratio:g} is below the density ratio {density}, so that the paper's bounds on EMS-FL "
            "and its baseline (Theorems 1 and 2: eta_E <= eta_U / gamma) do not cover this run",
            ratio=learning.gate_step_size_ratio,
            density=f"{least:.2f}" if splits else "(1 or more)",
        )
        return
    cycles = pc.max(pooled_metrics(tables).column("cycle")).as_py()
    step = learning.step_size * learning.gate_step_size_ratio / least
    if known and cycles and step > (1 + ROUNDING) / math.sqrt(cycles):
        yield Statement.note(
            Code.BEYOND_THEORY,
            "learning.step_size",
            "the gate's step over the density ratio {density} is {step:.3g}, above {most:.3g}, so "
            "that the paper's bound on EMS-FL (Theorem 1: eta_U / gamma <= 1 / sqrt(T)) does not "
            "cover this run of {cycles} cycles",
            density=f"{least:.2f}",
            step=step,
            most=1 / math.sqrt(cycles),
            cycles=cycles,
        )


ROUNDING = 1e-6
"""Relative difference below which a step size is the one that a condition on it names."""


def _keeps_its_gate(built: Build) -> bool:
    """Whether the gate is never trained, as of the enhanced form without cycles for it."""
    learning = built.world.learning
    tunes = learning.gate_tuning_cycles > 0 or learning.trains_backbone
    return issubclass(built.method, EnhancedEmsFl) and not tunes


GROWN = 2.0
"""How many times its first loss a model ends with that diverged."""


def _diverged(pooled: pa.Table, smaller: Remedy) -> Iterator[Statement]:
    """Since when the loss of the server's model has not been finite, or how much it has grown."""
    lost = pooled.filter(pc.invert(pc.is_finite(pooled.column("loss"))))
    for row in lost.slice(0, 1).to_pylist():
        yield Statement.doubt(
            Code.DIVERGING,
            "",
            "the loss of the server's model is not finite from cycle {cycle} on, training diverged",
            smaller,
            cycle=row["cycle"],
        )
    rows = pooled.select(["loss", "accuracy"]).drop_null().to_pylist()
    if not len(lost) and rows and rows[-1]["loss"] > GROWN * rows[0]["loss"]:
        first = rows[0]
        last = rows[-1]
        # One that overfits ends with a larger loss too, but is more often right than at the start.
        if last["accuracy"] < first["accuracy"] + NOTICED:
            yield Statement.doubt(
                Code.DIVERGING,
                "",
                "the loss of the server's model grew from {before:.3g} to {after:.3g}, and its "
                "accuracy did not, training diverged",
                smaller,
                before=first["loss"],
                after=last["loss"],
            )


def _unfinished(tables: Mapping[str, pa.Table], built: Build) -> Iterator[Statement]:
    """Say that satellites have exchanged models without a single round in a timing-only run."""
    if built.learner.measures or not built.method.needs.satellites:
        return
    kinds = Counter[str]()
    for events in pieces_of(tables, "events", ["kind"]):
        kinds.update({k: int(says(events, "kind", k).sum()) for k in ("aggregate", "drop")})
    if not kinds["aggregate"]:
        yield Statement.doubt(
            Code.INCOMPLETE,
            "",
            "no round is complete, and {lost} messages were lost (kind drop of the table events)",
            *longer_run(built.world),
            Other(said="raise the rates of the links"),
            lost=kinds["drop"],
        )


def _silent(
    tables: Mapping[str, pa.Table], plan: Plan, faulty: Collection[tuple[str, int]]
) -> Iterator[Statement]:
    """Devices that sent nothing while others of their cluster did, but for the ``faulty`` ones."""
    heard = {cluster.name: np.zeros(cluster.devices, bool) for cluster in plan.clusters}
    for cluster, device in faulty:
        heard[cluster][device] = True
    for transfers in pieces_of(tables, "transfers", ["cluster", "device", "toward"]):
        up = transfers.filter(array(says(transfers, "toward", "server")))
        _, _, pairs = grouped_by(up, ["cluster", "device"])
        for cluster, device in zip(*pairs.to_pydict().values(), strict=True):
            heard[cluster][device] = True
    for name, there in heard.items():
        silent = np.flatnonzero(~there)
        if 0 < len(silent) < len(there):
            yield Statement.doubt(
                Code.SILENT_DEVICE,
                "",
                "{silent} of the {devices} devices of {client} sent nothing, device {device} for "
                "one: they may never see a satellite above their mask",
                silent=len(silent),
                devices=len(there),
                client=name,
                device=int(silent[0]),
            )


def _troubles(
    tables: Mapping[str, pa.Table],
) -> tuple[int, Counter[str], set[tuple[str, int]]]:
    """Count updates that the server refused, and faults that were not asked for, by their text.

    Updates that the scenario spoils itself do not count, nor do clients that waited at the end, who
    have a line of their own. The last are all devices with a fault.
    """
    refused = 0
    details = Counter[str]()
    devices = set[tuple[str, int]]()
    expected = array(np.array([*INJECTED, Cause.NO_CONTACT_LEFT]))
    for events in pieces_of(tables, "events", ["kind", "cluster", "device", "detail", "cause"]):
        refused += int(says(events, "cause", Cause.UPDATE_NOT_FINITE).sum())
        rows = plain(events.filter(array(says(events, "kind", "fault"))))
        known = pc.is_in(rows.column("cause"), value_set=expected)
        details.update(rows.column("detail").filter(pc.invert(known)).drop_null().to_pylist())
        of_devices = rows.filter(pc.is_valid(rows.column("device")))
        devices.update((row["cluster"], row["device"]) for row in of_devices.to_pylist())
    return refused, details, devices
