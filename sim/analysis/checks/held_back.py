"""The bottleneck of a run: the largest part of its critical path, and what may shorten it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any

import pyarrow.compute as pc

from sim.analysis.checks import check as keys
from sim.analysis.checks.check import Bottleneck, Check, Override, checks_in
from sim.analysis.checks.run import moved_in
from sim.analysis.critical_path import Part
from sim.analysis.methods import known_method
from sim.analysis.run import Run
from sim.analysis.spans import names_of_clients
from sim.formatting import data_size, percent

HELD_BACK = "held-back"
"""The code of the bottleneck where it is a check."""
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


def held_back(run: Run) -> Check | None:
    """Return the bottleneck of a run: the largest part of its critical path, with its remedy.

    None without a complete round or cycle, without transfers, and where no update was used: a check
    says then what is missing. The remedy is known of runs that were timed again when they ended.
    """
    if "held_back" in run.manifest:
        stored = run.manifest["held_back"]
        return None if stored is None else Check(**stored)
    found = bottleneck(run)
    return None if found is None else Check(HELD_BACK, found.sentence)


def bottleneck(run: Run) -> Bottleneck | None:
    """Return the largest part of a run's critical path, and overrides that may shorten it."""
    if any(check.code == "no-update" for check in checks_in(run.manifest)):
        return None
    shares = run.critical_path.shares
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
    if slow is None:
        overrides = _shortens(part, run.manifest)
    else:
        overrides = chain(keys.smaller_payloads(scenario), keys.faster(scenario, slow.directions))
    return Bottleneck(text, "updates_used_per_day", tuple(overrides))


def passes_a_day(run: Run) -> float:
    """Return the served passes of a client in a day, the mean over clients."""
    served = pc.sum(run.tables["contacts"]["served"]).as_py() or 0
    clients = len(names_of_clients(run.tables, run.manifest))
    return float(served / clients / (run.manifest["simulated_s"] / SECONDS_A_DAY))


def _shortens(part: Part, manifest: Mapping[str, Any]) -> Iterable[Override]:
    """Return what may shorten a part of the critical path that is not a matter of bytes."""
    scenario = manifest["scenario"]
    if "slots" in scenario["orbit"]:  # in which a round lasts a slot
        return ()
    if part is Part.TRAINING and _fills_gaps(manifest):
        part = Part.PASS_AWAITED
    ways: Mapping[Part, Callable[[Mapping[str, Any]], Iterable[Override]]] = {
        Part.PASS_AWAITED: keys.more_passes,
        Part.PASS_TAKEN: keys.more_service,
        Part.TRAINING: keys.try_shorter_rounds,
        Part.LINK_AWAITED: keys.try_more_links,
        Part.LINK_TAKEN: _faster_isls,
        Part.LINK: _faster_isls,
    }
    return ways[part](scenario) if part in ways else ()


def _faster_isls(scenario: Mapping[str, Any]) -> Iterable[Override]:
    return keys.faster(scenario, ["isl"])


def _fills_gaps(manifest: Mapping[str, Any]) -> bool:
    """Whether devices train until the next contact: quicker ones train more, and not shorter."""
    method = known_method(manifest["method"])
    in_gaps = method is not None and method.traits.trains_in_gaps
    return in_gaps and manifest["scenario"]["learning"]["rounds"]["per_gap_max"] is None
