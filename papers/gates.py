"""Networked experts: every way to the gate behind every extractor, side by side.

    python papers/gates.py [scenario] [seeds] [KEY=VALUE ...]

The scenario is one of method nmoe: nmoe-digits, nmoe-cifar10. A row an extractor and gate: macro F1
over all classes of the global test set, the local processing ratio (first choices that are the
client's own expert), bytes that all receivers got in training, hours until the last client has its
gate, and the latency of inference, mean and 95th percentile. Figures are medians over seeds, that
of F1 with its range; of one seed they are its own. The centralised mixture needs no extractor of
its own. Of `fedgate:weight` and `fedgate:bias` only that part of the gate is shared, and the rest
stays the client's own.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple

from paper_runs import by_variant, runs, spread

EXTRACTORS = ("fedsc", "fedce", "none")
GATES = ("fedgate", "rollgate", "rangate", "random", "local")
PARTLY_SHARED = [("fedce", "fedgate:weight"), ("fedce", "fedgate:bias")]
EVERY_WAY = [
    *((extractor, gate) for extractor in EXTRACTORS for gate in GATES),
    *PARTLY_SHARED,
    ("-", "central"),
]
OF_THE_PAPER = [
    *((extractor, gate) for extractor in EXTRACTORS[:2] for gate in GATES[:3]),
    ("fedce", "local"),
    ("-", "central"),
]
WAYS = {"nmoe-digits": EVERY_WAY, "nmoe-cifar10": OF_THE_PAPER}


def main(scenario: str = "nmoe-digits", seeds: str = "3", *settings: str) -> None:
    """Run, and print the table."""
    n, said = int(seeds), dict(setting.split("=", 1) for setting in settings)
    ways = {
        f"{extractor:<10}{gate:<16}": using(extractor, gate) for extractor, gate in WAYS[scenario]
    }
    made = by_variant(runs(scenario, ways, fixed={"seed": 0, **said}, seeds=n))
    of = "seed 0" if n == 1 else f"seeds 0 to {n - 1}: medians, of F1 with range"
    print(f"{scenario}, {of}\n")
    print(f"{'extractor':<10}{'gate':<16}{'F1 %':>22}{'LR %':>8}{_HEADS}")
    for way, own in made.items():
        print(way + _row([*map(figures_of, own)]))


_HEADS = f"{'training MB':>13}{'hours':>8}{'latency s':>11}{'p95 s':>8}"


def using(extractor: str, gate: str) -> dict[str, Any]:
    """Return the settings of a row.

    The spectral loss stands smaller steps of the extractor only.
    """
    chosen = {} if extractor == "-" else {"learning.options.extractor": extractor}
    slowly = {"learning.options.extractor_step_size_ratio": 0.1}
    gate, _, part = gate.partition(":")
    synced = {"learning.options.gate_sync": part} if part else {}
    gates = {"learning.options.gate": gate, **synced}
    return {**chosen, **(slowly if extractor == "fedsc" else {}), **gates}


class GateFigures(NamedTuple):
    """What a run came to; latencies are nan where nobody was asked."""

    f1: float
    local_ratio: float
    training_bytes: float
    training_hours: float
    latency_s: float
    latency_p95_s: float


def figures_of(result: Any) -> GateFigures:
    """Return the figures of a run at its last evaluation.

    Queries have payloads of their own; what a satellite hands on for them and for gates has the
    same one. But a gate's last hop has ended before anybody gets the gate, and so before anybody
    asks. Training ends when the last client has got what comes down behind it.
    """
    last = result.metrics[result.metrics.scope == "global"].iloc[-1]
    asked = result.summary["inference"] or {"latency_mean_s": math.nan, "latency_p95_s": math.nan}
    rows, first_s = result.transfers, result.inferences.time_s.min()
    handed_on = (rows.payload == "relay") & (rows.start_s >= first_s)
    training = rows[~(rows.payload.isin(("feature", "output")) | handed_on)]
    ends = result.events[result.events.kind == "train_end"].time_s
    return GateFigures(
        f1=last.f1,
        local_ratio=last.local_ratio,
        training_bytes=training.delivered_bytes.sum(),
        training_hours=max([*ends, *training.end_s]) / 3600,
        latency_s=asked["latency_mean_s"],
        latency_p95_s=asked["latency_p95_s"],
    )


def _row(rows: Sequence[GateFigures]) -> str:
    f1 = spread((100 * row.f1 for row in rows), "{:.1f}")
    figures = f"{f1:>22}{median(100 * row.local_ratio for row in rows):>8.1f}"
    figures += f"{median(row.training_bytes for row in rows) / 1e6:>13.2f}"
    figures += f"{median(row.training_hours for row in rows):>8.2f}"
    figures += f"{median(row.latency_s for row in rows):>11.3f}"
    return figures + f"{median(row.latency_p95_s for row in rows):>8.3f}"


if __name__ == "__main__":
    main(*sys.argv[1:])
