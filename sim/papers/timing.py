"""The form of runs without training: when cycles end, and what is sent."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from sim.formatting import data_size
from sim.papers.forms import PaperRun, Shown, grouped


def timing(runs: Sequence[PaperRun]) -> Shown:
    """Show cycles, days and bytes of each variant and value, medians over seeds."""
    groups = grouped(runs, lambda run: (run.variant, *map(str, run.values.values())))
    rows = []
    for names, each in groups.items():
        said = [run.result.summary for run in each]
        rows.append(
            [
                ", ".join(filter(None, names)) or "all runs",
                f"{median(one['cycles'] for one in said):g}",
                f"{median(one['hours'] for one in said) / 24:.2f}",
                data_size(median(one["uplink_bytes"] for one in said)),
                data_size(median(one["downlink_bytes"] for one in said)),
                f"{median(one['transfers'] for one in said):g}",
            ]
        )
    return Shown(("timing only", "cycles", "days", "up", "down", "transfers"), rows)
