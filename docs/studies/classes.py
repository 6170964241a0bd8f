"""Classes of experts by relevance (Remark 2): shared, of a domain, seldom activated.

    python docs/studies/classes.py [scenario] [seeds] [cycles]

The model is trained by the synchronous baseline, which gives all data to all experts. A row is the
start or the end: how many experts are in each class of docs/methods.md at a threshold of 0.1, means
over seeds, and the relevance (29) of a cluster's first, second, ... most related expert, means over
clusters and seeds.
"""

from __future__ import annotations

import sys

import numpy as np
from batch import Point, in_processes, run_with_model, seeded

THRESHOLD = 0.1
CLASSES = ("shared", "domain", "seldom")


def one_seed(point: Point) -> dict[str, np.ndarray]:
    """Relevance (C, E) at the start and at the end of a run."""
    import scenarios
    from learning.training.evaluation import trial_relevance
    from sim.engine.learning_task import learner_of
    from sim.world.world import World

    name, settings = point
    scenario = scenarios.load(name, {**settings, "learning.method": "synchronous"})
    learner = learner_of(World(scenario))
    _, model = run_with_model(scenario)
    end = np.array(trial_relevance(learner.task, model))
    return {"start": np.array(learner.relevance(learner.start())), "end": end}


def main(scenario: str = "paper-exp2-small", seeds: str = "5", cycles: str = "20") -> None:
    """Run, and print a row for the start and one for the end."""
    from learning.policies.model_splitting import expert_classes

    points = seeded([(scenario, {"stop.cycles": int(cycles)})], int(seeds))
    found = in_processes(one_seed, points)
    print(f"{scenario}, seeds 0 to {len(found) - 1}, start and after {cycles} cycles\n")
    print(f"{'':<6}" + "".join(f"{name:>8}" for name in CLASSES) + "  relevance by rank")
    for when in found[0]:
        classes = [expert_classes(seed[when], THRESHOLD) for seed in found]
        counts = [np.mean([own.count(name) for own in classes]) for name in CLASSES]
        ranked = np.mean([-np.sort(-seed[when], axis=1) for seed in found], axis=(0, 1))
        shown = "".join(f"{count:>8.1f}" for count in counts)
        print(f"{when:<6}{shown}  " + " ".join(f"{share:.2f}" for share in ranked))


if __name__ == "__main__":
    main(*sys.argv[1:])
