"""A run as all that tells of it has it: tables, manifest, and what is worked out of them once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from sim.analysis.critical_path import CriticalPath, critical_path
from sim.analysis.evaluations import Evaluation, evaluations
from sim.analysis.learnt import Learnt
from sim.analysis.round_paths import round_paths
from sim.analysis.summary import network_summary, summarise
from sim.errors import InputError
from sim.trace.tables import pooled_metrics
from statements import Code, Statement


@dataclass(frozen=True, repr=False)
class Run:
    """The tables by name and the manifest of a run, or of a network study."""

    tables: Mapping[str, pa.Table]
    manifest: Mapping[str, Any]

    @property
    def of_network(self) -> bool:
        """Whether it is a network study, in which nobody learns."""
        return self.manifest["method"] is None

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The run in a few figures."""
        if self.of_network:
            return network_summary(self.manifest)
        return summarise(self.tables, self.manifest, lambda: self.round_paths)

    @cached_property
    def evaluations(self) -> list[Evaluation]:
        """Accuracy of the server's model, and what was spent by then, at each evaluation."""
        if self.of_network:
            return []
        return evaluations(pooled_metrics(self.tables), self.manifest)

    @cached_property
    def learnt(self) -> Learnt:
        """What its evaluations say."""
        return Learnt.of(self.evaluations, self.manifest)

    @cached_property
    def critical_path(self) -> CriticalPath:
        """Where the simulated time went, by cluster and cycle; InputError for a network study."""
        if self.of_network:
            text = "a network study has no rounds, and so no critical path"
            raise InputError(Statement.of(Code.NOT_RECORDED, "", text))
        return critical_path(self.tables, self.manifest)

    @cached_property
    def round_paths(self) -> CriticalPath | None:
        """What each round was spent on, and the link that limits; None where that is not known."""
        return None if self.of_network else round_paths(self.tables, self.manifest)
