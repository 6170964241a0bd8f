"""The forms of experts on clients: gating patterns, and every way to the gate in one table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from sim.papers.forms import PaperRun, Shown, grouped, panels, spread

QUERIES = ("feature", "output")
"""Payloads of inference."""


@dataclass(frozen=True)
class GateFigures:
    """What a run came to; latencies are nan where nobody was asked."""

    f1: float
    local_ratio: float
    training_bytes: float
    training_hours: float
    latency_s: float
    latency_p95_s: float


def figures_of(result: Any) -> GateFigures:
    """Return the figures of a run at its last evaluation."""
    last = result.metrics[result.metrics.scope == "global"].iloc[-1]
    asked = result.summary["inference"] or {"latency_mean_s": math.nan, "latency_p95_s": math.nan}
    training = of_training(result)
    return GateFigures(
        f1=last.f1,
        local_ratio=last.local_ratio,
        training_bytes=training.delivered_bytes.sum(),
        training_hours=_trained_s(result, training) / 3600,
        latency_s=asked["latency_mean_s"],
        latency_p95_s=asked["latency_p95_s"],
    )


def of_training(result: Any) -> Any:
    """Return the transfers that training made.

    Queries have payloads of their own; what a satellite hands on for them and for gates has the
    same one. But a gate's last hop has ended before anybody gets the gate, and so before anybody
    asks.
    """
    rows, first_s = result.transfers, result.inferences.time_s.min()
    handed_on = rows.payload == "relay"
    asking = rows.payload.isin(QUERIES) | (handed_on & (rows.start_s >= first_s))
    return rows[~asking]


def _trained_s(result: Any, training: Any) -> float:
    """Return when the last client has ended its training, and has got what comes down behind it."""
    ends = result.events[result.events.kind == "train_end"].time_s
    return max([*ends, *training.end_s])


def gates(runs: Sequence[PaperRun]) -> Shown:
    """Show a row for each variant: F1, local ratio, and what training and inference cost.

    Figures are medians over seeds, that of F1 with its range.
    """
    rows = []
    measured = {}
    for name, own in grouped(runs, lambda run: run.variant).items():
        found = [figures_of(run.result) for run in own]
        rows.append(
            [
                name,
                spread((100 * one.f1 for one in found), "{:.1f}"),
                f"{median(100 * one.local_ratio for one in found):.1f}",
                f"{median(one.training_bytes for one in found) / 1e6:.2f}",
                f"{median(one.training_hours for one in found):.2f}",
                f"{median(one.latency_s for one in found):.3f}",
            ]
        )
        measured[f"F1 of {name} (%)"] = median(100 * one.f1 for one in found)
        measured[f"bytes of {name} (MB)"] = median(one.training_bytes for one in found) / 1e6
    head = ("", "F1 (%)", "LR (%)", "training (MB)", "hours", "latency (s)")
    return Shown(head, rows, measured=measured)


def gating_patterns(runs: Sequence[PaperRun], *, variants: Sequence[str] = ()) -> Shown:
    """Draw, a panel a variant, which expert the samples of each client go to, of the first seed.

    Without ``variants`` of all. F1 and the local processing ratio (LR) are means over the seeds.
    """
    groups = grouped(runs, lambda run: run.variant)
    groups = {name: groups[name] for name in variants or groups}
    figure, drawn = panels(len(groups), (4.0, 3.4))
    rows = []
    measured = {}
    for axes, (name, own) in zip(drawn, groups.items(), strict=True):
        found = [figures_of(run.result) for run in own]
        f1, ratio = mean(100 * o.f1 for o in found), mean(100 * o.local_ratio for o in found)
        own[0].result.plot.gating(axes)
        axes.set_title(f"{name}\nF1 {f1:.1f} %, LR {ratio:.0f} %")
        rows.append([name, f"{f1:.1f}", f"{ratio:.1f}"])
        measured[f"F1 of {name} (%)"] = f1
        measured[f"LR of {name} (%)"] = ratio
    return Shown(("", "F1 (%)", "LR (%)"), rows, figure, measured)
