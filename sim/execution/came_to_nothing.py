"""A run that came to nothing: no update reached the server, or nothing was learnt, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from learning.methods.asynchronous import Asynchronous
from learning.methods.base import GlobalModelMethod
from learning.requests.cluster import Cost
from sim.advice.remedies import (
    SAMPLES,
    faster_links,
    less_memory,
    less_to_carry,
    longer_run,
    other_step_size,
    shorter_rounds,
)
from sim.analysis.caveats import nothing_learnt
from sim.analysis.guess import Guess
from sim.analysis.judged import judged_of
from sim.analysis.loss_course import LossCourse, is_a_guess, loss_course
from sim.analysis.targets import evaluations
from sim.analysis.traffic import COUNTED, Sent
from sim.devices.devices import Devices
from sim.engine.setup import Build
from sim.execution.mesh_shortfall import why_none_arrived
from sim.facts.directions import Way
from sim.formatting import data_size, duration, listed
from sim.plan.plan import Plan
from sim.trace.arrow import array, as_numpy
from sim.trace.sorting import says
from sim.trace.tables import pieces_of, pooled_metrics
from statements import Code, Give, Lower, Other, Raise, Remedy, Statement

if TYPE_CHECKING:
    from sim.engine.simulation import Simulation


@dataclass(frozen=True)
class CameToNothing:
    """``what`` did not happen in a whole run, and ``why``, with what helps.

    ``used`` says whether the server used an update: if so, nothing was learnt by it. ``way`` is
    that of a mesh which brought nothing to its end, where this is why.
    """

    what: str
    why: Statement
    used: bool = False
    way: Way | None = None

    @property
    def statement(self) -> Statement:
        """Both as one doubt."""
        what = self.what if self.used else f"the run came to nothing: {self.what}"
        return replace(self.why, code=Code.CAME_TO_NOTHING, text=f"{what}. {self.why.text}")

    def as_json(self) -> dict[str, Any]:
        """Return all as it stands in the manifest."""
        return {"what": self.what, "why": str(self.why), "used": self.used}


def came_to_nothing(
    tables: Mapping[str, pa.Table], built: Build, simulation: Simulation, guess: Guess | None
) -> CameToNothing | None:
    """Return what is missing in a finished run: an update in the model, or something learnt.

    What is no better than a ``guess`` is nothing learnt. None for any other run. Updates are not
    missed of methods that train at the server, and of those of one's own that send nothing, or send
    what they do not aggregate.
    """
    if built.method.traits.trains_at_server or _aggregated(tables):
        return _nothing_learnt(tables, built, guess)
    rounds = sum(int(client.devices.rounds.sum()) for client in simulation.clients.by_name.values())
    up = Sent()
    down = Sent()
    for transfers in pieces_of(tables, "transfers", COUNTED):
        up.add(transfers.filter(array(says(transfers, "toward", "server"))))
        down.add(transfers.filter(array(says(transfers, "toward", "client"))))
    own_learning = built.method.traits.own_learning
    aggregates = issubclass(built.method, GlobalModelMethod) and not own_learning
    if not aggregates and (up.delivered or (rounds and not up.rows)):
        return None
    if not rounds:
        who = "satellite" if built.plan.topology.in_orbit else "device"
        what = f"no {who} completed a round of training"
        asked = _asked(simulation)
        if too_large := _larger_than_memory(built, asked):
            return CameToNothing(what, too_large)
        if not asked and (why := _why_not_there(built, simulation, Way.TO_CLIENT)):
            return CameToNothing(what, why, way=Way.TO_CLIENT)
        return CameToNothing(what, _why_no_round(tables, built, simulation, asked, down))
    what = "no update of a client reached the server"
    over_mesh = _why_not_there(built, simulation, Way.TO_SERVER)
    if up.delivered:
        return CameToNothing(
            f"the server used none of {up.delivered} updates that reached it",
            over_mesh
            or _why_unserved(built)
            or _why(_where_to_look(_there(tables, "drop", "fault"))),
            way=Way.TO_SERVER if over_mesh else None,
        )
    if over_mesh:
        return CameToNothing(what, over_mesh, way=Way.TO_SERVER)
    if up.all_cut:
        return CameToNothing(what, _why_cut(built, Way.TO_SERVER, up))
    none_began = "No upload began before the end"
    return CameToNothing(what, _why_not_asked("Upload", none_began, built, simulation))


def _why(text: str, *remedies: Remedy, **values: Any) -> Statement:
    """Return why a run came to nothing."""
    return Statement.doubt(Code.CAME_TO_NOTHING, "", text, *remedies, **values)


def _why_unserved(built: Build) -> Statement | None:
    """Say that there are clients for whom a round waits in vain; None where all are served."""
    said = next((one for one in built.plan.doubts if one.code is Code.NEVER_SERVED), None)
    if said is None:
        return None
    waits = "and a round that waits for all of them does not end"
    if issubclass(built.method, Asynchronous):
        waits = "and what others bring does not fill the server's buffer of updates"
    return _why(
        f"{{unserved}} of {{clients}} clients are never served, {waits}",
        *said.remedies,
        unserved=said.values["unserved"],
        clients=said.values["clients"],
    )


def _aggregated(tables: Mapping[str, pa.Table]) -> bool:
    """Whether a server used anything: it notes updates, aggregations or both."""
    used = pieces_of(tables, "updates", ["device"]) if "updates" in tables else ()
    if any(len(updates) for updates in used):
        return True
    return any(
        says(events, "kind", "aggregate").any() for events in pieces_of(tables, "events", ["kind"])
    )


def _nothing_learnt(
    tables: Mapping[str, pa.Table], built: Build, guess: Guess | None
) -> CameToNothing | None:
    """Compare the model at the end with that at the start; None where it has learnt.

    And where there was none to measure at the start, as of a method that hands experts out later.
    """
    curve = evaluations(pooled_metrics(tables), None, guess)
    config = built.learner.config
    judged = judged_of(config.loss, config.data.objective, curve)
    found = nothing_learnt([curve], judged, guess) if len(curve) > 1 else None
    if found is None:
        return None
    if _none_is_tested(tables.get("clients"), guess):
        text = "Clients have no sample of any class of the tests"
        return CameToNothing(found.what, _why(text, SAMPLES), used=True)
    own_learning = built.method.traits.own_learning
    smaller = other_step_size(built.world, Lower, own_learning=own_learning)
    larger = other_step_size(built.world, Raise, own_learning=own_learning)
    first = found.loss_start
    is_finite = first is not None and math.isfinite(first)
    if is_finite and all(one.loss == first for one in curve):
        return CameToNothing(
            "nothing was learnt",
            _why(
                "The loss is {loss:.4g} from start to end, so that the updates moved nothing",
                larger,
                loss=first,
            ),
            used=True,
        )
    rounds = built.world.learning.rounds.per_contact
    more = []
    if not own_learning and rounds != "fill":
        more = [Raise("learning.rounds.per_contact", now=rounds)]
    longer = [*longer_run(built.world)]
    uniform = None if guess is None else guess.loss_nats
    went = loss_course([one.loss for one in curve if one.loss is not None])
    guessed = is_a_guess(found.loss_final, uniform)
    too_little = went in (LossCourse.STILL, LossCourse.STEADY)
    risen = found.loss_fell is False or went is LossCourse.EXPLODED
    helps: tuple[Remedy, ...]
    if found.was_lost or risen or (guessed and not too_little):
        helps = (smaller,)
    elif found.loss_fell is None or guessed:
        helps = (larger, *more, *longer)
    else:
        helps = (*longer, *more, larger)
    course = f"{found.course[:1].upper()}{found.course[1:]}"
    if guessed:
        course += ", where that of a uniform guess is {uniform:.4g}"
    return CameToNothing(found.what, _why(course, *helps, uniform=uniform), used=True)


def _none_is_tested(clients: pa.Table | None, guess: Guess | None) -> bool:
    """Whether clients have samples, and of no class of the tests: nothing learnt can show then."""
    if clients is None or guess is None or not any(guess.samples):
        return False
    held = as_numpy(clients["class"])[as_numpy(clients["samples"]) > 0]
    return len(held) > 0 and not np.isin(held, np.flatnonzero(guess.samples)).any()


def _there(tables: Mapping[str, pa.Table], *kinds: str) -> str:
    """Return which of some kinds the table of events has, as a sentence names them; "" for none."""
    there = [
        kind
        for kind in kinds
        if any(says(rows, "kind", kind).any() for rows in pieces_of(tables, "events", ["kind"]))
    ]
    names = f"kind{'s' if there[1:] else ''} {listed(there)}"
    return f"{names} of the table events" if there else ""


def _where_to_look(kinds: str) -> str:
    return f"See {f'the {kinds}, and ' if kinds else ''}learning.options"


_Asked = list[tuple[Devices, Cost]]
"""Devices that were asked for a round, each with the least that one takes."""


def _asked(simulation: Simulation) -> _Asked:
    every = [client.devices for client in simulation.clients.by_name.values()]
    return [(devices, least) for devices in every if (least := devices.load.least) is not None]


def _larger_than_memory(built: Build, asked: _Asked) -> Statement | None:
    """Say that no device has the memory for a round; None where one has."""
    if not asked:
        return None
    needed_bytes = min(float(np.min(cost.memory_bytes)) for _, cost in asked)
    largest_bytes = max(float(devices.memory_bytes.max()) for devices, _ in asked)
    if largest_bytes >= needed_bytes:
        return None
    at_once = built.learner.sized_by.samples_at_once
    in_pieces = built.method.traits.uses_optimizer
    return _why(
        f"A round takes {data_size(needed_bytes)} of memory, and the largest device has "
        f"{data_size(largest_bytes)}",
        *less_memory(built.world, at_once, in_pieces=in_pieces),
        needed_bytes=needed_bytes,
        largest_bytes=largest_bytes,
    )


def _why_no_round(
    tables: Mapping[str, pa.Table], built: Build, simulation: Simulation, asked: _Asked, down: Sent
) -> Statement:
    """Say what kept all devices from a round: the way down, or their speed."""
    if down.all_cut:
        return _why_cut(built, Way.TO_CLIENT, down)
    if not asked:
        none_asked = "No training was asked for before the end"
        return _why_not_asked("Train", none_asked, built, simulation)
    round_s = min(float(np.min(own.compute.round_s(cost))) for own, cost in asked)
    run_s = built.plan.stop_s
    if built.plan.mesh is not None:  # no pass cuts a round off
        text = f"A round takes {duration(round_s)}, and the run {duration(run_s)}"
        return _why(text, *shorter_rounds(built.world), round_s=round_s, run_s=run_s)
    pass_s, gap_s = longest_spans_s(built.plan)
    if round_s > max(pass_s, gap_s):
        return _why(
            f"A round takes {duration(round_s)}; the longest pass lasts {duration(pass_s)}, and "
            f"the longest time between two passes {duration(gap_s)}",
            *shorter_rounds(built.world),
            round_s=round_s,
            pass_s=pass_s,
            gap_s=gap_s,
        )
    takes = f"A round takes {duration(round_s)}"
    if kinds := _there(tables, "fault", "drop"):
        return _why(takes, Other(said=f"see the {kinds}"), round_s=round_s)
    if built.method.traits.trains_in_gaps and round_s > gap_s:
        return _why(
            f"{takes}, and method {{method!r}} trains between contacts, where the longest time "
            f"between two lasts {duration(gap_s)}; in parts of a contact rounds follow each other",
            Give("orbit.max_session_s", like=3600),
            method=built.world.learning.method,
            round_s=round_s,
            gap_s=gap_s,
        )
    longer = longer_run(built.world)
    return _why(f"{takes}, and none that began came to its end", *longer, round_s=round_s)


def _why_not_asked(request: str, none: str, built: Build, simulation: Simulation) -> Statement:
    """Say that the method ended before a request, or that there was ``none`` in the time given."""
    method = built.method.__name__
    if because := simulation.ended_because:
        text = f"{method} ended the run before any {request} ({because})"
    elif simulation.protocols_have_ended:
        text = f"The protocol of the clusters, {method}.cluster, ended before any {request}"
    else:
        return _why(none, *longer_run(built.world))
    if built.method.traits.own_learning:  # the requests are made for it
        return _why(text, Other(said="let your training code ask clients to train first"))
    return _why(text, Other(said=f"let it yield {request} first"))


def _why_not_there(built: Build, simulation: Simulation, way: Way) -> Statement | None:
    """Say what a mesh did not bring to its end one way; None where there is no mesh."""
    missing = simulation.clients.missing(way)
    return None if missing is None else why_none_arrived(built, way, missing)


def longest_spans_s(plan: Plan) -> tuple[float, float]:
    """Return the longest service in a contact, and the longest time between two of a cluster."""
    contacts = plan.contacts
    passes_s = [0.0]
    gaps_s = [0.0]
    for cluster in plan.clusters:
        mine = contacts.services(cluster.name)
        begin_s = contacts.start_s[mine]
        end_s = contacts.end_s[mine]
        passes_s.extend((end_s - begin_s).tolist())
        gaps_s.extend((begin_s[1:] - end_s[:-1]).tolist())
    return max(passes_s), max(gaps_s)


def _why_cut(built: Build, way: Way, sent: Sent) -> Statement:
    """Compare a payload with what a pass carried of it, and name keys of the link and the model."""
    world, lora = built.world, built.learner.config.model.lora
    what = "An upload" if way is Way.TO_SERVER else "A download"
    most = data_size(sent.carried_bytes)
    return _why(
        f"{what} holds {data_size(sent.payload_bytes)}, and no pass carried more than {most} of "
        "one for a client",
        *faster_links(world, sent.directions),
        *less_to_carry(world, lora, way),
        payload_bytes=sent.payload_bytes,
        carried_bytes=sent.carried_bytes,
    )
