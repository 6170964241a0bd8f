"""When a large step size makes the accuracy fall (Fig. 6).

    python papers/drop.py [scenario] [seeds] [step size] [cycles]

A row a method: accuracy at the start and after each of the first cycles, means over seeds, and in
how many of the seeds the largest fall between two cycles is that of the first cycle.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from batch import METHODS, results, seeded, using

SHOWN = 6
"""Cycles whose accuracy is shown."""


def curve(result: Any) -> list[float]:
    """Accuracy at the start and at the end of each cycle."""
    rows = result.metrics
    accuracy: list[float] = rows[rows.scope == "global"].groupby("cycle").accuracy.last().tolist()
    return accuracy


def main(
    scenario: str = "paper-exp1-small", seeds: str = "5", step: str = "0.5", cycles: str = "30"
) -> None:
    """Run, and print a row a method."""
    n = int(seeds)
    fixed = {"learning.step_size": float(step), "stop.cycles": int(cycles)}
    points = [(scenario, {**using(method, scenario), **fixed}) for method in METHODS]
    found = list(map(curve, results(seeded(points, n))))
    print(f"{scenario}, seeds 0 to {n - 1}, step size {step}, {cycles} cycles: accuracy\n")
    heads = "".join(f"{f'cycle {number}':>9}" for number in range(1, SHOWN + 1))
    print(f"{'method':<16}{'start':>9}{heads}{'end':>9}   falls most in cycle 1")
    for place, method in enumerate(METHODS):
        curves = np.array(found[place * n : (place + 1) * n])
        first = (np.diff(curves, axis=1).argmin(axis=1) == 0) & (curves[:, 1] < curves[:, 0])
        means = [*curves.mean(axis=0)[: SHOWN + 1], curves[:, -1].mean()]
        shown = "".join(f"{accuracy:>9.3f}" for accuracy in means)
        print(f"{method:<16}{shown}   {first.sum()} of {n}")


if __name__ == "__main__":
    main(*sys.argv[1:])
