"""Rows of the updates table: which update of which device the server used, and how much of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np

from learning.learner import Aggregated
from learning.methods.base import Method
from learning.requests.cluster import Cluster, Ints
from sim.engine.journal import Journal
from sim.trace.recorder import Trace

SAMPLES = "samples of updates"
"""What the journal calls the number of samples of each device."""


class UpdateRows:
    """Writes the updates that ``method`` uses into a trace, at the time that ``now_s`` says.

    Without training nobody knows how many samples a device will have: all devices then weigh the
    same, as in the protocol of a timing-only run, and ``samples`` is null.
    """

    def __init__(
        self,
        trace: Trace,
        method: Method,
        journal: Journal,
        clusters: Sequence[Cluster],
        now_s: Callable[[], float],
    ) -> None:
        self._trace = trace
        self._method = method
        self._journal = journal
        self._clusters = clusters
        self._now_s = now_s
        method.learner.on_aggregation = self.write

    @cached_property
    def _samples(self) -> Mapping[str, Ints]:
        learner, clusters = self._method.learner, self._clusters
        counts = [[1] * cluster.devices for cluster in clusters]
        if learner.trains:
            counts = self._journal.answer("updates", SAMPLES, self._now_s(), learner.samples)
        return {c.name: np.array(n, np.int64) for c, n in zip(clusters, counts, strict=True)}

    def write(self, used: Aggregated) -> None:
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
