"""How long experts of other clients take to answer, and what for, by the links of the request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from sim.trace.arrow import as_numpy
from statements.arrays import Floats, Ints, Mask

PARTS = ("propagation", "transmission", "window", "queue")
"""What request and answer spend their time on, besides computing: columns of the table."""
SPEED_OF_LIGHT_KM_S = 299_792.458


@dataclass(frozen=True)
class Latencies:
    """Latencies of ``answers`` whose requests took so many ``hops``; None stands for all, or any.

    Percentiles are by nearest rank. ``parts_s`` are the means of light time, sending, waiting for
    links to open, waiting for others' messages, all of request and answer together, and computing.
    They are None where answers did not come over links between satellites. ``range_km`` is the mean
    length of the way there.
    """

    hops: int | None
    answers: int
    median_s: float
    p95_s: float
    most_s: float
    parts_s: dict[str, float] | None
    range_km: float | None

    def as_json(self) -> dict[str, Any]:
        """Return it as a mapping."""
        return dict(vars(self))


def latencies(answers: pa.Table) -> list[Latencies]:
    """Return the latencies of all answers, and behind them by the hops of their requests.

    Nothing where nobody answered.
    """
    latency_s = as_numpy(answers.column("latency_s"))
    came = np.isfinite(latency_s)
    if not came.any():
        return []
    answers = answers.filter(pa.array(came))
    hops = as_numpy(answers.column("request_hops"))
    numbers = np.unique(hops[np.isfinite(hops)]).astype(np.int64).tolist()
    every = np.ones(len(answers), bool)
    return [
        _latencies(answers, None, every),
        *(_latencies(answers, number, hops == number) for number in numbers),
    ]


def _latencies(answers: pa.Table, hops: int | None, rows: Mask) -> Latencies:
    def mean(name: str) -> float:
        return float(as_numpy(answers.column(name))[rows].mean())

    parts = {part: mean(f"request_{part}_s") + mean(f"answer_{part}_s") for part in PARTS}
    parts["computing"] = mean("computing_s")
    over_links = bool(np.isfinite(list(parts.values())).all())
    latency_s = np.sort(as_numpy(answers.column("latency_s"))[rows])
    return Latencies(
        hops=hops,
        answers=len(latency_s),
        median_s=nearest_rank(latency_s, 50),
        p95_s=nearest_rank(latency_s, 95),
        most_s=float(latency_s[-1]),
        parts_s=parts if over_links else None,
        range_km=mean("request_propagation_s") * SPEED_OF_LIGHT_KM_S if over_links else None,
    )


def nearest_rank(in_order: Floats | Ints, percent: int) -> float:
    """Return a percentile of numbers in order: the smallest that so many of 100 do not exceed."""
    return float(in_order[(percent * len(in_order) + 99) // 100 - 1])


def answer_latencies(answers: pa.Table | None) -> dict[str, Any] | None:
    """Return how many experts were asked and never answered, and the latencies of the others.

    None where no expert of another client was asked.
    """
    if answers is None or not len(answers):
        return None
    found = latencies(answers)
    came = found[0].answers if found else 0
    return {
        "asked": len(answers),
        "lost": len(answers) - came,
        "latencies": [one.as_json() for one in found],
    }
