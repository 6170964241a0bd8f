"""Client-expert alignment: what every policy makes of the same devices, data and passes.

    python papers/alignment.py

Means over five seeds with Student's 95 % interval. The bytes are those on the air in both
directions until the target.
"""

import math
from typing import Any

from by_seed import FINAL, mean_of, sent
from paper_runs import Keys, by_variant, runs, table

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
SEEDS = 5


def rounds_to(target: float) -> Any:
    """Return the version of the model that first reached a target."""

    def of(run: Any) -> float:
        rows = run.metrics[run.metrics.scope == "global"]
        hit = rows[rows.accuracy >= target]
        return float(hit.version.iloc[0]) if len(hit) else math.inf

    return of


FIGURES: dict[str, tuple[Any, int]] = {
    f"rounds to {TARGET}": (rounds_to(TARGET), 1),
    "CV of assignments": (lambda run: run.summary["alignment"]["assignment_variation"], 3),
    "CV of samples": (lambda run: run.summary["alignment"]["sample_variation"], 3),
    "mean fitness": (lambda run: run.summary["alignment"]["fitness_mean"], 3),
    "last accuracy": (FINAL.of, 3),
    f"MB to {TARGET}": (sent(TARGET, unit=1e6), 2),
}
"""Each with its decimals."""


def main() -> None:
    """Run all policies, and print a row for each."""
    made = runs("aligned-digits", VARIANTS, fixed={"seed": 0, "stop.days": 8}, seeds=SEEDS)
    rows = []
    for name, results in by_variant(made).items():
        row = [name]
        for figure, decimals in FIGURES.values():
            values = [figure(result) for result in results]
            if all(map(math.isfinite, values)):
                middle, low, high = mean_of(values)
                row.append(f"{middle:.{decimals}f} +- {(high - low) / 2:.{decimals}f}")
            else:
                row.append("not all")
        rows.append(row)
    print(table(("policy", *FIGURES), rows))


if __name__ == "__main__":
    main()
