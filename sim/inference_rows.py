"""Rows of the inferences table, and an event for each client's queries."""

from __future__ import annotations

from typing import Any

import numpy as np

from learning.requests.peers import Infer
from sim.errors import SimulationError
from sim.trace import Trace

OUTCOMES = ("local", "complete", "renormalised", "fallback", "failed")


def write(trace: Trace, asked: Infer) -> None:
    """Write a row a group of samples, and an event at the time of the queries.

    Raises SimulationError for an outcome that nobody knows.
    """
    unknown = sorted(set(asked.outcome) - set(OUTCOMES))
    if unknown:
        known = ", ".join(OUTCOMES)
        raise SimulationError(f"Infer: outcome is {unknown[0]!r}; allowed is one of {known}")
    client: dict[str, Any] = {"cluster": asked.at.cluster, "device": asked.at.device}
    trace.add(
        "inferences",
        len(asked.experts),
        time_s=asked.time_s,
        batch=asked.batch,
        experts=list(asked.experts),
        samples=np.asarray(asked.samples, np.int64),
        latency_s=np.asarray(asked.latency_s, float),
        sent_bytes=np.asarray(asked.sent_bytes, float),
        outcome=list(asked.outcome),
        **client,
    )
    trace.add("events", time_s=asked.time_s, kind="infer", detail=_detail(asked), **client)


def _detail(asked: Infer) -> str:
    """How many samples, how many of them by the client alone, and their mean latency."""
    samples, latency_s = np.asarray(asked.samples), np.asarray(asked.latency_s, float)
    local = int(samples[np.array(asked.outcome) == "local"].sum())
    answered = np.isfinite(latency_s) & (samples > 0)
    mean = "-"
    if answered.any():
        mean = f"{np.average(latency_s[answered], weights=samples[answered]):.3f}"
    return f"batch:{asked.batch} samples:{int(samples.sum())} local:{local} latency:{mean}"
