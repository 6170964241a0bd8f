"""Accuracy averaged over time: the area under the steps of a run's evaluations, by the time."""

import math
from collections.abc import Sequence
from itertools import pairwise

from sim.analysis.targets import Evaluation, accuracies


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
