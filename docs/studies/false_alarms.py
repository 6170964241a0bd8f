"""How often the tests and intervals of a comparison err, on accuracies that are drawn.

    python docs/studies/false_alarms.py [draws]

The first table has groups that do not differ, by three figures that go together: the share of
comparisons in which some test finds a difference, one by one, corrected for all pairs and figures,
and corrected where only the group with the best mean is tested against each other one. The second
table has the share of 95 % intervals that hold the mean, and their mean width: Student's, ended at
0 and 1, and the same on the logit of the mean (delta method).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, stdtrit

from sim.analysis.lead import Asked, Bounds, interval
from sim.analysis.pair_tests import SIGNIFICANT, holm, pair_tests

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]

ACCURACIES: dict[str, tuple[Draw, float]] = {
    "near 0.80, even": (lambda draw, shape: draw.beta(80, 20, shape), 80 / 100),
    "near 0.95, skewed": (lambda draw, shape: draw.beta(38, 2, shape), 38 / 40),
    "near 0.95, very skewed": (lambda draw, shape: draw.beta(19, 1, shape), 19 / 20),
}
"""Accuracies of a run, and their mean."""
FIGURES = 3
SEEDS = (3, 5, 10)


def main(draws: str = "2000") -> None:
    """Print both tables."""
    print(f"{'groups':>6} {'seeds':>6} {'tests':>6}  one by one  corrected (Holm)  best alone")
    for groups in (2, 4, 8):
        for seeds in SEEDS:
            count, *shares = false_alarms(groups, seeds, int(draws))
            alone, corrected, best = shares
            print(f"{groups:6} {seeds:6} {count:6} {alone:11.3f} {corrected:17.3f} {best:11.3f}")
    print(f"\n{'accuracy':<24} {'seeds':>5}  Student  width    logit  width")
    for name, (draw, mean) in ACCURACIES.items():
        for seeds in SEEDS:
            covered = coverage(draw, mean, seeds, int(draws))
            print(f"{name:<24} {seeds:5}  {'  '.join(f'{share:7.3f}' for share in covered)}")


def false_alarms(groups: int, seeds: int, draws: int) -> tuple[int, float, float, float]:
    """Return how many tests a comparison has, and how often one errs.

    That is alone, corrected, and corrected where only the best group is tested.
    """
    draw = np.random.default_rng(1)
    alone = corrected = of_best = count = 0
    for _ in range(draws):
        own = draw.normal(size=(FIGURES, groups, seeds)) + draw.normal(size=(groups, seeds))
        tests = pair_tests({str(n): _asked(each) for n, each in enumerate(own)})
        count = tests.count
        alone += _finds(tests.p.values())
        corrected += _finds(tests.p_holm.values())
        best = [tests.p[str(n)][each.mean(axis=1).argmax()] for n, each in enumerate(own)]
        of_best += _finds([holm(np.concatenate(best)[~np.isnan(np.concatenate(best))])])
    return count, alone / draws, corrected / draws, of_best / draws


def _asked(figures: Floats) -> Asked:
    """Return the figures (groups, seeds) as candidates."""
    cases = {
        str(group): {("", seed): float(value) for seed, value in enumerate(own)}
        for group, own in enumerate(figures)
    }
    return Asked(cases, rising=True)


def _finds(p_values: Iterable[Floats]) -> bool:
    return min(float(np.nanmin(each)) for each in p_values) < SIGNIFICANT


def coverage(draw: Draw, mean: float, seeds: int, draws: int) -> tuple[float, ...]:
    """Return share and mean width of intervals of the mean: Student's, and that of the logit."""
    held: dict[str, list[bool]] = {"student": [], "logit": []}
    widths: dict[str, list[float]] = {"student": [], "logit": []}
    for values in draw(np.random.default_rng(1), (draws, seeds)):
        each = {"student": interval(values.tolist(), Bounds(0.0, 1.0)), "logit": of_logit(values)}
        for name, ends in each.items():
            low, high = ends or (0.0, 1.0)
            held[name].append(low <= mean <= high)
            widths[name].append(high - low)
    return tuple(float(np.mean(part[name])) for name in held for part in (held, widths))


def of_logit(values: Floats) -> tuple[float, float]:
    """Return the ends of an interval of the mean of accuracies that is even on its logit."""
    mean = values.mean()
    error = values.std(ddof=1) / np.sqrt(len(values)) / (mean * (1.0 - mean))
    half = float(stdtrit(len(values) - 1, 0.975)) * error
    return float(expit(logit(mean) - half)), float(expit(logit(mean) + half))


if __name__ == "__main__":
    main(*sys.argv[1:])
