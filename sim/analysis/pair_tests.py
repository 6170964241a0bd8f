"""Paired t tests of every two candidates by every figure, corrected for each other.

Which of several candidates is best is read off the same figures that are then tested, and of many
tests a few find what is not there. So all tests that one comparison could make count as one family:
every two candidates by every figure. Holm's step-down procedure keeps the chance that any of them
is a false alarm at or below 5 %, whatever depends on what, and whichever of them are shown.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask
from sim.analysis.lead import CLOSE, FEWEST, Asked, PairedTest

SIGNIFICANT = 0.05
"""Corrected p value below which a difference is more than noise."""


def holm(p_values: Floats) -> Floats:
    """Return p values (N,), each corrected for all of them by Holm's procedure."""
    order = np.argsort(p_values, kind="stable")
    left = len(p_values) - np.arange(len(p_values))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * left), 1.0)
    return adjusted


@dataclass(frozen=True, eq=False)
class PairTests:
    """The tests of one comparison; ``count`` of them could be made.

    For each figure, the places of candidates, and p values (candidates, candidates), nan where no
    test is possible: with fewer than ``FEWEST`` seeds in common, or the same difference with each.
    """

    count: int
    places: Mapping[str, Mapping[str, int]]
    p: Mapping[str, Floats]
    p_holm: Mapping[str, Floats]

    def of(self, figure: str, first: str, second: str) -> PairedTest | None:
        """Return the test of two candidates by a figure; None where none was possible, or asked."""
        places = self.places.get(figure, {})
        if first not in places or second not in places:
            return None
        pair = places[first], places[second]
        p_holm = float(self.p_holm[figure][pair])
        return None if np.isnan(p_holm) else PairedTest(float(self.p[figure][pair]), p_holm)

    def told_apart(self, figure: str, labels: Sequence[str]) -> list[tuple[str, str]]:
        """Return the pairs of ``labels`` of which the test by a figure finds a difference."""
        places = self.places.get(figure, {})
        known = [label for label in labels if label in places]
        if not known:
            return []
        at = [places[label] for label in known]
        p_holm = self.p_holm[figure][np.ix_(at, at)]
        told = _above_diagonal(p_holm) & (p_holm < SIGNIFICANT)
        return [(known[one], known[other]) for one, other in np.argwhere(told).tolist()]

    def labelled(self, labels: Mapping[str, str]) -> "PairTests":
        """Return the same tests of the same candidates, by other ``labels`` of theirs."""
        places = {
            figure: {labels[label]: place for label, place in known.items() if label in labels}
            for figure, known in self.places.items()
        }
        return replace(self, places=places)


def pair_tests(asked: Mapping[str, Asked]) -> PairTests:
    """Test every two candidates by each of the figures."""
    p = {figure: p_of_pairs(one) for figure, one in asked.items()}
    known = {figure: _above_diagonal(own) & ~np.isnan(own) for figure, own in p.items()}
    every = [own[known[figure]] for figure, own in p.items()]
    adjusted = holm(np.concatenate([np.empty(0), *every]))
    ends = np.cumsum([len(own) for own in every])
    p_holm = {}
    for figure, own in zip(asked, np.split(adjusted, ends), strict=False):
        p_holm[figure] = np.full(p[figure].shape, np.nan)
        p_holm[figure][known[figure]] = own
        p_holm[figure].T[known[figure]] = own
    places = {figure: _places(one.candidates) for figure, one in asked.items()}
    return PairTests(len(adjusted), places, p, p_holm)


def _places(names: Iterable[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


def _above_diagonal(matrix: Floats) -> Mask:
    return np.triu(np.ones(matrix.shape, bool), 1)


def p_of_pairs(asked: Asked) -> Floats:
    """Return two-sided p values (N, N) of paired t tests of N candidates, nan where there is none.

    Of each seed the mean over its settings counts once. A pair of which one never got there, at a
    case of both, is not tested.
    """
    cases = sorted(
        {case for own in asked.candidates.values() for case in own}, key=lambda case: case[::-1]
    )
    starts = np.array([n for n, case in enumerate(cases) if n == 0 or case[1] != cases[n - 1][1]])
    rows = [[own.get(case, np.nan) for case in cases] for own in asked.candidates.values()]
    values = np.array(rows).reshape(len(rows), len(cases))
    found = np.full((len(values), len(values)), np.nan)
    for place in range(len(values) if cases else 0):
        others = slice(place + 1, None)
        found[place, others] = found[others, place] = _p_of_rows(
            values[place], values[others], starts, asked
        )
    return found


def _p_of_rows(one: Floats, others: Floats, starts: Ints, asked: Asked) -> Floats:
    """Return p values (N,) of tests of one candidate's figures (C,) with those of N (N, C)."""
    from scipy.special import stdtr

    both = ~np.isnan(one) & ~np.isnan(others)
    reached = np.isfinite(one) & np.isfinite(others)
    with np.errstate(invalid="ignore", divide="ignore"):
        largest = np.maximum(np.abs(one), np.abs(others))
        apart = np.log(others) - np.log(one) if asked.by_ratio else others - one
        near = np.abs(others - one) <= np.maximum(CLOSE["rel_tol"] * largest, CLOSE["abs_tol"])
        apart = np.where(reached & ~near, apart, 0.0)
        settings = np.add.reduceat(both.astype(np.int64), starts, axis=1)
        by_seed = np.add.reduceat(apart, starts, axis=1) / settings
        seeds = (settings > 0).sum(axis=1)
        mean = np.nansum(by_seed, axis=1) / seeds
        spread = np.nansum((by_seed - mean[:, None]) ** 2, axis=1) / (seeds - 1)
        p = 2.0 * stdtr(seeds - 1, -np.abs(mean) / np.sqrt(spread / seeds))
    low = np.where(settings > 0, by_seed, np.inf).min(axis=1)
    high = np.where(settings > 0, by_seed, -np.inf).max(axis=1)
    largest = np.maximum(np.abs(low), np.abs(high))
    same = high - low <= np.maximum(CLOSE["rel_tol"] * largest, CLOSE["abs_tol"])
    tested = (seeds >= FEWEST) & (both.sum(axis=1) >= asked.fewest) & ~same
    return np.where(tested & (reached | ~both).all(axis=1), p, np.nan)
