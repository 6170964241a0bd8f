"""How the clusters' data use the experts after training: load (section III-C), classes (Remark 2).

    python papers/experts.py [scenario] [seeds] [cycles]

An expert's load is the share of all trial data that select it, mean over clusters; loads sum to
Top-K. The gate is not masked, also for enhanced EMS-FL. `seldom` counts experts below a tenth of
an even load. Medians over seeds, with the range.

The second table has how many experts are in each class of docs/methods.md at a threshold of 0.1,
means over seeds, at the start and after training by the synchronous baseline, which gives all data
to all experts; and the relevance (29) of a cluster's first, second, ... most related expert, means
over clusters and seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from local_sets import trained
from paper_runs import spread

import leomix

THRESHOLD, SHARED = 0.1, 0.9
"""Relevance that makes an expert related to a cluster; share of clusters that makes it shared."""


def tensors_of(_task: Any, *, folder: str) -> Any:
    """Return the tensors that a run has ended with."""
    return leomix.load(folder).model()


def main(scenario: str = "paper-exp2-small", seeds: str = "5", cycles: str = "20") -> None:
    """Run, and print both tables."""
    n = int(seeds)
    learners, made = trained(scenario, int(cycles), n)
    relevance = {"start model": np.array([one.relevance(one.start()) for one in learners])}
    for method, own in made.items():
        pairs = zip(learners, own, strict=True)
        models = ((one, one.make(tensors_of, folder=str(run.folder))) for one, run in pairs)
        relevance[method] = np.array([one.relevance(model) for one, model in models])
    print(f"{scenario}, {cycles} cycles, seeds 0 to {n - 1}: load, median (range)\n")
    print(f"{'':<16}{'most':>20}{'least':>20}{'most / even':>20}{'seldom':>12}")
    for model, shares in relevance.items():
        print(f"{model:<16}{_load_cells(shares.mean(axis=1))}")
    print(f"\n{'':<16}{'shared':>8}{'domain':>8}{'seldom':>8}  relevance by rank")
    for model in ("start model", "synchronous"):
        print(f"{model:<16}{_class_cells(relevance[model])}")


def _load_cells(loads: Sequence[np.ndarray]) -> str:
    most = spread((load.max() for load in loads), "{:.2f}")
    least = spread((load.min() for load in loads), "{:.2f}")
    uneven = spread((load.max() / load.mean() for load in loads), "{:.2f}")
    seldom = spread(float((load < load.mean() / 10).sum()) for load in loads)
    return f"{most:>20}{least:>20}{uneven:>20}{seldom:>12}"


def _class_cells(shares: np.ndarray) -> str:
    """Show how many experts are in each class; ``shares`` is (seeds, clusters, experts)."""
    related = (shares >= THRESHOLD).mean(axis=1)
    shared, seldom = (one.sum(axis=1).mean() for one in (related >= SHARED, related == 0))
    counts = (shared, related.shape[1] - shared - seldom, seldom)
    ranked = -np.sort(-shares, axis=2).mean(axis=(0, 1))
    shown = "".join(f"{count:>8.1f}" for count in counts)
    return f"{shown}  " + " ".join(f"{share:.2f}" for share in ranked)


if __name__ == "__main__":
    main(*sys.argv[1:])
