"""Networked experts and client-expert alignment as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sim.units_text import data_size, seconds, table

SYSTEM_ROWS = (
    ("macro F1", "f1_final"),
    ("kept local", "local_ratio_final"),
    ("latency mean s", "latency_mean_s"),
    ("latency p95 s", "latency_p95_s"),
    ("CV assignments", "assignment_variation"),
    ("CV samples", "sample_variation"),
    ("fitness", "fitness_mean"),
)
"""Figures of networked experts and of alignment that a comparison shows where they are known."""


def networked_lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Show what networked experts reach, and how they answer."""
    lines = []
    if summary["f1_final"] is not None:
        lines.append(("macro F1", f"{summary['f1_final']:.3f}"))
    if summary["local_ratio_final"] is not None:
        shares = [summary[f"local_{key}_final"] for key in ("ratio", "count_share", "weight_share")]
        text = "{:.1%} of samples, {:.1%} of selected experts, {:.1%} of their weight"
        lines.append(("kept local", text.format(*shares)))
    if summary["utilisation"] is not None:
        used = summary["utilisation"]
        idle = f", {used['unused']} never used" if used["unused"] else ""
        lines.append(("expert use", f"variation {used['variation']:.3f}{idle}"))
    if summary["inference"] is not None:
        lines += _inference(summary["inference"])
    return lines


def _inference(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    outcomes = ", ".join(f"{count} {name}" for name, count in figures["outcomes"].items())
    lines = [("inference", f"{figures['samples']} samples: {outcomes}")]
    if figures["latency_mean_s"] is not None:
        mean, late = seconds(figures["latency_mean_s"]), seconds(figures["latency_p95_s"])
        sent = data_size(figures["sent_bytes"])
        lines.append(("latency", f"mean {mean}, 95 % within {late}; {sent} sent"))
    return lines


def alignment_lines(figures: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Show how evenly experts are used, and how fit those are who train them."""
    if figures is None:
        return []
    known = [
        (name, figures[key])
        for name, key in (
            ("assignments", "assignment_variation"),
            ("samples", "sample_variation"),
        )
        if figures[key] is not None
    ]
    varied = ", ".join(f"{value:.3f} of {name}" for name, value in known)
    lines = [("load variation", f"{varied} (mean of {figures['rounds']} rounds)")]
    if figures["fitness_mean"] is not None:
        last = f"{figures['fitness_last']:.3f} in the last round"
        lines.append(("fitness", f"mean {figures['fitness_mean']:.3f}, {last}"))
    return lines


def sidelink_line(size_bytes: float) -> list[tuple[str, str]]:
    """Show what devices have sent each other, if they have."""
    return [("sidelink", data_size(size_bytes))] if size_bytes else []


def pattern_text(clients: Sequence[str], pattern: Any) -> str:
    """Show who asks whom, percent of a client's samples; nothing below half a percent."""
    cells = [["" if share < 0.005 else f"{share:.0%}" for share in row] for row in pattern]
    numbers = [str(expert) for expert in range(len(clients))]
    rows = [[f"{n} {name}", *row] for n, name, row in zip(numbers, clients, cells, strict=True)]
    return table(["client, expert", *numbers], rows)
