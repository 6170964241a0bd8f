"""A run that came to nothing: no update reached the server, or nothing was learnt, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning.methods.base import GlobalModelMethod
from learning.requests.cluster import Cost
from sim.analysis.caveats import nothing_learnt
from sim.analysis.targets import evaluations
from sim.devices.devices import Devices
from sim.engine.setup import Build
from sim.execution.mesh_shortfall import why_none_arrived
from sim.facts.directions import Way
from sim.formatting import data_size, duration, listed
from sim.plan.plan import Plan
from sim.plan.remedies import (
    less_memory,
    less_to_carry,
    link_keys,
    model_key,
    speed_key,
    step_size_key,
)
from sim.trace.arrow import array
from sim.trace.sorting import says
from sim.trace.tables import pieces_of

if TYPE_CHECKING:
    from sim.engine.simulation import Simulation


@dataclass(frozen=True)
class CameToNothing:
    """``what`` did not happen in a whole run, and ``why``, with the keys to change.

    ``used`` says whether the server used an update: if so, nothing was learnt by it. ``way`` is
    that of a mesh which brought nothing to its end, where this is why.
    """

    what: str
    why: str
    used: bool = False
    way: Way | None = None

    @property
    def line(self) -> str:
        """Both in one line."""
        text = f"{self.what}. {self.why}"
        return text if self.used else f"the run came to nothing: {text}"

    def as_json(self) -> dict[str, Any]:
        """Return all as it stands in the manifest."""
        return {name: value for name, value in asdict(self).items() if name != "way"}


@dataclass
class Traffic:
    """What was sent one way, to the server or to clients: by rows of the transfers table.

    ``carried_bytes`` is the most of a payload that got through in one pass, ``payload_bytes`` the
    size of the largest payload.
    """

    rows: int = 0
    delivered: int = 0
    carried_bytes: float = 0.0
    payload_bytes: float = 0.0
    directions: set[str] = field(default_factory=set)

    def add(self, transfers: pa.Table) -> None:
        """Count some rows."""
        if not len(transfers):
            return
        self.rows += len(transfers)
        self.delivered += int(says(transfers, "outcome", "delivered").sum())
        most_bytes = float(pc.max(transfers.column("delivered_bytes")).as_py())
        largest_bytes = float(pc.max(transfers.column("payload_bytes")).as_py())
        self.carried_bytes = max(self.carried_bytes, most_bytes)
        self.payload_bytes = max(self.payload_bytes, largest_bytes)
        named = pc.unique(transfers.column("direction")).to_pylist()
        self.directions.update(str(direction) for direction in named)

    @property
    def all_cut(self) -> bool:
        """Whether something was sent, and nothing of it got through as a whole."""
        return self.rows > 0 and self.delivered == 0


COLUMNS = ("toward", "direction", "payload_bytes", "delivered_bytes", "outcome")


def came_to_nothing(
    tables: Mapping[str, pa.Table], built: Build, simulation: Simulation
) -> CameToNothing | None:
    """Return what is missing in a finished run: an update in the model, or something learnt.

    None for any other run. Updates are not missed of methods that train at the server, and of those
    of one's own that send nothing, or send what they do not aggregate.
    """
    if built.method.traits.trains_at_server or _aggregated(tables):
        return _nothing_learnt(tables["metrics"], built)
    rounds = sum(int(client.devices.rounds.sum()) for client in simulation.clients.by_name.values())
    up = Traffic()
    down = Traffic()
    for transfers in pieces_of(tables, "transfers", COLUMNS):
        up.add(transfers.filter(array(says(transfers, "toward", "server"))))
        down.add(transfers.filter(array(says(transfers, "toward", "client"))))
    aggregates = issubclass(built.method, GlobalModelMethod)
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
        return CameToNothing(what, _why_no_round(tables, built, asked, down))
    what = "no update of a client reached the server"
    over_mesh = _why_not_there(built, simulation, Way.TO_SERVER)
    if up.delivered:
        return CameToNothing(
            f"the server used none of {up.delivered} updates that reached it",
            over_mesh or _where_to_look(_there(tables, "drop", "fault")),
            way=Way.TO_SERVER if over_mesh else None,
        )
    if over_mesh:
        return CameToNothing(what, over_mesh, way=Way.TO_SERVER)
    if up.all_cut:
        return CameToNothing(what, _why_cut(built, Way.TO_SERVER, up))
    return CameToNothing(what, "No upload began before the end: raise stop.days or stop.cycles")


def _aggregated(tables: Mapping[str, pa.Table]) -> bool:
    """Whether a server used anything: it notes updates, aggregations or both."""
    used = pieces_of(tables, "updates", ["device"]) if "updates" in tables else ()
    if any(len(updates) for updates in used):
        return True
    return any(
        says(events, "kind", "aggregate").any() for events in pieces_of(tables, "events", ["kind"])
    )


def _nothing_learnt(metrics: pa.Table, built: Build) -> CameToNothing | None:
    """Compare the model at the end with that at the start; None where it has learnt.

    And where there was none to measure at the start, as of a method that hands experts out later.
    """
    curve = evaluations(metrics, None)
    found = nothing_learnt("", [curve]) if len(curve) > 1 else None
    if found is None:
        return None
    own_learning = built.method.traits.own_learning
    step_size = step_size_key(built.world, own_learning=own_learning)
    if found.loss_start is not None and all(one.loss == found.loss_start for one in curve):
        return CameToNothing(
            "nothing was learnt",
            f"The loss is {found.loss_start:.4g} from start to end, so that the updates moved "
            f"nothing: raise {step_size}",
            used=True,
        )
    rounds = built.scenario.learning.rounds.per_contact
    more = "" if own_learning else f", learning.rounds.per_contact ({rounds})"
    cures = {
        None: f"raise {step_size}{more} or stop.days",
        True: f"raise stop.days{more} or {step_size}",
        False: f"lower {step_size}",
    }
    cure = cures[False if found.was_lost else found.loss_fell]
    course = f"{found.course[:1].upper()}{found.course[1:]}"
    return CameToNothing(found.what, f"{course}: {cure}", used=True)


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


def _larger_than_memory(built: Build, asked: _Asked) -> str:
    """Say that no device has the memory for a round; nothing where one has."""
    if not asked:
        return ""
    needed_bytes = min(float(np.min(cost.memory_bytes)) for _, cost in asked)
    largest_bytes = max(float(devices.memory_bytes.max()) for devices, _ in asked)
    if largest_bytes >= needed_bytes:
        return ""
    at_once = built.learner.sized_by.samples_at_once
    in_pieces = built.method.traits.uses_optimizer
    cure = less_memory(built.world, at_once, in_pieces=in_pieces)
    return (
        f"A round takes {data_size(needed_bytes)} of memory, and the largest device has "
        f"{data_size(largest_bytes)}: {cure}"
    )


def _why_no_round(
    tables: Mapping[str, pa.Table], built: Build, asked: _Asked, down: Traffic
) -> str:
    """Say what kept all devices from a round: the way down, or their speed."""
    if down.all_cut:
        return _why_cut(built, Way.TO_CLIENT, down)
    if not asked:
        return "No training was asked for before the end: raise stop.days or stop.cycles"
    round_s = min(float(np.min(own.compute.round_s(cost))) for own, cost in asked)
    run_s = built.plan.stop_s
    if built.plan.mesh is not None:  # no pass cuts a round off
        cure = f"{speed_key(built.world)}, or take a smaller {model_key(built.world)}"
        return f"A round takes {duration(round_s)}, and the run {duration(run_s)}: {cure}"
    pass_s, gap_s = longest_spans_s(built.plan)
    if round_s > max(pass_s, gap_s):
        return (
            f"A round takes {duration(round_s)}; the longest pass lasts {duration(pass_s)}, and "
            f"the longest time between two passes {duration(gap_s)}: "
            f"{speed_key(built.world)}, or take a smaller {model_key(built.world)}"
        )
    if kinds := _there(tables, "fault", "drop"):
        return f"A round takes {duration(round_s)}: see the {kinds}"
    if built.method.traits.trains_in_gaps and round_s > gap_s:
        return (
            f"A round takes {duration(round_s)}, and method {built.scenario.learning.method!r} "
            f"trains between contacts, where the longest time between two lasts {duration(gap_s)}: "
            "set orbit.max_session_s, so that rounds follow each other in a contact"
        )
    return (
        f"A round takes {duration(round_s)}, and none that began came to its end: raise stop.days "
        "or stop.cycles"
    )


def _why_not_there(built: Build, simulation: Simulation, way: Way) -> str:
    """Say what a mesh did not bring to its end one way; nothing where there is no mesh."""
    missing = simulation.clients.missing(way)
    return "" if missing is None else why_none_arrived(built, way, missing)


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


def _why_cut(built: Build, way: Way, sent: Traffic) -> str:
    """Compare a payload with what a pass carried of it, and name keys of the link and the model."""
    world, lora = built.world, built.learner.config.model.lora
    what = "An upload" if way is Way.TO_SERVER else "A download"
    most = data_size(sent.carried_bytes)
    keys = " or ".join(link_keys(world, sent.directions))
    return (
        f"{what} holds {data_size(sent.payload_bytes)}, and no pass carried more than {most} of "
        f"one for a client: raise {keys}, or {less_to_carry(world, lora, way)}"
    )
