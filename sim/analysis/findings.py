"""Findings: figures by which candidates differ, the one that is to be said first before others.

A finding ranks by how sure it is, by whether it is larger than what else varies, by the band of its
size on one scale for all units, and then by what people ask for first: time to a target, where
learning ends, what it costs. What limits the meaning of a finding stands behind it, never before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from sim.analysis.measure import Measure
from sim.analysis.rows import Answer, Row
from sim.analysis.verdict import TOLD_APART, Verdict, verdict_of


class Sure(IntEnum):
    """How sure it is that the first and the last differ."""

    NOISE = 0
    """A test finds nothing."""
    UNTOLD = 1
    """Nothing was tested: there are too few seeds."""
    TOLD = 2
    """A test finds it, or no seed changes it."""


class Band(IntEnum):
    """How large a difference is, whatever its unit; within a band other things decide."""

    NONE = 0
    SMALL = 1
    LARGE = 2
    HUGE = 3


BANDS = ((2.0, Band.HUGE), (1.25, Band.LARGE), (1.005, Band.SMALL))
"""The least ratio of each band; what is below the last is the same to 0.5 %."""
PURPOSE = (
    *("hours_to", "accuracy_final", "loss_final", "round_mean_s"),
    *("isl_bytes", "uplink_bytes", "downlink_bytes", "cycles", "contacts_served"),
)
"""Figures in the order in which people ask for them."""
UNTESTED = (Verdict.ONE_SEED, Verdict.TOO_FEW_SEEDS, Verdict.UNTESTED)
"""Verdicts on two candidates that nothing has been tested of."""


@dataclass(frozen=True)
class Finding:
    """A figure of several candidates: the ``best`` ones and the ``last``, and how far apart.

    ``times`` is the ratio of the two, of accuracies that of their errors (1 - accuracy). ``within``
    is the largest such ratio of one candidate over its own seeds: what else varies.
    """

    measure: Measure
    best: tuple[str, ...]
    last: str
    values: Mapping[str, float]
    times: float
    within: float
    sure: Sure

    @property
    def band(self) -> Band:
        """How large it is."""
        return next((band for least, band in BANDS if self.times >= least), Band.NONE)

    @property
    def is_share(self) -> bool:
        """Whether it is a share, of which the errors are compared."""
        return self.measure.rising and self.measure.figure.most == 1

    @property
    def alike(self) -> bool:
        """Whether a table shows no difference, which has three digits; not of what is learnt."""
        return not (self.measure.figure.learnt or self.is_share or self.band)

    @property
    def differs(self) -> bool:
        """Whether the best and the last are not alike, by more than what else varies or a test."""
        return bool(self.band) and (self.sure is not Sure.NOISE or self.times > self.within)

    @property
    def rank(self) -> tuple[int, bool, int, int, float, float]:
        """The larger, the earlier it is said."""
        head = self.measure.column.removesuffix(f"_{self.measure.target}")
        purpose = PURPOSE.index(head) if head in PURPOSE else len(PURPOSE)
        sure = self.sure if self.band else Sure.NOISE
        target = float(self.measure.target or 0)
        return sure, self.times > self.within, self.band, -purpose, target, self.times


def finding_of(answer: Answer) -> Finding | None:
    """Return what is found by a figure; None where fewer than two candidates can be compared."""
    ranking = answer.ranking
    if ranking.first is None or not ranking.leads:
        return None
    rows = {row.label: row for row in answer.rows if row.mean is not None}
    last = list(ranking.leads)[-1]
    if ranking.first not in rows or last not in rows:
        return None
    values = {label: float(row.mean or 0.0) for label, row in rows.items()}
    verdict = verdict_of(ranking.leads[last])
    untold = Sure.UNTOLD if verdict in UNTESTED else Sure.NOISE
    return Finding(
        measure=answer.measure,
        best=ranking.best or (ranking.first,),
        last=last,
        values=values,
        times=_times(answer.measure, values[ranking.first], values[last]),
        within=max(_within(answer.measure, row) for row in rows.values()),
        sure=Sure.TOLD if verdict in TOLD_APART else untold,
    )


def ranked(answers: Iterable[Answer]) -> list[Finding]:
    """Return what is found by each of the figures, the one to be said first first."""
    found = (finding_of(answer) for answer in answers)
    return sorted((one for one in found if one), key=lambda one: one.rank, reverse=True)


def _times(measure: Measure, one: float, other: float) -> float:
    if measure.figure.best == "highest" and measure.figure.most == 1:
        one, other = 1.0 - one, 1.0 - other
    small, large = sorted((one, other))
    if small <= 0.0:
        return math.inf if large > small else 1.0
    return large / small


def _within(measure: Measure, row: Row) -> float:
    known = [value for value in row.by_seed.values() if value is not None]
    return _times(measure, min(known), max(known)) if known else 1.0
