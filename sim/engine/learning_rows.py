"""Rows of who learns what: assignments, inferences, the updates that a server uses, and samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from learning.learner import UpdatesUsed
from learning.methods.base import Method
from learning.requests.cluster import Assign, Cluster, Ints
from learning.requests.facts import Aggregated, Note
from learning.requests.peers import Infer
from sim.engine.journal import Journal
from sim.errors import SimulationError
from sim.network.sessions import ClusterSessions
from sim.trace.arrow import array, coded_text
from sim.trace.recorder import Trace
from sim.trace.schema import COLUMNS

SAMPLES = "samples of updates"
"""What the journal calls the number of samples of each device."""
OUTCOMES = ("local", "complete", "renormalised", "fallback", "failed")
"""How an inference may end."""


@dataclass(eq=False)
class LearningRows:
    """Writes what ``method`` assigns, infers and uses into a trace, at what ``now_s`` says.

    Without training nobody knows how many samples a device will have: all devices then weigh the
    same, as in the protocol of a timing-only run, and ``samples`` is null.
    """

    _trace: Trace
    _method: Method
    _journal: Journal
    _clusters: Sequence[Cluster]
    _now_s: Callable[[], float]

    def __post_init__(self) -> None:
        self._method.learner.on_aggregation = self.used

    def assigned(self, assign: Assign, cycle: int) -> None:
        """Write a row for each client and expert, and an event for each client."""
        experts, time_s = np.arange(assign.assigned.shape[1]), self._now_s()
        given: dict[str, Any] = {"relevance": np.asarray(assign.score, float)}
        given |= {name: getattr(assign, name) for name in ("assigned", "probability", "samples")}
        known = {name: np.asarray(rows) for name, rows in given.items() if rows is not None}
        classes = None if assign.expert_class is None else list(assign.expert_class)
        clients = [
            (cluster.name, device)
            for cluster in self._clusters
            for device in (range(cluster.devices) if assign.by_device else [None])
        ]
        for row, (cluster, device) in enumerate(clients):
            client: dict[str, Any] = {"time_s": time_s, "cluster": cluster, "device": device}
            mine = {name: rows[row] for name, rows in known.items()}
            said = {"cycle": cycle, "expert": experts, "expert_class": classes, **client, **mine}
            self._trace.add("assignments", len(experts), **said)
            text = f"experts:{','.join(map(str, experts[mine['assigned']]))}"
            self._trace.add("events", kind="assign", detail=text, **client)

    def noted(self, note: Note, at: ClusterSessions | None) -> None:
        """Write what a method notes, of the cluster ``at`` whose sessions it happens (None: the
        server).
        """
        self._event(at, note.kind, note.version, note.detail, cause=note.cause)

    def aggregated(self, aggregated: Aggregated, at: ClusterSessions | None) -> None:
        """Write that the server has aggregated updates, in a session of a cluster or by itself."""
        staleness, clusters = aggregated.staleness, aggregated.clusters
        self._event(
            at,
            "aggregate",
            aggregated.version,
            aggregated.text(),
            clusters=None if clusters is None else clusters.some,
            staleness_low=None if staleness is None else staleness.low,
            staleness_high=None if staleness is None else staleness.high,
        )

    def _event(
        self,
        at: ClusterSessions | None,
        kind: str,
        version: int | None,
        detail: str,
        **columns: Any,
    ) -> None:
        self._trace.add(
            "events",
            time_s=self._now_s(),
            kind=kind,
            cluster=None if at is None else at.cluster.name,
            contact_id=None if at is None else at.at_hand(),
            version=version,
            detail=detail,
            **columns,
        )

    def inferred(self, asked: Infer) -> None:
        """Write a row a group of samples, and an event at the time of the queries.

        Raises SimulationError for an outcome that nobody knows.
        """
        unknown = sorted(set(asked.outcome) - set(OUTCOMES))
        if unknown:
            known = ", ".join(OUTCOMES)
            raise SimulationError(f"Infer: outcome is {unknown[0]!r}; allowed is one of {known}")
        samples, latency_s = np.asarray(asked.samples, np.int64), np.asarray(asked.latency_s, float)
        client: dict[str, Any] = {"cluster": asked.at.cluster, "device": asked.at.device}
        client |= {"time_s": asked.time_s}
        self._trace.add(
            "inferences",
            len(asked.experts),
            batch=asked.batch,
            experts=list(asked.experts),
            samples=samples,
            latency_s=latency_s,
            sent_bytes=np.asarray(asked.sent_bytes, float),
            outcome=list(asked.outcome),
            **client,
        )
        local = int(samples[np.array(asked.outcome) == "local"].sum())
        answered, mean = np.isfinite(latency_s) & (samples > 0), "-"
        if answered.any():
            mean = f"{np.average(latency_s[answered], weights=samples[answered]):.3f}"
        text = f"batch:{asked.batch} samples:{int(samples.sum())} local:{local} latency:{mean}"
        self._trace.add("events", kind="infer", detail=text, **client)

    def used(self, used: UpdatesUsed) -> None:
        """Write a row for each device of what is being aggregated."""
        who, server = np.flatnonzero(used.who), self._method.version
        samples, contact_id = self._samples[used.cluster], used.contact_id
        self._trace.add(
            "updates",
            len(who),
            time_s=self._now_s(),
            cluster=used.cluster,
            device=who,
            round=self._method.round,
            version_base=used.version[who],
            version_server=server,
            staleness=server - used.version[who],
            weight=used.weigh(self._samples)[who],
            samples=samples[who] if self._method.learner.trains else None,
            contact_id=None if contact_id is None else contact_id[who],
            payload=used.payload,
        )

    @cached_property
    def _samples(self) -> Mapping[str, Ints]:
        learner, clusters = self._method.learner, self._clusters
        counts = [[1] * cluster.devices for cluster in clusters]
        if learner.trains:
            counts = self._journal.answer("updates", SAMPLES, self._now_s(), learner.samples)
        return {c.name: np.array(n, np.int64) for c, n in zip(clusters, counts, strict=True)}


def clients_table(clusters: Sequence[str], holdings: Sequence[Sequence[int]]) -> pa.Table:
    """Return how many samples of which class each device holds.

    ``holdings`` are the columns that :meth:`learning.learner.Learner.build` returns.
    """
    cluster, *numbers = (np.array(column, np.int64) for column in holdings)
    columns = [coded_text(cluster, clusters), *map(array, numbers)]
    return pa.table(columns, schema=pa.schema(list(COLUMNS["clients"].items())))
