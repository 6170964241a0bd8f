"""Load of the experts (section III-C): how evenly the clusters' data use them after training.

    python papers/balance.py [scenario] [seeds] [cycles]

An expert's load is the share of all trial data that select it, mean over clusters; loads sum to
Top-K. The gate is not masked, also for enhanced EMS-FL. `seldom` counts experts below a tenth of
an even load. Medians over seeds, with the range.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import batch
import numpy as np
from paper_runs import spread


def main(scenario: str = "paper-exp2-small", seeds: str = "3", cycles: str = "30") -> None:
    """Run, and print the table."""
    n, fixed = int(seeds), {"stop.cycles": int(cycles)}
    learners = [batch.learner_of(scenario, {**fixed, "seed": seed}) for seed in range(n)]
    starts = [np.mean(one.relevance(one.start()), axis=0) for one in learners]
    print(f"{scenario}, {cycles} cycles, seeds 0 to {n - 1}: load, median (range)\n")
    print(f"{'':<16}{'most':>20}{'least':>20}{'most / even':>20}{'seldom':>12}")
    print(f"{'start model':<16}{_cells(starts)}")
    for method in batch.METHODS:
        points = [(scenario, {**fixed, **batch.using(method, scenario)})]
        pairs = zip(learners, batch.results(batch.seeded(points, n)), strict=True)
        ends = [np.mean(batch.relevance(*pair), axis=0) for pair in pairs]
        print(f"{method:<16}{_cells(ends)}")


def _cells(loads: Sequence[np.ndarray]) -> str:
    most = spread((load.max() for load in loads), "{:.2f}")
    least = spread((load.min() for load in loads), "{:.2f}")
    uneven = spread((load.max() / load.mean() for load in loads), "{:.2f}")
    seldom = spread(float((load < load.mean() / 10).sum()) for load in loads)
    return f"{most:>20}{least:>20}{uneven:>20}{seldom:>12}"


if __name__ == "__main__":
    main(*sys.argv[1:])
