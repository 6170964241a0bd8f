"""Rows of the assignments table: who is given which expert, by cluster or by device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from learning.requests.cluster import Assign, Cluster
from sim.trace import Trace


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
