"""The form of assignments: what every policy makes of the same devices, data and passes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from sim.analysis.over_seeds import over_seeds
from sim.papers.forms import PaperRun, Shown, grouped, panels

FIGURES = (
    "rounds to {target}",
    "CV of assignments",
    "CV of samples",
    "mean fitness",
    "last accuracy",
    "MB to {target}",
)
"""What is shown of each policy, in the order of :class:`PolicyFigures`."""
DECIMALS = (1, 3, 3, 3, 3, 2)


@dataclass(frozen=True)
class PolicyFigures:
    """What a run came to, in the order of ``FIGURES``.

    ``rounds`` and ``megabytes`` count until the target is reached: inf if it never was. The bytes
    are those on the air in both directions, in transfers that had ended by then; a broadcast counts
    once.
    """

    rounds: float
    assignment_variation: float
    sample_variation: float
    fitness: float
    accuracy: float
    megabytes: float


def figures_of(result: Any, target: float) -> PolicyFigures:
    """Return the figures of a run: variations and fitness are means over all of its rounds."""
    rows = result.metrics[result.metrics.scope == "global"]
    hit = rows[rows.accuracy >= target]
    load = result.summary["alignment"]
    sent = result.transfers
    return PolicyFigures(
        rounds=float(hit.version.iloc[0]) if len(hit) else math.inf,
        assignment_variation=load["assignment_variation"],
        sample_variation=load["sample_variation"],
        fitness=load["fitness_mean"],
        accuracy=float(rows.accuracy.iloc[-1]),
        megabytes=float(sent.on_air_bytes[sent.end_s <= hit.time_s.iloc[0]].sum()) / 1e6
        if len(hit)
        else math.inf,
    )


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean, and half of its 95 % interval by Student's t; inf if one never got there."""
    found = over_seeds(values)
    centre, low, high = found["mean"], found["low"], found["high"]
    half = math.nan if low is None or high is None else (high - low) / 2
    return math.inf if centre is None else centre, half


Cells = Sequence[tuple[float, float]]
"""Mean and half interval of each figure."""


def policies(runs: Sequence[PaperRun], *, target: float = 0.75) -> Shown:
    """Show a row and draw a mark for each variant: means over seeds with their 95 % interval."""
    heads = [head.format(target=target) for head in FIGURES]
    table: dict[str, Cells] = {}
    for name, own in grouped(runs, lambda run: run.variant).items():
        each = [astuple(figures_of(run.result, target)) for run in own]
        table[name] = [interval(values) for values in zip(*each, strict=True)]
    rows = [
        [name, *(_cell(*cell, places) for cell, places in zip(cells, DECIMALS, strict=True))]
        for name, cells in table.items()
    ]
    measured = {
        f"{head} of {name}": centre
        for name, cells in table.items()
        for head, (centre, _) in zip(heads, cells, strict=True)
    }
    return Shown(("policy", *heads), rows, drawn(table, heads), measured)


def _cell(centre: float, half: float, places: int) -> str:
    if not math.isfinite(centre):
        return "not all"
    return f"{centre:.{places}f}" + (f" +- {half:.{places}f}" if math.isfinite(half) else "")


def drawn(table: Mapping[str, Cells], heads: Sequence[str]) -> Any:
    """Draw a panel a figure, a row a policy; what not all seeds reached is left out."""
    figure, axes_of = panels(len(heads), (3.2, 3.0))
    for k, (axes, title) in enumerate(zip(axes_of, heads, strict=True)):
        for place, cells in enumerate(table.values()):
            centre, half = cells[k]
            if math.isfinite(centre):
                axes.errorbar(centre, place, xerr=np.nan_to_num(half), fmt="o", capsize=3)
        axes.set_title(title)
        axes.grid(axis="x", alpha=0.3)
        axes.set_ylim(len(table) - 0.5, -0.5)
        axes.set_yticks(range(len(table)), list(table) if k == 0 else [])
    return figure
