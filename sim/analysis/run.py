"""A run as all that tells of it has it: tables, manifest, and what is worked out of them once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from sim.analysis.critical_path import (
    CriticalPath,
    Part,
    client_timelines,
    client_times,
    cycle_paths,
)
from sim.analysis.evaluations import Evaluation, evaluations
from sim.analysis.learnt import Learnt
from sim.analysis.round_paths import round_paths
from sim.analysis.spans import StateTimeline
from sim.analysis.summary import network_summary, summarise
from sim.errors import InputError
from sim.trace.tables import pooled_metrics
from statements import Code


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
        isl = self.manifest["scenario"].get("link", {}).get("isl") or {}
        over_mesh = isl.get("route") == "earliest"
        mesh_path = self.critical_path if over_mesh else None
        return summarise(self.tables, self.manifest, self.learnt, mesh_path)

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
        """Where the time of the rounds went; of a run without rounds, that of its cycles.

        Raises InputError for a network study.
        """
        self._check_learns()
        rounds = round_paths(self.tables, self.manifest)
        return cycle_paths(self.tables, self._timelines) if rounds is None else rounds

    @cached_property
    def client_times(self) -> dict[str, dict[Part, float]]:
        """Seconds of the whole run that each client spent on each part, by its name.

        Raises InputError for a network study.
        """
        return client_times(self._timelines, self.manifest["simulated_s"])

    @cached_property
    def _timelines(self) -> dict[str, StateTimeline]:
        self._check_learns()
        return client_timelines(self.tables, self.manifest)

    def _check_learns(self) -> None:
        if self.of_network:
            text = "a network study has no rounds, and so no critical path"
            raise InputError.of(Code.NOT_RECORDED, "", text)
