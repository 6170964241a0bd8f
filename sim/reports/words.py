"""A run in two or three sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow.compute as pc

from sim.reports.reading import RunData
from sim.reports.whereabouts import critical_shares

PRESSING = {
    "waiting": "it waited for contacts",
    "training": "it trained",
    "queueing": "it queued for a beam, a channel or synchronisation",
    "transmitting": "it transmitted",
}
REMEDIES = {
    "waiting": "more contacts (satellites, a lower mask, other sites) would help most",
    "training": "quicker devices or fewer rounds would help most",
    "queueing": "more beams or sub-channels would help most",
    "transmitting": "a faster link or smaller payloads would help most",
}
"""What the part that took the longest says about a run."""


def sentences(run: RunData) -> list[str]:
    """Say what was simulated, what was reached when, and what held it back."""
    return [_what(run), _reached(run), *_held_back(run)]


def _what(run: RunData) -> str:
    summary = run.summary
    clusters = run.manifest["scenario"]["ground"]["clusters"]
    devices = sum(row["devices"] for row in run.manifest.get("energy") or [])
    served = f"{summary['contacts_served']} of {_count(summary['contacts'], 'contact')} served"
    return (
        f"{_server(run)} and {_count(len(clusters), 'cluster')} with {_count(devices, 'device')} "
        f"ran {summary['method']} for {summary['hours'] / 24:.2f} simulated days: {served}, "
        f"{summary['cycles']} complete {'cycle' if summary['cycles'] == 1 else 'cycles'}."
    )


def _server(run: RunData) -> str:
    source = run.manifest["scenario"]["orbit"]["source"]
    if source == "slots":
        return "A satellite in idealised slots"
    names = pc.unique(run.tables["contacts"]["satellite"]).drop_null().to_pylist()
    if len(names) == 1:
        return f"Satellite {names[0]}"
    return _count(len(names), "satellite")


def _reached(run: RunData) -> str:
    summary = run.summary
    if not run.trains:
        return "Only the timing was simulated: nothing was trained, and no accuracy measured."
    if summary["accuracy_final"] is None:
        return "It ended before any accuracy was measured."
    start, final = summary["accuracy_start"], summary["accuracy_final"]
    went = f"The server's model went from {start:.3f} to {final:.3f} accuracy"
    reached = [(name, when) for name, when in summary["targets"].items() if when is not None]
    if not reached:
        return f"{went} and reached none of the targets (from {min(summary['targets'])} up)."
    name, when = reached[-1]
    days = f"{when['hours'] / 24:.2f} days"
    return f"{went}; it reached {name} after {days}, in cycle {when['cycles']}."


def _held_back(run: RunData) -> list[str]:
    shares = critical_shares(run.path)
    if not shares:
        return ["No cycle was completed, so that nothing can be said of what held it back."]
    first, second = _largest(shares)
    text = (
        f"On the critical path to its last complete cycle {PRESSING[first]} for "
        f"{shares[first]:.1%} of the time"
    )
    if shares[second] >= 0.0005:
        text += f" ({second} comes next with {shares[second]:.1%})"
    return [f"{text}: {_remedy(run, first)}."]


def _remedy(run: RunData, part: str) -> str:
    scenario = run.manifest["scenario"]
    if part == "training" and scenario["orbit"]["source"] == "slots":
        return "a round lasts a slot here, so that the slots set the pace"
    if part == "training" and scenario["learning"]["rounds"]["per_gap_max"] is None:
        return (
            "nothing limits the rounds between contacts (learning.rounds.per_gap_max), so that "
            "more contacts may help more than quicker devices"
        )
    return REMEDIES[part]


def _largest(shares: Mapping[str, float]) -> Sequence[str]:
    return sorted(shares, key=lambda name: -shares[name])[:2]


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"
