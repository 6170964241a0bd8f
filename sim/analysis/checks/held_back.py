"""What held a run back: what most of its critical path went into, and a key that shortens it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow.compute as pc

from sim.analysis.checks import check as keys
from sim.analysis.checks.check import Check, Key, checks_in
from sim.analysis.checks.run import moved_in
from sim.analysis.critical_path import Part
from sim.analysis.methods import known_method
from sim.analysis.run import Run
from sim.analysis.spans import names_of_clients
from sim.formatting import data_size, percent

SECONDS_A_DAY = 86400.0
MANY_PASSES = 2.0
"""Passes that a payload takes on average from which on its size is why passes are waited for."""
IN_WORDS = {
    Part.PASS_AWAITED: "waiting for passes",
    Part.PASS_TAKEN: "queueing for passes",
    Part.TRAINING: "training",
    Part.SENDING: "sending",
    Part.TO_SERVER: "sending to the server",
    Part.TO_CLIENT: "sending to clients",
    Part.LINK_AWAITED: "waiting for links between satellites",
    Part.LINK_TAKEN: "queueing for links between satellites",
    Part.LINK: "sending over links between satellites",
    Part.OTHER: "waiting for other clients or for the server",
}
"""What the critical path goes into, as a sentence says it."""


def critical_shares(run: Run) -> dict[Part, float]:
    """Return the shares of the critical path by part, the largest first."""
    return run.critical_path.shares


def waiting_for_passes(shares: Mapping[Part, float]) -> float:
    """Return the share of waiting for a pass."""
    return shares.get(Part.PASS_AWAITED, 0.0)


def held_back(run: Run) -> Check | None:
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
    part = max(IN_WORDS, key=lambda part: shares.get(part, 0.0))
    text = f"{percent(shares[part], 1)} of the critical path went into {IN_WORDS[part]}"
    slow = {Part.TO_SERVER: up, Part.TO_CLIENT: down}.get(part)
    if part is Part.SENDING:
        slow = max(up, down, key=lambda sent: sent.payload_bytes)
    if part is Part.PASS_AWAITED:
        most = max(up, down, key=lambda sent: sent.passes_each or 0.0)
        if (most.passes_each or 0.0) >= MANY_PASSES:
            slow = most
            payload = "an upload" if most is up else "a download"
            size = data_size(most.payload_bytes)
            text += f", as {payload} of {size} takes {most.passes_each:.1f} of them"
        else:
            text += f" ({passes_a_day(run):.1f} a day for each client)"
    scenario = run.manifest["scenario"]
    key = _shortens(part, run.manifest) if slow is None else keys.faster(scenario, slow.directions)
    return Check("held-back", text, *key)


def passes_a_day(run: Run) -> float:
    """Return the served passes of a client in a day, the mean over clients."""
    served = pc.sum(run.tables["contacts"]["served"]).as_py() or 0
    clients = len(names_of_clients(run.tables, run.manifest))
    return float(served / clients / (run.manifest["simulated_s"] / SECONDS_A_DAY))


def _shortens(part: Part, manifest: Mapping[str, Any]) -> Key:
    """Return what shortens a part of the critical path that is not a matter of bytes."""
    scenario = manifest["scenario"]
    if "slots" in scenario["orbit"]:  # in which a round lasts a slot
        return Key()
    if part is Part.TRAINING and _fills_gaps(manifest):
        part = Part.PASS_AWAITED
    ways: Mapping[Part, Callable[[Mapping[str, Any]], Key]] = {
        Part.PASS_AWAITED: keys.more_passes,
        Part.PASS_TAKEN: keys.more_service,
        Part.TRAINING: keys.shorter_rounds,
        Part.LINK_AWAITED: keys.more_links,
        Part.LINK_TAKEN: keys.faster_isls,
        Part.LINK: keys.faster_isls,
    }
    return ways[part](scenario) if part in ways else Key()


def _fills_gaps(manifest: Mapping[str, Any]) -> bool:
    """Whether devices train until the next contact: quicker ones train more, and not shorter."""
    method = known_method(manifest["method"])
    in_gaps = method is not None and method.traits.trains_in_gaps
    return in_gaps and manifest["scenario"]["learning"]["rounds"]["per_gap_max"] is None
