"""Figures of client-expert alignment: how evenly experts are used, and by whom they are trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning.policies.alignment import jain_index, peak, variation
from learning.requests.cluster import Floats, Ints, Mask


class Alignment(NamedTuple):
    """One round's assignment: who trained what (C, E), how fit, and what came of the round before.

    ``samples`` (C, E) are those that each client's experts served in the round before this one.
    """

    time_s: float
    fitness: Floats
    assigned: Mask
    samples: Ints


def alignments(assignments: pa.Table) -> Iterator[Alignment]:
    """Return the assignments to devices that tell what experts have served, in order of time."""
    rows = assignments.filter(
        pc.and_(pc.is_valid(assignments["device"]), pc.is_valid(assignments["samples"]))
    )
    if not len(rows):
        return
    experts = 1 + pc.max(rows["expert"]).as_py()
    times = rows["time_s"].to_numpy()
    for time_s in np.unique(times):
        here = rows.filter(pa.array(times == time_s))
        fitness, assigned, samples = (
            here[key].to_numpy().reshape(-1, experts)
            for key in ("relevance", "assigned", "samples")
        )
        yield Alignment(float(time_s), fitness, assigned.astype(bool), samples)


def alignment_figures(assignments: pa.Table) -> dict[str, Any] | None:
    """Return how evenly experts were used, as means over the rounds; None for other methods.

    The coefficient of variation (standard deviation over mean) of an expert's assignments and of
    its samples; Jain's index of the samples and the largest load over the mean, both 1 for even
    use; the mean fitness of assigned pairs.
    """
    rounds = list(alignments(assignments))
    if not rounds:
        return None
    served = [round_.samples.sum(axis=0) for round_ in rounds if round_.samples.any()]
    given = [round_.assigned.sum(axis=0) for round_ in rounds if round_.assigned.any()]
    fit = [round_.fitness[round_.assigned].mean() for round_ in rounds if round_.assigned.any()]
    return {
        "rounds": len(given),
        "assignment_variation": _mean([variation(load) for load in given]),
        "sample_variation": _mean([variation(load) for load in served]),
        "jain_index": _mean([jain_index(load) for load in served]),
        "sample_peak": _mean([peak(load) for load in served]),
        "fitness_mean": _mean(fit),
        "fitness_last": float(fit[-1]) if fit else None,
    }


def _mean(values: list[Any]) -> float | None:
    return float(np.mean(values)) if values else None
