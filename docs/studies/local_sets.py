"""Accuracy on each cluster's test set and on all of them (Fig. 7 and 9).

    python docs/studies/local_sets.py [scenario] [seeds] [cycles]

Four kinds of model: the one expert that the cluster's trial data select most, all alone (the gate
is masked to it); the start model with its gate pre-trained; and the final models of the baseline
and of both forms of EMS-FL. Means over seeds, with the range. The last lines are the mean
relevance (29) of every expert for every cluster at the start.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

import batch
from over_seeds import mean_and_range

GLOBAL = "global"
ALONE, START = "most related expert", "start model"
Accuracies = dict[str, float]
"""By cluster, and of all of them as ``global``."""


def one_seed(point: batch.Point) -> tuple[dict[str, Accuracies], list[list[float]]]:
    """Accuracies of every model of one seed, and the relevance (C, E) at the start."""
    import scenarios
    from sim.engine.learning_task import learner_of
    from sim.world.world import World

    name, settings = point
    learner = learner_of(World(scenarios.load(name, settings)))
    relevance = learner.relevance(learner.start())
    models = {
        ALONE: experts_alone(learner),
        START: pooled(learner.evaluate(learner.start())),
    }
    for method in batch.METHODS:
        models[method] = final_model(name, {**settings, **batch.using(method, name)})
    return models, relevance


def pooled(scores: Sequence[Mapping[str, Any]]) -> Accuracies:
    """Accuracies by cluster, and over all samples."""
    samples = sum(score["samples"] for score in scores)
    right = sum(score["samples"] * score["accuracy"] for score in scores)
    return {score["cluster"]: score["accuracy"] for score in scores} | {GLOBAL: right / samples}


def experts_alone(learner: Any) -> Accuracies:
    """Return the accuracy of each cluster's most related expert on the cluster's own test set."""
    from learning.training.evaluation import evaluate

    start = learner.start()
    relevance, server = learner.relevance(start), learner.force(start)
    alone: Accuracies = {}
    for place, (cluster, row) in enumerate(zip(learner.config.clusters, relevance, strict=True)):
        expert = max(range(len(row)), key=row.__getitem__)
        accuracy = evaluate(learner.task, server, only=(expert,))[place]["accuracy"]
        assert accuracy is not None  # every cluster has test samples
        alone[cluster] = accuracy
    return alone


def final_model(name: str, settings: batch.Settings) -> Accuracies:
    """Accuracies of the model at the end of a run."""
    import scenarios
    import sim

    rows = sim.run(scenarios.load(name, settings)).metrics
    return {
        GLOBAL if row.scope == "global" else row.cluster: row.accuracy
        for row in rows[rows.time_s == rows.time_s.max()].itertuples()
    }


def main(scenario: str = "paper-exp1-small", seeds: str = "3", cycles: str = "30") -> None:
    """Run, and print the table."""
    points = batch.seeded([(scenario, {"stop.cycles": int(cycles)})], int(seeds))
    found = batch.in_processes(one_seed, points)
    print(f"{scenario}, {cycles} cycles, seeds 0 to {len(found) - 1}: accuracy, mean (range)\n")
    table([models for models, _ in found])
    print("\nrelevance at the start")
    for place, name in enumerate(name for name in found[0][0][START] if name != GLOBAL):
        shares = zip(*(relevance[place] for _, relevance in found), strict=True)
        print(f"{name:<20}" + "".join(f"{mean(share):>7.2f}" for share in shares))


def table(seeds: Sequence[Mapping[str, Accuracies]]) -> None:
    """Print a row a model and a column a test set, out of what each seed gave."""
    sets = list(seeds[0][START])
    print(f"{'':<20}" + "".join(f"{name:>23}" for name in sets))
    for model in seeds[0]:
        cells = [
            mean_and_range([found[model][s] for found in seeds if s in found[model]]) for s in sets
        ]
        print(f"{model:<20}" + "".join(f"{cell:>23}" for cell in cells))


if __name__ == "__main__":
    main(*sys.argv[1:])
