"""Who is best, by how much, and may it be chance: the table of a comparison.

Groups are runs of one scenario with several seeds, combinations of a sweep's keys, the values of
one key, or network studies. Two groups are compared at the seeds that both have, by the paired t
test, corrected by Holm for every two groups by every figure of the table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.analysis.evaluations import Evaluation
from sim.analysis.figures import FEWEST_TESTED, LEVEL, Figure
from statements.arrays import Floats, Mask

if TYPE_CHECKING:
    import pandas as pd

CHANCE = 0.05
"""Corrected p value below which a difference is found."""
CLOSE = 1e-9
"""Share by which equal figures may differ: means of them do in their last digits."""
COLUMNS = ("figure", "group", "seeds", "mean", "low", "high", "p", "verdict")
"""Columns of the table."""


class Verdict(StrEnum):
    """What is known of a group by a figure, beside the group with the best mean."""

    BEST = "best"
    """It is ahead of each other one by a test, or at every seed where nothing is random."""
    BEHIND = "behind"
    """It is behind the first by a test, or at every seed where nothing is random."""
    NO_DIFFERENCE = "no difference found"
    """A test finds none."""
    EQUAL = "equal"
    """It has the same at every seed, of which there are three or more in common."""
    TOO_FEW = "too few seeds"
    """One or two are in common, which allow no test."""
    NOT_REACHED = "not reached"
    """It does not have the figure with each of its seeds."""


UNDECIDED = (Verdict.NO_DIFFERENCE, Verdict.TOO_FEW, Verdict.EQUAL)
"""Verdicts on the others that keep the first one from being best, the one that it shares first."""


@dataclass(frozen=True)
class ComparedRun:
    """One run of a group: its seed, its figures by column, and the ``setting`` of what else varies.

    A figure that was never reached, or cannot be known, is None or not there. A run that was read
    has its evaluations, its manifest and its folder; a row of a sweep has none of these.
    """

    group: str
    seed: int
    figures: Mapping[str, Any]
    setting: str = ""
    evaluations: Sequence[Evaluation] = ()
    manifest: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None


def values_of(cases: Iterable[ComparedRun], columns: Iterable[str]) -> pd.DataFrame:
    """Return the figures of cases: a row a group, setting, seed and figure; nan for None."""
    import pandas as pd

    wanted = [*columns]
    rows = [
        (case.group, case.setting, case.seed, column, number_of(case.figures.get(column)))
        for case in cases
        for column in wanted
    ]
    return pd.DataFrame(rows, columns=["group", "setting", "seed", "figure", "value"])


def number_of(value: Any) -> float:
    """Return a figure as a number; nan for None."""
    return math.nan if value is None else float(value)


def ranked(
    values: pd.DataFrame, figures: Mapping[str, Figure], *, drawn: bool = True
) -> pd.DataFrame:
    """Return the table: a row a figure and group, the best group of each figure first.

    ``values`` are as :func:`values_of` has them. Of each seed the mean over its settings counts
    once, as settings share seeds. Figures that are compared by ratios are so by their logarithms:
    means are geometric. ``mean`` has its 95 % interval (Student's) from three seeds on, ``p`` is of
    the test with the first group. Where nothing is ``drawn`` at random one seed is enough.
    """
    import pandas as pd

    cubes = {
        column: _Cube.of(own, figures[column], drawn=drawn)
        for column, own in values.groupby("figure", sort=False)
    }
    known = [cube for cube in cubes.values() if cube.tested.any()]
    adjusted = holm(np.concatenate([np.empty(0), *(cube.p[cube.tested] for cube in known)]))
    ends = np.cumsum([int(cube.tested.sum()) for cube in known])
    for cube, own in zip(known, np.split(adjusted, ends), strict=False):
        cube.p[cube.tested] = own
    rows = [row for column in figures if column in cubes for row in cubes[column].rows(column)]
    return pd.DataFrame(rows, columns=[*COLUMNS])


def holm(p_values: Floats) -> Floats:
    """Return p values (N,), each corrected for all of them by Holm's procedure."""
    order = np.argsort(p_values, kind="stable")
    left = len(p_values) - np.arange(len(p_values))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * left), 1.0)
    return adjusted


@dataclass(eq=False)
class _Cube:
    """A figure of groups, the best one first: ``values`` (settings, seeds, groups), nan for none.

    They are logarithms where ratios are compared. ``seeds`` and ``reached`` count those of each
    group. The first ``whole`` groups have the figure with all of their seeds and are ranked; the
    next ``unspent`` groups spent nothing where others did, and are not ranked. ``p`` (groups,
    groups) is known above the diagonal where it is ``tested``.
    """

    figure: Figure
    groups: Sequence[str]
    values: Floats
    seeds: Sequence[int]
    reached: Sequence[int]
    whole: int
    unspent: int
    by_ratio: bool
    drawn: bool
    p: Floats = field(init=False)
    tested: Mask = field(init=False)

    def __post_init__(self) -> None:
        self.p = np.full((len(self.groups),) * 2, np.nan)
        has_tests = self.values.shape[1] >= FEWEST_TESTED
        for place in range(self.whole - 1 if has_tests else 0):
            self.p[place, place + 1 : self.whole] = _paired_p(self._apart(place))
        self.tested = ~np.isnan(self.p)

    @classmethod
    def of(cls, own: pd.DataFrame, figure: Figure, *, drawn: bool) -> _Cube:
        """Sort the values of a figure."""
        import pandas as pd

        setting, settings = pd.factorize(own["setting"])
        seed, seeds = pd.factorize(own["seed"], sort=True)
        group, groups = pd.factorize(own["group"])
        values = np.full((len(settings), len(seeds), len(groups)), np.nan)
        asked = np.zeros(values.shape, bool)
        values[setting, seed, group] = own["value"].to_numpy(float)
        asked[setting, seed, group] = True
        values[~np.isfinite(values)] = np.nan
        has = ~np.isnan(values)
        by_ratio = figure.ratios and bool((values[has] > 0.0).all())
        scaled = np.log(values) if by_ratio else values
        count, reached = asked.any(axis=0).sum(axis=0), (has | ~asked).all(axis=0)
        reached = (reached & asked.any(axis=0)).sum(axis=0)
        means = _nanmean(_nanmean(scaled, 0), 0)
        sign = -1.0 if figure.rising else 1.0

        is_whole = has.any(axis=(0, 1)) & (reached == count)
        unspent = is_whole & (means == 0.0) if figure.spent else np.zeros(len(groups), bool)
        if (unspent | ~is_whole).all():
            unspent[:] = False

        def rank(place: int) -> tuple[bool, bool, float, float, list[Any]]:
            mean = sign * float(f"{means[place]:.12g}") if is_whole[place] else 0.0
            state = bool(~is_whole[place]), bool(unspent[place])
            return *state, mean, -float(reached[place]), natural(groups[place])

        order = sorted(range(len(groups)), key=rank)
        return cls(
            figure,
            [groups[place] for place in order],
            scaled[:, :, order],
            count[order].tolist(),
            reached[order].tolist(),
            int((is_whole & ~unspent).sum()),
            int(unspent.sum()),
            by_ratio,
            drawn,
        )

    def _apart(self, place: int) -> Floats:
        """Return the differences (settings, seeds, groups) of a group from those behind it."""
        one, others = self.values[:, :, [place]], self.values[:, :, place + 1 : self.whole]
        apart = one - others
        with np.errstate(invalid="ignore"):
            near = np.abs(apart) <= _tiny(np.maximum(np.abs(one), np.abs(others)))
        apart[near] = 0.0
        return apart

    @cached_property
    def _constant(self) -> Mask:
        """Which groups have the same figure with each of two or more seeds, at each setting."""
        with np.errstate(all="ignore"):
            high, low = (np.fmax.reduce(one, axis=1) for one in (self.values, -self.values))
            same = np.isnan(high) | (high + low <= _tiny(np.maximum(np.abs(high), np.abs(low))))
        return np.asarray(same.all(axis=0))

    def rows(self, column: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of the table."""
        each = _nanmean(self.values, 0)
        verdicts = self._verdicts()
        for place, group in enumerate(self.groups):
            ends = mean_of(each[:, place], self.figure, by_ratio=self.by_ratio)
            if place >= self.whole + self.unspent:
                ends = (math.nan,) * 3
            p = float(self.p[0, place])
            verdict = verdicts[place]
            word = None if verdict is None else str(verdict)
            yield column, group, self.seeds[place], *ends, p, word

    def _verdicts(self) -> list[Verdict | None]:
        others: list[Verdict] = []
        if self.whole > 1:
            apart = self._apart(0)
            others = [self._beside(n, apart[:, :, n - 1]) for n in range(1, self.whole)]
        missing = [Verdict.NOT_REACHED] * (len(self.groups) - self.whole - self.unspent)
        if not self.whole:
            return [*missing]
        first = self._of_first([*others, *missing])
        return [first, *others, *[None] * self.unspent, *missing]

    def _beside(self, place: int, apart: Floats) -> Verdict:
        """Return the verdict on a group by its distances (settings, seeds) from the first one."""
        by_seed = _nanmean(apart, 0)
        by_seed = by_seed[~np.isnan(by_seed)]
        seeds = len(by_seed)
        certain = not self.figure.learnt and not self.drawn
        if not seeds:
            return Verdict.TOO_FEW
        if not np.nanmax(np.abs(apart)):
            return Verdict.EQUAL if certain or seeds >= FEWEST_TESTED else Verdict.TOO_FEW
        constant = seeds > 1 and bool(self._constant[0] and self._constant[place])
        ahead = float(by_seed.mean()) * (1.0 if self.figure.rising else -1.0) > 0.0
        if certain or (constant and not self.figure.learnt):
            return Verdict.BEHIND if ahead else Verdict.NO_DIFFERENCE
        if seeds < FEWEST_TESTED:
            return Verdict.TOO_FEW
        p = self.p[0, place]  # nan: the same distance at each seed
        return Verdict.BEHIND if ahead and not p >= CHANCE else Verdict.NO_DIFFERENCE

    def _of_first(self, others: Sequence[Verdict]) -> Verdict | None:
        """Return the verdict on the first group: the word that it shares where it is not best."""
        if not others:
            return None
        if found := next((one for one in UNDECIDED if one in others), None):
            return found
        enough = self.seeds[0] >= FEWEST_TESTED or not self.drawn
        missing = self.reached[self.whole + self.unspent :]
        if Verdict.NOT_REACHED not in others or (enough and not any(missing)):
            return Verdict.BEST
        return Verdict.NO_DIFFERENCE if enough else Verdict.TOO_FEW


def _tiny(values: Floats) -> Floats:
    return CLOSE * values + 1e-12


def _nanmean(values: Floats, axis: int) -> Floats:
    """Return the mean of what is known, nan where nothing is."""
    has = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        found: Floats = np.where(has, values, 0.0).sum(axis=axis) / has.sum(axis=axis)
    return found


def _paired_p(apart: Floats) -> Floats:
    """Return p values (N,) of t tests of differences (settings, seeds, N), nan where there is none.

    There is none below three seeds, and where the difference is the same at each.
    """
    from scipy.special import stdtr

    by_seed = _nanmean(apart, 0)
    seeds = (~np.isnan(by_seed)).sum(axis=0)
    high, low = np.fmax.reduce(by_seed, axis=0), np.fmin.reduce(by_seed, axis=0)
    mean = _nanmean(by_seed, 0)
    with np.errstate(all="ignore"):
        differ = high - low > _tiny(np.maximum(np.abs(high), np.abs(low)))
        variance = np.nansum((by_seed - mean) ** 2, axis=0) / (seeds - 1)
        p = 2.0 * stdtr(seeds - 1, -np.abs(mean / np.sqrt(variance / seeds)))
    return np.where((seeds >= FEWEST_TESTED) & differ, p, np.nan)


def mean_of(
    each: Sequence[float] | Floats, figure: Figure, *, by_ratio: bool | None = None
) -> tuple[float, float, float]:
    """Return the mean of a figure over seeds, and the ends of its 95 % interval (Student's).

    nan for a seed is left out, and for an end below three seeds. ``by_ratio`` says that these are
    logarithms; by default they are taken where the figure is compared by ratios.
    """
    known = np.asarray(each, float)
    known = known[~np.isnan(known)]
    if by_ratio is None:
        by_ratio = figure.ratios and bool((known > 0.0).all())
        known = np.log(known) if by_ratio else known
    if not len(known):
        return (math.nan,) * 3
    mean = float(known.mean())
    if len(known) < FEWEST_TESTED:
        return math.exp(mean) if by_ratio else mean, math.nan, math.nan
    [half] = half_width(known[:, None]).tolist()
    if by_ratio:
        return math.exp(mean), math.exp(mean - half), math.exp(mean + half)
    low, high = figure.within(np.array(mean - half), np.array(mean + half), known)
    return mean, float(low), float(high)


def half_width(values: Floats) -> Floats:
    """Return half of Student's 95 % intervals of the means of values (N, K); nan of one value.

    What is nan is left out.
    """
    from scipy.special import stdtrit

    count = (~np.isnan(values)).sum(axis=0)
    free = np.maximum(count - 1, 1)
    apart = values - np.nansum(values, axis=0) / count
    spread = np.sqrt(np.nansum(apart**2, axis=0) / free)
    half = stdtrit(free, (1 + LEVEL) / 2) * spread / np.sqrt(count)
    return np.where(count > 1, half, np.nan)


def natural(label: str) -> list[tuple[int, float, str]]:
    """Return by what labels are sorted: numbers in them by their size."""
    parts = re.split(r"(\d+(?:\.\d+)?)", label)
    return [(0, float(part), part) if part[:1].isdigit() else (1, 0.0, part) for part in parts]
