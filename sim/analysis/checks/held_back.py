"""What held a run back: what most of its critical path went into, and a key that shortens it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import pyarrow.compute as pc

from sim.analysis.checks import check as keys
from sim.analysis.checks.check import Check, Key, checks_in
from sim.analysis.checks.run import moved_in
from sim.analysis.critical_path import Run
from sim.analysis.methods import known_method
from sim.analysis.round_paths import Part, RoundPaths
from sim.analysis.spans import names_of_clients
from sim.formatting import data_size

SECONDS_A_DAY = 86400.0
MANY_PASSES = 2.0
"""Passes that a payload takes on average from which on its size is why passes are waited for."""


class Timed(Run, Protocol):
    """What is needed of a run to say what held it back."""

    @property
    def round_paths(self) -> RoundPaths | None:
        """Where its simulated time went, by round."""


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
NAMES = {
    # of cycles
    "waiting": WAITING,
    "queueing": QUEUEING,
    "transmitting": SENDING,
    # of rounds, whose training is that of cycles
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
"""What the critical path goes into, by the names of its shares."""


def shares_of_path(run: Timed) -> Mapping[str, float]:
    """Return the shares of the critical path of rounds by part; of a run without any, of cycles."""
    rounds = {} if run.round_paths is None else run.round_paths.shares
    return {str(part): share for part, share in rounds.items()} or run.critical_path.spent.shares


def critical_shares(run: Timed) -> Mapping[str, float]:
    """Return what the critical path went into, in shares of it; empty where there is none."""
    shares: defaultdict[str, float] = defaultdict(float)
    for part, share in shares_of_path(run).items():
        shares[NAMES[part]] += share
    return shares


def held_back(run: Timed) -> Check | None:
    """Return what most of a run's critical path went into, and a key that shortens it.

    None where neither a round nor a cycle was complete, where nothing was sent, and where no update
    was used: then the run says what is missing.
    """
    if any(check.code == "no-update" for check in checks_in(run.manifest)):
        return None
    shares = critical_shares(run)
    moved = moved_in(run.tables)
    up, down = moved.up, moved.down
    if not shares or not (up.rows or down.rows):
        return None
    part = max(shares, key=lambda name: shares[name])
    text = f"{100 * shares[part]:.1f} % of the critical path went into {part}"
    slow = {TO_SERVER: up, TO_CLIENTS: down}.get(part)
    if part == SENDING:
        slow = max(up, down, key=lambda sent: sent.payload_bytes)
    if part == WAITING:
        most = max(up, down, key=lambda sent: sent.passes_each or 0.0)
        if (most.passes_each or 0.0) >= MANY_PASSES:
            slow = most
            payload = "an upload" if most is up else "a download"
            size = data_size(most.payload_bytes)
            text += f", as {payload} of {size} takes {most.passes_each:.1f} of them"
        else:
            text += f" ({passes_a_day(run):.1f} a day for each client)"
    scenario = run.manifest["scenario"]
    key = _shortens(part, run.manifest) if slow is None else keys.faster(scenario, slow)
    return Check("held-back", text, *key)


def passes_a_day(run: Timed) -> float:
    """Return the served passes of a client in a day, the mean over clients."""
    served = pc.sum(run.tables["contacts"]["served"]).as_py() or 0
    clients = len(names_of_clients(run.tables, run.manifest))
    return float(served / clients / (run.manifest["simulated_s"] / SECONDS_A_DAY))


def _shortens(part: str, manifest: Mapping[str, Any]) -> Key:
    """Return what shortens a part of the critical path that is not a matter of bytes."""
    scenario = manifest["scenario"]
    if scenario["orbit"]["source"] == "slots":  # in which a round lasts a slot
        return Key()
    if part == TRAINING and _fills_gaps(manifest):
        part = WAITING
    ways: Mapping[str, Callable[[Mapping[str, Any]], Key]] = {
        WAITING: keys.more_passes,
        QUEUEING: keys.more_service,
        TRAINING: keys.shorter_rounds,
        LINKS_AWAITED: keys.more_links,
        LINKS_TAKEN: keys.faster_isls,
        LINKS: keys.faster_isls,
    }
    return ways[part](scenario) if part in ways else Key()


def _fills_gaps(manifest: Mapping[str, Any]) -> bool:
    """Whether devices train until the next contact: quicker ones train more, and not shorter."""
    method = known_method(manifest["method"])
    in_gaps = method is not None and method.traits.trains_in_gaps
    return in_gaps and manifest["scenario"]["learning"]["rounds"]["per_gap_max"] is None
