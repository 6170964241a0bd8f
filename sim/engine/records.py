"""Rows of assignments, inferences and injected faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from learning.requests.cluster import Assign, Cluster, Floats
from learning.requests.details import device_away, device_slow, satellite_out
from learning.requests.peers import Infer
from sim.clock import Clock, Process
from sim.devices.faults import Faults
from sim.errors import SimulationError
from sim.network.records import fault_row
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
        for row, cluster, device in self._clients(assign.by_device):
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

    def _clients(self, by_device: bool) -> Iterator[tuple[int, str, int | None]]:
        """Row, cluster and device of each client."""
        row = 0
        for cluster in self._clusters:
            for device in range(cluster.devices) if by_device else [None]:
                yield row, cluster.name, device
                row += 1


def _row(values: np.ndarray | None, row: int) -> np.ndarray | None:
    return None if values is None else np.asarray(values)[row]


# Rows of the inferences table, and an event for each client's queries.


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


# Rows about faults: each begins with ``injected:``, so that nobody takes it for real trouble.


def told(faults: Faults, clock: Clock, trace: Trace) -> Process:
    """Tell of every outage, absence and slow device when it begins."""
    for time_s, cluster, device, detail in sorted(_intervals(faults)):
        if time_s < clock.now:  # before the run has turned to these faults
            continue
        yield clock.at(time_s)
        whose = {"cluster": cluster, "device": device} if cluster else {}
        fault_row(trace, time_s, detail, **whose)


def _intervals(faults: Faults) -> Iterator[tuple[float, str, int, str]]:
    """Time, cluster (empty for a satellite), device and detail of everything known beforehand."""
    for name, spells in faults.outages.items():
        for begin_s, end_s in zip(spells.begin_s.tolist(), spells.end_s.tolist(), strict=True):
            yield begin_s, "", 0, satellite_out(name, end_s)
    for name, presence in faults.churn.items():
        for k, away in enumerate(presence.away):
            for begin_s, end_s in zip(away.begin_s.tolist(), away.end_s.tolist(), strict=True):
                yield begin_s, name, k, device_away(end_s)
    first = faults.at(0.0)
    yield from _slow(first.slowdown, {}, 0.0)
    if faults is not first:
        yield from _slow(faults.slowdown, first.slowdown, faults.from_s)


def _slow(
    slowdown: Mapping[str, Floats], before: Mapping[str, Floats], from_s: float
) -> Iterator[tuple[float, str, int, str]]:
    """Devices that are slow from a time on, and were not so slow before."""
    for name, times in slowdown.items():
        new = (times > 1.0) & (times != before.get(name, np.ones_like(times)))
        for k in np.flatnonzero(new).tolist():
            yield from_s, name, k, device_slow(times[k])
