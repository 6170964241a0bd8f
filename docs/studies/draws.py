"""Minibatches drawn by counting for all devices at once, beside a numpy generator for each.

    python docs/studies/draws.py [seeds]

A row a seed and scenario: the final accuracy of the whole test set with either, and bytes sent up.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from statistics import mean
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

import scenarios
import sim
from learning import stream

RUNS: dict[str, dict[str, Any]] = {"paper-slots": {"stop.cycles": 10}, "quickstart": {}}


def by_generators(
    bounds: NDArray[np.int64], count: int, *name: object, numbers: Sequence[Sequence[int]]
) -> NDArray[np.int64]:
    """Draw as leomix did before: a generator for each device and round."""
    seed, *purpose = name
    each = zip(bounds.tolist(), *numbers, strict=True)
    drawn = [stream(int(str(seed)), *purpose, *part).integers(0, b, count) for b, *part in each]
    return np.stack(drawn)


def outcome(scenario: str, seed: int) -> tuple[float, float]:
    """Return final accuracy and uploaded MB of a run."""
    run = sim.run(scenarios.load(scenario, {"seed": seed, **RUNS[scenario]}))
    return run.summary["accuracy_final"], run.summary["uplink_bytes"] / 1e6


def main(seeds: str = "5") -> None:
    """Print the table."""
    print(f"{'scenario':<12} seed  generators: final     MB  counting: final     MB")
    for scenario in RUNS:
        rows = []
        for seed in range(1, 1 + int(seeds)):
            with patch("learning.training.sgd.draw_below", by_generators):
                before = outcome(scenario, seed)
            rows.append((*before, *outcome(scenario, seed)))
            print(f"{scenario:<12} {seed:4}  {_shown(rows[-1])}", flush=True)
        print(
            f"{scenario:<12} mean  {_shown([mean(column) for column in zip(*rows, strict=True)])}"
        )


def _shown(row: Sequence[float]) -> str:
    before, before_mb, after, after_mb = row
    return f"{before:17.3f} {before_mb:6.2f} {after:16.3f} {after_mb:6.2f}"


if __name__ == "__main__":
    main(*sys.argv[1:])
