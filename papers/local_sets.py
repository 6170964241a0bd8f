"""Accuracy on each cluster's test set and on all of them (Fig. 7 and 9).

    python papers/local_sets.py [scenario] [seeds] [cycles]

Four kinds of model: the one expert that the cluster's trial data select most, all alone (the gate
is masked to it); the start model with its gate pre-trained; and the final models of the baseline
and of both forms of EMS-FL. Means over seeds, with the range. The last lines are the mean
relevance (29) of every expert for every cluster at the start.
"""

from __future__ import annotations

import sys
from typing import Any

import batch
import numpy as np
from paper_runs import mean_and_range


def by_set(result: Any, *, first: bool = False) -> dict[str, float]:
    """Return the accuracy on each test set at the end of a run, or at its first evaluation."""
    rows = result.metrics
    rows = rows[rows.time_s == (rows.time_s.min() if first else rows.time_s.max())]
    pooled = rows.scope == "global"
    own = dict(zip(rows[~pooled].cluster, rows[~pooled].accuracy, strict=True))
    return own | {"global": rows[pooled].accuracy.iloc[0]}


def experts_alone(learner: Any) -> dict[str, float]:
    """Return the accuracy of each cluster's most related expert on the cluster's own test set."""
    start, task = learner.start(), learner.task
    relevance, server = learner.relevance(start), learner.force(start)
    alone = {}
    for cluster, row in zip(learner.config.clusters, relevance, strict=True):
        model = task.model(server, (max(range(len(row)), key=row.__getitem__),))
        test = task.test[cluster]
        alone[cluster] = float((model(test.x).argmax(1) == test.y).float().mean())
    return alone


def main(scenario: str = "paper-exp1-small", seeds: str = "3", cycles: str = "30") -> None:
    """Run, and print the table."""
    n, fixed = int(seeds), {"stop.cycles": int(cycles)}
    learners = [batch.learner_of(scenario, {**fixed, "seed": seed}) for seed in range(n)]
    points = [(scenario, {**fixed, **batch.using(method, scenario)}) for method in batch.METHODS]
    runs = batch.grouped(batch.results(batch.seeded(points, n)), n)
    models = {
        "most related expert": [experts_alone(one) for one in learners],
        "start model": [by_set(run, first=True) for run in runs[0]],
    }
    for method, own in zip(batch.METHODS, runs, strict=True):
        models[method] = [by_set(run) for run in own]
    print(f"{scenario}, {cycles} cycles, seeds 0 to {n - 1}: accuracy, mean (range)\n")
    sets = list(models["start model"][0])
    print(f"{'':<20}" + "".join(f"{name:>23}" for name in sets))
    for model, own in models.items():
        cells = [mean_and_range([one[s] for one in own]) if s in own[0] else "-" for s in sets]
        print(f"{model:<20}" + "".join(f"{cell:>23}" for cell in cells))
    print("\nrelevance at the start")
    shares = np.mean([one.relevance(one.start()) for one in learners], axis=0)
    for name, row in zip(learners[0].config.clusters, shares, strict=True):
        print(f"{name:<20}" + "".join(f"{share:>7.2f}" for share in row))


if __name__ == "__main__":
    main(*sys.argv[1:])
