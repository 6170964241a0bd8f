"""Load of the experts (section III-C): how evenly the clusters' data use them after training.

    python docs/studies/balance.py [scenario] [seeds] [cycles]

An expert's load is the share of all trial data that select it, mean over clusters; loads sum to
Top-K. The gate is not masked, also for enhanced EMS-FL. `seldom` counts experts below a tenth of
an even load. Medians over seeds, with the range.
"""

from __future__ import annotations

import sys
from typing import Any

import batch
import numpy as np
from over_seeds import spread

START = "start model"

Loads = dict[str, np.ndarray]
"""Load (E,) of every expert, by model."""


def one_seed(point: batch.Point) -> Loads:
    """Loads at the start, and after each method's run."""
    import scenarios
    from sim.engine.learning_task import learner_of
    from sim.world.world import World

    name, settings = point
    learner = learner_of(World(scenarios.load(name, settings)))
    loads = {START: np.mean(learner.relevance(learner.start()), axis=0)}
    for method in batch.METHODS:
        loads[method] = load_after(name, {**settings, **batch.using(method, name)}, learner)
    return loads


def load_after(name: str, settings: batch.Settings, learner: Any) -> np.ndarray:
    """Loads by the model that a run ends with."""
    import scenarios
    from learning.training.evaluation import trial_relevance

    _, server = batch.run_with_model(scenarios.load(name, settings))
    load: np.ndarray = np.mean(trial_relevance(learner.task, server), axis=0)
    return load


def main(scenario: str = "paper-exp2-small", seeds: str = "3", cycles: str = "30") -> None:
    """Run, and print the table."""
    points = batch.seeded([(scenario, {"stop.cycles": int(cycles)})], int(seeds))
    found = batch.in_processes(one_seed, points)
    print(f"{scenario}, {cycles} cycles, seeds 0 to {len(found) - 1}: load, median (range)\n")
    print(f"{'':<16}{'most':>20}{'least':>20}{'most / even':>20}{'seldom':>12}")
    for model in found[0]:
        print(f"{model:<16}{_cells([loads[model] for loads in found])}")


def _cells(loads: list[np.ndarray]) -> str:
    most = spread((load.max() for load in loads), "{:.2f}")
    least = spread((load.min() for load in loads), "{:.2f}")
    uneven = spread((load.max() / load.mean() for load in loads), "{:.2f}")
    seldom = spread(float((load < load.mean() / 10).sum()) for load in loads)
    return f"{most:>20}{least:>20}{uneven:>20}{seldom:>12}"


if __name__ == "__main__":
    main(*sys.argv[1:])
