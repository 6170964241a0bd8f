"""Accuracy on each cluster's test set and on all of them (Fig. 7 and 9).

    python papers/local_sets.py [scenario] [seeds] [cycles]

Four kinds of model: the one expert that the cluster's trial data select most, all alone (the gate
is masked to it); the start model with its gate pre-trained; and the final models of the baseline
and of both forms of EMS-FL. Means over seeds, with the range. The last lines are the mean
relevance (29) of every expert for every cluster at the start.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from paper_runs import Keys, by_variant, line, mean_and_range, runs

import learning
import leomix

METHODS = ("synchronous", "emsfl", "emsfl-enhanced")
ONE_DRAW: Keys = {"learning.options.threshold": 0.0, "learning.options.resplit_cycles": 0}
"""How EMS-FL draws its experts in the table of images, which was not made anew since: once."""


class Bare(learning.GlobalModelMethod):
    """Trains nothing: its learner is there to be asked about the start model, and about others."""

    made: ClassVar[list[Any]] = []

    def __init__(self, world: learning.World, options: Any = None) -> None:
        super().__init__(world, options)
        self.made.append(self.learner)

    def cluster(self, me: Any) -> Any:
        """Ask for nothing."""
        yield from ()


def trained(scenario: str, cycles: int, seeds: int) -> tuple[list[Any], Mapping[str, list[Any]]]:
    """Return the learner of each seed, with its start model, data and gate, and runs by method."""
    fixed = {"seed": 0, "stop.cycles": cycles}
    bare = {"learning.method": f"{__name__}:{Bare.__name__}", "learning.options": {}}
    learners = []
    for seed in range(seeds):
        leomix.run(leomix.load(scenario, {**bare, "seed": seed, "stop.cycles": 1}))
        learners.append(Bare.made.pop())
    once = ONE_DRAW if scenario == "paper-exp2-cifar" else {}
    variants = {
        name: {"learning.method": name, **(once if name.startswith("emsfl") else {})}
        for name in METHODS
    }
    return learners, by_variant(runs(scenario, variants, fixed=fixed, seeds=seeds))


def by_set(result: Any, *, first: bool = False) -> dict[str, float]:
    """Return the accuracy on each test set at the end of a run, or at its first evaluation."""
    rows = result.metrics
    rows = rows[rows.time_s == (rows.time_s.min() if first else rows.time_s.max())]
    return dict(
        zip(rows.cluster.where(rows.scope != "global", "global"), rows.accuracy, strict=True)
    )


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
    learners, made = trained(scenario, int(cycles), int(seeds))
    models = {
        "most related expert": [experts_alone(one) for one in learners],
        "start model": [by_set(run, first=True) for run in made[METHODS[0]]],
        **{method: [by_set(run) for run in own] for method, own in made.items()},
    }
    print(f"{scenario}, {cycles} cycles, seeds 0 to {int(seeds) - 1}: accuracy, mean (range)\n")
    sets = [*learners[0].config.clusters, "global"]
    print(line("", 20, sets, 23))
    for model, own in models.items():
        cells = [mean_and_range([one[s] for one in own]) if s in own[0] else "-" for s in sets]
        print(line(model, 20, cells, 23))
    print("\nrelevance at the start")
    shares = np.mean([one.relevance(one.start()) for one in learners], axis=0)
    for name, row in zip(learners[0].config.clusters, shares, strict=True):
        print(line(name, 20, [f"{share:.2f}" for share in row], 7))


if __name__ == "__main__":
    main(*sys.argv[1:])
