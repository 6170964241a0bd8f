"""Client-expert alignment: what every policy makes of the same devices, data and passes.

    python papers/alignment.py

Means over five seeds with Student's 95 % interval. The bytes are those on the air in both
directions until the target.
"""

import math
from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

from matplotlib.figure import Figure
from paper_runs import Keys, by_variant, runs, save, table

POLICY = "learning.options.policy"
VARIANTS: dict[str, Keys] = {
    **{
        name: {POLICY: name}
        for name in ("random", "greedy", "balanced-random", "balanced-fitness", "expert-driven")
    },
    "balanced-fitness, exploring": {
        POLICY: "balanced-fitness",
        "learning.options.exploration": 0.2,
        "learning.options.deficit_weight": 0.1,
    },
    "balanced-fitness, two experts each": {
        POLICY: "balanced-fitness",
        "learning.options.capacity": 2,
    },
}
TARGET = 0.75
FIGURES = {
    f"rounds to {TARGET}": 1,
    "CV of assignments": 3,
    "CV of samples": 3,
    "mean fitness": 3,
    "last accuracy": 3,
    f"MB to {TARGET}": 2,
}
"""Each with its decimals."""
SEEDS = 5
T = 2.7764
"""Student's quantile of 97.5 % for five seeds."""


def figures(result: Any) -> list[float]:
    """Return the figures of a run, in their order; inf where the target was never reached."""
    rows = result.metrics[result.metrics.scope == "global"]
    hit = rows[rows.accuracy >= TARGET]
    load, sent = result.summary["alignment"], result.transfers
    return [
        float(hit.version.iloc[0]) if len(hit) else math.inf,
        load["assignment_variation"],
        load["sample_variation"],
        load["fitness_mean"],
        float(rows.accuracy.iloc[-1]),
        float(sent.on_air_bytes[sent.end_s <= hit.time_s.iloc[0]].sum()) / 1e6
        if len(hit)
        else math.inf,
    ]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and half of its interval; inf where one seed never got there."""
    if not all(map(math.isfinite, values)):
        return math.inf, 0.0
    return mean(values), T * stdev(values) / math.sqrt(SEEDS)


def main() -> None:
    """Run all policies, print a row for each and draw a panel for each figure."""
    keys = {"seed": 0, "stop.days": 8}
    made = by_variant(runs("alignment", "aligned-digits", keys, VARIANTS, seeds=SEEDS))
    found = {}
    for name in VARIANTS:
        each = [figures(run.result) for run in made[name]]
        found[name] = [interval(values) for values in zip(*each, strict=True)]
    rows = []
    for name, cells in found.items():
        shown = zip(cells, FIGURES.values(), strict=True)
        texts = (f"{m:.{d}f} +- {h:.{d}f}" if m < math.inf else "not all" for (m, h), d in shown)
        rows.append([name, *texts])
    print(table(("policy", *FIGURES), rows))
    figure = Figure(figsize=(3.2 * len(FIGURES), 3.0), layout="constrained")
    for k, (axes, title) in enumerate(
        zip(figure.subplots(1, len(FIGURES), sharey=True), FIGURES, strict=True)
    ):
        for name, cells in found.items():
            axes.errorbar(cells[k][0], name, xerr=cells[k][1], fmt="o", capsize=3)
        axes.set_title(title)
    save(figure, "alignment")


if __name__ == "__main__":
    main()
