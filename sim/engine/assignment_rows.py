"""Rows of assignments and inferences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from learning.requests.cluster import Assign, Cluster
from learning.requests.peers import Infer
from sim.errors import SimulationError
from sim.trace.recorder import Trace


class AssignmentRows:
    """Writes assignments to the ``clusters`` into a trace."""

    def __init__(self, trace: Trace, clusters: Sequence[Cluster]) -> None:
        self._trace = trace
        self._clusters = clusters

    def write(self, assign: Assign, time_s: float, cycle: int) -> None:
        """Write a row for each client and expert, and an event for each client."""
        experts = np.arange(assign.assigned.shape[1])
        classes = None if assign.expert_class is None else list(assign.expert_class)
        clients = [
            (cluster.name, device)
            for cluster in self._clusters
            for device in (range(cluster.devices) if assign.by_device else [None])
        ]
        for row, (cluster, device) in enumerate(clients):
            mine = np.asarray(assign.assigned)[row]
            self._trace.add(
                "assignments",
                len(experts),
                time_s=time_s,
                cycle=cycle,
                cluster=cluster,
                device=device,
                expert=experts,
                relevance=np.asarray(assign.score, float)[row],
                probability=_row(assign.probability, row),
                assigned=mine,
                samples=_row(assign.samples, row),
                expert_class=classes,
            )
            self._trace.add(
                "events",
                time_s=time_s,
                kind="assign",
                cluster=cluster,
                device=device,
                detail=f"experts:{','.join(map(str, experts[mine]))}",
            )


def _row(values: np.ndarray | None, row: int) -> np.ndarray | None:
    return None if values is None else np.asarray(values)[row]


# Rows of the inferences table, and an event for each client's queries.


OUTCOMES = ("local", "complete", "renormalised", "fallback", "failed")


def record_inferences(trace: Trace, asked: Infer) -> None:
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
