"""What held a run back: the largest part of its critical path, and the keys that shorten it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

import scenarios
from sim.advice.remedies import (
    faster_isls,
    faster_links,
    more_links,
    more_passes,
    more_service,
    shorter_rounds,
    smaller_model,
)
from sim.analysis.critical_path import CriticalPath
from sim.analysis.methods import known_method
from sim.analysis.round_paths import Part, RoundPaths
from sim.analysis.spans import names_of_clients
from sim.analysis.traffic import COUNTED, Sent
from sim.formatting import data_size
from sim.trace.arrow import array
from sim.trace.sorting import says
from sim.trace.tables import pieces_of
from sim.world.world import World
from statements import Code, Remedy, Statement


class Ended(Protocol):
    """What a result tells of its run."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Its manifest."""

    @property
    def tables(self) -> Mapping[str, pa.Table]:
        """Its tables by name."""

    @property
    def scenario(self) -> scenarios.Scenario:
        """The scenario that was run."""

    @property
    def summary(self) -> Mapping[str, Any]:
        """The run in a few figures."""

    @property
    def critical_path(self) -> CriticalPath:
        """Where its simulated time went, by cycle."""

    @property
    def round_paths(self) -> RoundPaths | None:
        """Where its simulated time went, by round."""


SECONDS_A_DAY = 86400.0
MANY_PASSES = 2.0
"""Passes that a payload takes on average from which on its size is why passes are waited for."""
WAITING = "waiting for passes"
QUEUEING = "queueing for passes"
TRAINING = "training"
SENDING = "sending"
TO_SERVER = "sending to the server"
TO_CLIENTS = "sending to clients"
LINKS_AWAITED = "waiting for links between satellites"
LINKS_TAKEN = "queueing for links between satellites"
LINKS = "sending over links between satellites"
OTHER = "waiting for other clients or for the server"
OF_CYCLES = {
    "waiting": WAITING,
    "queueing": QUEUEING,
    "training": TRAINING,
    "transmitting": SENDING,
}
"""What the critical path of cycles goes into, by the names of its shares."""
OF_ROUNDS = {
    Part.PASS_AWAITED: WAITING,
    Part.CONTACT_AWAITED: WAITING,
    Part.PASS_TAKEN: QUEUEING,
    Part.TRAINING: TRAINING,
    Part.TO_SERVER: TO_SERVER,
    Part.TO_CLIENT: TO_CLIENTS,
    Part.LINK_AWAITED: LINKS_AWAITED,
    Part.LINK_TAKEN: LINKS_TAKEN,
    Part.LINK: LINKS,
    Part.OTHER: OTHER,
}
"""What the critical path of rounds goes into."""


def held_back(run: Ended) -> Statement | None:
    """Return what most of a run's critical path went into, and the keys that shorten that.

    The path is that of its rounds; of a run without any, that of its cycles. None where neither a
    round nor a cycle was complete, where nothing was sent, and where no update was used: then the
    run says what is missing.
    """
    nothing = run.summary["came_to_nothing"]
    shares = _shares(run)
    up, down = _sent(run)
    if not shares or not (up.rows or down.rows) or (nothing and not nothing.get("used")):
        return None
    part = max(shares, key=lambda name: shares[name])
    text = "{share:.1%} of the critical path went into {part}"
    values: dict[str, Any] = {"share": shares[part], "part": part}
    slow = {TO_SERVER: up, TO_CLIENTS: down}.get(part)
    if part == SENDING:
        slow = max(up, down, key=lambda sent: sent.payload_bytes)
    if part == WAITING:
        most = max(up, down, key=lambda sent: sent.passes_each or 0.0)
        if (most.passes_each or 0.0) >= MANY_PASSES:
            slow = most
            text += ", as {payload} of {size} takes {passes:.1f} of them"
            values["payload"] = "an upload" if most is up else "a download"
            values |= {"size": data_size(most.payload_bytes), "passes": most.passes_each}
        else:
            text += " ({passes_a_day:.1f} a day for each client)"
            values["passes_a_day"] = _passes_a_day(run)
    return Statement.note(Code.HELD_BACK, "", text, *_remedies(run, part, slow), **values)


def _shares(run: Ended) -> Mapping[str, float]:
    """Return what the critical path went into, in shares of it; empty where there is none."""
    rounds = {} if run.round_paths is None else run.round_paths.shares
    shares: defaultdict[str, float] = defaultdict(float)
    for part, share in rounds.items():
        shares[OF_ROUNDS[part]] += share
    if shares:
        return shares
    cycles = run.critical_path.spent.shares
    return {OF_CYCLES[part]: share for part, share in cycles.items()}


def _sent(run: Ended) -> tuple[Sent, Sent]:
    """Return what was sent to the server, and to clients."""
    up, down = Sent(), Sent()
    for transfers in pieces_of(run.tables, "transfers", COUNTED):
        up.add(transfers.filter(array(says(transfers, "toward", "server"))))
        down.add(transfers.filter(array(says(transfers, "toward", "client"))))
    return up, down


def _passes_a_day(run: Ended) -> float:
    """Return the served passes of a client in a day, the mean over clients."""
    served = pc.sum(run.tables["contacts"]["served"]).as_py() or 0
    clients = len(names_of_clients(run.tables, run.manifest))
    return float(served / clients / (run.manifest["simulated_s"] / SECONDS_A_DAY))


def _remedies(run: Ended, part: str, slow: Sent | None) -> list[Remedy]:
    """Return what shortens a part; nothing where files of the scenario are gone.

    A part that is ``slow`` takes its time by the size of what was sent.
    """
    try:
        world = World(run.scenario)
        if slow is not None:
            return [*faster_links(world, slow.directions), smaller_model(world)]
        return [*_helps(world, run, part)]
    except (ValueError, OSError):
        return []


def _helps(world: World, run: Ended, part: str) -> Iterable[Remedy]:
    """Return what shortens a part that is not a matter of bytes."""
    if world.slots is not None:  # in which a round lasts a slot
        return ()
    if part == WAITING:
        return more_passes(world)
    if part == QUEUEING:
        return more_service(world)
    if part == TRAINING:
        return more_passes(world) if _fills_gaps(world, run) else shorter_rounds(world)
    if part == LINKS_AWAITED:
        return more_links(world)
    if part in (LINKS_TAKEN, LINKS):
        return _quicker_isls(world)
    return ()


def _quicker_isls(world: World) -> Iterator[Remedy]:
    if world.link.isl is not None:
        yield faster_isls(world.link.isl)


def _fills_gaps(world: World, run: Ended) -> bool:
    """Whether devices train until the next contact: quicker ones train more, and not shorter."""
    method = known_method(run.manifest["method"])
    in_gaps = method is not None and method.traits.trains_in_gaps
    return in_gaps and world.learning.rounds.per_gap_max is None
