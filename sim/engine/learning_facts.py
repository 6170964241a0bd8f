"""Facts of who learns what: assignments, inferences, aggregations, notes, and the updates used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from learning.methods.base import Method
from learning.requests.cluster import Assign, Cluster
from learning.requests.facts import Aggregated, Note, UpdatesUsed, Used
from learning.requests.peers import Answered, Infer, Journey
from sim.engine.journal import Journal
from sim.errors import SimulationError
from sim.facts.coded import coded_rows, concatenated, device_rows
from sim.facts.learning import (
    AnswerRow,
    Assigned,
    AssignmentRow,
    ClientRow,
    InferenceRow,
    Inferred,
    ModelAggregated,
    Noted,
    UpdateRow,
)
from sim.facts.stream import Facts
from sim.network.sessions import ClusterSessions
from sim.trace.arrow import array, coded_text
from sim.trace.schema import table_of
from statements.arrays import Ints

SAMPLES = "samples of updates"
"""What the journal calls the number of samples of each device."""
OUTCOMES = ("local", "complete", "renormalised", "fallback", "failed")
"""How an inference may end."""


@dataclass(eq=False)
class LearningFacts:
    """Tells what ``method`` assigns, infers and uses, at what ``now_s`` says.

    Without training nobody knows how many samples a device will have: all devices then weigh the
    same, as in the protocol of a timing-only run, and ``samples`` is null.
    """

    _facts: Facts
    _method: Method
    _journal: Journal
    _clusters: Sequence[Cluster]
    _now_s: Callable[[], float]

    def assigned(self, assign: Assign, cycle: int) -> None:
        """Tell of each client which experts it is given, with a row for each of all experts."""
        experts = np.arange(assign.assigned.shape[1])
        score = np.asarray(assign.score, float)
        assigned = np.asarray(assign.assigned)
        clients = [
            (cluster.name, device)
            for cluster in self._clusters
            for device in (range(cluster.devices) if assign.by_device else [None])
        ]
        for number, (cluster, device) in enumerate(clients):
            row = AssignmentRow(
                time_s=self._now_s(),
                cycle=cycle,
                cluster=cluster,
                device=device,
                expert=experts,
                relevance=score[number],
                probability=_of_client(assign.probability, number),
                assigned=assigned[number],
                samples=_of_client(assign.samples, number),
                expert_class=assign.expert_class,
            )
            self._facts.emit(row)
            held = experts[assigned[number]].tolist()
            self._facts.emit(
                Assigned(time_s=row.time_s, cluster=cluster, device=device, experts=held)
            )

    def noted(self, note: Note, at: ClusterSessions | None) -> None:
        """Tell what a method notes, of the cluster ``at`` whose sessions it happens (None: the
        server).
        """
        self._facts.emit(
            Noted(
                time_s=self._now_s(),
                cluster=None if at is None else at.cluster.name,
                contact_id=None if at is None else at.current_contact_id(),
                version=note.version,
                noted_kind=note.kind,
                noted_cause=note.cause,
                words=note.detail,
            )
        )

    def aggregated(self, aggregated: Aggregated, at: ClusterSessions | None) -> None:
        """Tell that the server has aggregated updates, in a session of a cluster or by itself."""
        self._facts.emit(
            ModelAggregated(
                time_s=self._now_s(),
                cluster=None if at is None else at.cluster.name,
                contact_id=None if at is None else at.current_contact_id(),
                version=aggregated.version,
                told=aggregated,
            )
        )

    def inferred(self, asked: Infer) -> None:
        """Tell how a client's queries were answered, with a row for each group of samples.

        Raises SimulationError for an outcome that nobody knows.
        """
        unknown = sorted(set(asked.outcome) - set(OUTCOMES))
        if unknown:
            known = ", ".join(OUTCOMES)
            raise SimulationError(f"Infer: outcome is {unknown[0]!r}; allowed is one of {known}")
        samples = np.asarray(asked.samples, np.int64)
        latency_s = np.asarray(asked.latency_s, float)
        self._facts.emit(
            InferenceRow(
                time_s=asked.time_s,
                cluster=asked.at.cluster,
                device=asked.at.device,
                batch=asked.batch,
                experts=asked.experts,
                samples=samples,
                latency_s=latency_s,
                sent_bytes=np.asarray(asked.sent_bytes, float),
                outcome=asked.outcome,
                correct=None if asked.correct is None else np.asarray(asked.correct, np.int64),
            )
        )
        self._facts.emit(
            Inferred(
                time_s=asked.time_s,
                cluster=asked.at.cluster,
                device=asked.at.device,
                batch=asked.batch,
                samples=samples,
                latency_s=latency_s,
                local=int(samples[np.array(asked.outcome) == "local"].sum()),
            )
        )

    def answered(self, answer: Answered) -> None:
        """Tell how long the expert of another client took to answer, and what for."""
        out, back = (
            (None,) * len(Journey._fields) if one is None else one
            for one in (answer.request, answer.answer)
        )
        names = [f"{way}_{field}" for way in ("request", "answer") for field in Journey._fields]
        self._facts.emit(
            AnswerRow(
                time_s=answer.time_s,
                cluster=answer.at.cluster,
                device=answer.at.device,
                batch=answer.batch,
                expert=answer.expert,
                peer=str(answer.by),
                samples=answer.samples,
                computing_s=answer.computing_s,
                latency_s=answer.latency_s,
                **dict(zip(names, (*out, *back), strict=True)),
            )
        )

    def used(self, told: Used) -> None:
        """Tell which updates the server has used."""
        for _, alike in groupby(told.updates, key=lambda one: one.contact_id is None):
            self._used(list(alike), told)

    def _used(self, used: Sequence[UpdatesUsed], told: Used) -> None:
        """Tell of each device what was used of it, in rows of the updates: all with a contact, or
        none.
        """
        update, device, some = device_rows([own.who for own in used])
        version_base = concatenated(own.version for own in used)[some]
        samples = None
        if self._method.learner.trains:
            samples = concatenated(self._samples[own.cluster] for own in used)[some]
        contact_ids = [own.contact_id for own in used if own.contact_id is not None]
        self._facts.emit(
            UpdateRow(
                time_s=self._now_s(),
                cluster=coded_rows((own.cluster for own in used), update),
                device=device,
                round=told.round,
                version_base=version_base,
                version_server=told.version,
                staleness=told.version - version_base,
                weight=concatenated(own.weigh(self._samples) for own in used)[some],
                samples=samples,
                contact_id=concatenated(contact_ids)[some] if contact_ids else None,
                payload=coded_rows((own.payload for own in used), update),
            )
        )

    @cached_property
    def _samples(self) -> Mapping[str, Ints]:
        learner = self._method.learner
        clusters = self._clusters
        counts = [[1] * cluster.devices for cluster in clusters]
        if learner.trains:
            counts = self._journal.answer("updates", SAMPLES, self._now_s(), learner.samples)
        return {c.name: np.array(n, np.int64) for c, n in zip(clusters, counts, strict=True)}


def _of_client(figures: Any, number: int) -> np.ndarray | None:
    """One row of figures (C, E), where these are known."""
    return None if figures is None else np.asarray(figures)[number]


def clients_table(clusters: Sequence[str], holdings: Sequence[Sequence[int]]) -> pa.Table:
    """Return how many samples of which class each device holds.

    ``holdings`` are the columns that :meth:`learning.learner.Learner.build` returns.
    """
    cluster, device, label, samples = (np.array(column, np.int64) for column in holdings)
    return table_of(
        ClientRow(
            cluster=coded_text(cluster, clusters),
            device=array(device),
            label=array(label),
            samples=array(samples),
        )
    )
