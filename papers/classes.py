"""Classes of experts by relevance (Remark 2): shared, of a domain, seldom activated.

    python papers/classes.py [scenario] [seeds] [cycles]

The model is trained by the synchronous baseline, which gives all data to all experts. A row is the
start or the end: how many experts are in each class of docs/methods.md at a threshold of 0.1, means
over seeds, and the relevance (29) of a cluster's first, second, ... most related expert, means over
clusters and seeds.
"""

from __future__ import annotations

import sys

import numpy as np
from batch import learner_of, relevance, results, seeded, using

THRESHOLD, SHARED = 0.1, 0.9
"""Relevance that makes an expert related to a cluster; share of clusters that makes it shared."""


def main(scenario: str = "paper-exp2-small", seeds: str = "5", cycles: str = "20") -> None:
    """Run, and print a row for the start and one for the end."""
    n, fixed = int(seeds), {"stop.cycles": int(cycles)}
    learners = [learner_of(scenario, {**fixed, "seed": seed}) for seed in range(n)]
    runs = results(seeded([(scenario, {**fixed, **using("synchronous", scenario)})], n))
    found = {
        "start": np.array([one.relevance(one.start()) for one in learners]),
        "end": np.array([relevance(*pair) for pair in zip(learners, runs, strict=True)]),
    }
    print(f"{scenario}, seeds 0 to {n - 1}, start and after {cycles} cycles\n")
    print(f"{'':<6}{'shared':>8}{'domain':>8}{'seldom':>8}  relevance by rank")
    for when, shares in found.items():
        related = (shares >= THRESHOLD).mean(axis=1)
        shared, seldom = (one.sum(axis=1).mean() for one in (related >= SHARED, related == 0))
        counts = (shared, related.shape[1] - shared - seldom, seldom)
        ranked = -np.sort(-shares, axis=2).mean(axis=(0, 1))
        shown = "".join(f"{count:>8.1f}" for count in counts)
        print(f"{when:<6}{shown}  " + " ".join(f"{share:.2f}" for share in ranked))


if __name__ == "__main__":
    main(*sys.argv[1:])
