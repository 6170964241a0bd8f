"""Accuracy averaged over time: the area under the steps of a run's evaluations, by the time."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Protocol

from sim.analysis.targets import Evaluation, accuracies
from sim.errors import InputError
from statements import Code, Other

SAME_SPAN = 1e-9
"""Share by which a deadline may lie behind the end of a run: days and hours are rounded."""
DIGITS = 1e6
"""Parts of a day in which the end of a run is told: the last one before it, which is covered."""


class Measured(Protocol):
    """What is needed of a run: its summary, and its evaluations in order of time."""

    @property
    def summary(self) -> Mapping[str, Any]:
        """Its figures."""

    @property
    def evaluations(self) -> Sequence[Evaluation]:
        """Its accuracy over time."""


def time_averaged(curve: Sequence[Evaluation], until_hours: float) -> float | None:
    """Return the mean accuracy over the time from 0 to ``until_hours``, which is finite.

    The accuracy is that of the latest evaluation: it is held until the next one, and the last one
    until the end. None where it is not known from the start on, or where no time passes.
    """
    if not curve or curve[0].hours > 0.0 or until_hours <= 0.0 or curve[0].accuracy is None:
        return None
    seen = [evaluation for evaluation in curve if evaluation.hours < until_hours]
    edges = [*(evaluation.hours for evaluation in seen), until_hours]
    lasted = (end - begin for begin, end in pairwise(edges))
    held = zip(accuracies(seen), lasted, strict=True)
    return math.fsum(accuracy * hours for accuracy, hours in held) / until_hours


def common_deadline(runs: Iterable[Measured], given_days: float | None = None) -> float | None:
    """Return the hours that all runs with an accuracy cover, or those of ``given_days``.

    None where no run has an accuracy, or one of them ended at once. Raises InputError for a
    deadline that is not above 0, or that one of the runs does not cover.
    """
    spans = [float(run.summary["hours"]) for run in runs if accuracies(run.evaluations)]
    if given_days is None:
        return min(spans, default=0.0) or None
    if not 0.0 < given_days < math.inf:
        raise InputError.of_option(
            "--deadline",
            Code.WRONG_VALUE,
            "{given_days:g} days",
            Other(said="give a number above 0"),
            given_days=given_days,
        )
    if not spans:
        raise InputError.of_option(
            "--deadline",
            Code.NOT_RECORDED,
            "none of the runs has an accuracy",
            Other(said="leave it out"),
        )
    hours = 24.0 * given_days
    most = min(spans) * (1.0 + SAME_SPAN)
    if hours > most:
        raise InputError.of_option(
            "--deadline",
            Code.WRONG_VALUE,
            "{given_days:.12g} days, but the shortest run ends after {days:.12g}",
            Other(said="give that at most"),
            given_days=given_days,
            days=math.floor(most / 24.0 * DIGITS) / DIGITS,
        )
    return hours
