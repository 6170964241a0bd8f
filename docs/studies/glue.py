"""Experiment 2 on text, shrunk to two cores: a tiny Mixtral from random weights on four GLUE tasks.

    python docs/studies/glue.py [seeds] [cycles]

The scenario is paper-exp2-gpu with a smaller model and fewer samples; the four files that it names
have to be in the current folder. A row a model, a column a task: the class that is most frequent in
the test set, the start model, and the final models of the methods. Means over seeds, with the
range.
"""

from __future__ import annotations

import sys
from typing import Any

import batch
from local_sets import GLOBAL, START, Accuracies, final_model, pooled, table

SCENARIO = "paper-exp2-gpu"
MAJORITY = "most frequent class"
SMALL: dict[str, Any] = {
    "learning.model.hidden": 64,
    "learning.model.expert_hidden": 96,
    "learning.model.layers": 2,
    "learning.model.heads": 4,
    "learning.model.vocabulary": 2000,
    "learning.data.tokens": 32,
    "learning.data.train_samples": 1000,
    "learning.data.test_samples": 300,
    "learning.step_size": 0.1,
}


def one_seed(point: batch.Point) -> dict[str, Accuracies]:
    """Accuracies of every model of one seed."""
    import scenarios
    from sim.engine.learning_task import learner_of
    from sim.world.world import World

    name, settings = point
    learner = learner_of(World(scenarios.load(name, settings)))
    models = {MAJORITY: majority(learner), START: pooled(learner.evaluate(learner.start()))}
    for method in batch.METHODS:
        models[method] = final_model(name, {**settings, **batch.using(method, name)})
    return models


def majority(learner: Any) -> Accuracies:
    """What always answering with a test set's most frequent class comes to."""
    counts = {name: test.y.bincount() for name, test in learner.task.test.items()}
    right = {name: int(count.max()) for name, count in counts.items()}
    samples = {name: int(count.sum()) for name, count in counts.items()}
    each = {name: right[name] / samples[name] for name in counts}
    return each | {GLOBAL: sum(right.values()) / sum(samples.values())}


def main(seeds: str = "2", cycles: str = "10") -> None:
    """Run, and print the table."""
    points = batch.seeded([(SCENARIO, {**SMALL, "stop.cycles": int(cycles)})], int(seeds))
    models = batch.in_processes(one_seed, points)
    print(f"{SCENARIO} shrunk, {cycles} cycles, seeds 0 to {len(models) - 1}: accuracy\n")
    table(models)


if __name__ == "__main__":
    main(*sys.argv[1:])
