"""Summaries of runs as text."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sim.analysis.checks import Check
from sim.analysis.run_headline import headline_of_run, lines_below
from sim.analysis.screen import wrapped
from sim.formatting import counted, data_size, filled, percent, table


def summary_text(summary: Mapping[str, Any], held_back: Check | None = None) -> str:
    """Show what a run has shown, its checks, what held it back, and one figure per line."""
    said = [line for text in lines_below(summary, held_back) for line in wrapped([text])]
    lines = [f"{name:<14} {value}" for name, value in summary_rows(summary)]
    return "\n".join([f"{headline_of_run(summary)}.", *said, *lines])


def summary_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the figures of one run's summary as text, each with its name."""
    filters: dict[str, Callable[..., Any]] = {"stand_in": stand_in_text, "counted": counted}
    text = filled("sim", "analysis", "summary.jinja", summary, filters)
    parts = (line.partition(": ") for line in text.splitlines())
    return [(name, text) for name, _, text in parts if name]


def stand_in_text(found: Mapping[str, Any]) -> str:
    """Say what is trained, or would be, and what its bytes, FLOPs and memory are counted as."""
    # A run folder that is older than the key was trained.
    verb = "trained" if found.get("trains", True) else "not trained"
    trained = f"{verb}: {found['trained']}, {found['trained_parameters']:,} parameters"
    experts, named = found.get("experts"), found.get("named_experts")
    of_them = ""
    if named is not None and experts != named:
        of_them = f" with {experts} of its {counted(named, 'expert')}"
    sized = f"sized as {found['sized_as']}{of_them}, {found['parameters']:,} parameters"
    of_one = found["expert_upload_bytes"]  # 0 for a plain model
    return f"{trained}; {sized}" + (f": {data_size(of_one)} an expert" if of_one else "")


def pattern_text(clients: Sequence[str], pattern: Any) -> str:
    """Show who asks whom, percent of a client's samples; nothing below half a percent."""
    cells = [["" if share < 0.005 else percent(share, 0) for share in row] for row in pattern]
    numbers = [str(expert) for expert in range(len(clients))]
    rows = [[f"{n} {name}", *row] for n, name, row in zip(numbers, clients, cells, strict=True)]
    return table(["client, expert", *numbers], rows)
