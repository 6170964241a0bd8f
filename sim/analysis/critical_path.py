"""Where simulated time went: transmitting, queueing, training or waiting, and on whose account.

At every instant a cluster does the first of these that holds:

- *transmitting*: a device of it sends or receives;
- *queueing*: it is in view of a satellite that has no beam for it (from the ``wait`` event until
  the contact sets), or connected to one that does not know the server's newest state yet.
  Devices that wait for a sub-channel wait while others of the cluster transmit, and count there;
- *training*: a device of it trains, in rounds that it completes;
- *waiting*: none of these: it waits for a contact, for other clusters, or for the end of a contact
  in which all is done.

A cycle is complete when the last cluster's session ends. That cluster is critical, and how it spent
the time since the cycle before is the cycle's share of the critical path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa

from learning.requests.cluster import Floats
from sim.analysis import spans
from sim.analysis.spans import cluster_names, cuts, time_in_states
from sim.trace.arrow import array, as_numpy
from sim.trace.tables import says

Between = Callable[[float, float], list[float]]
"""Seconds of each activity between two times, which are marks or the ends of the run."""


@dataclass(frozen=True)
class Spent:
    """Seconds that went by while a cluster did the one thing or the other."""

    transmitting_s: float = 0.0
    queueing_s: float = 0.0
    training_s: float = 0.0
    waiting_s: float = 0.0

    @property
    def total_s(self) -> float:
        """All of it."""
        return self.transmitting_s + self.queueing_s + self.training_s + self.waiting_s

    def __add__(self, other: Spent) -> Spent:
        mine, theirs = asdict(self), asdict(other)
        return Spent(**{key: mine[key] + theirs[key] for key in mine})


@dataclass(frozen=True)
class CriticalCycle:
    """A complete cycle from the end of the one before, and how its last cluster spent it."""

    cycle: int
    cluster: str
    begin_s: float
    end_s: float
    spent: Spent


@dataclass(frozen=True)
class CriticalPath:
    """How the clusters spent a run, and the last one of each cycle.

    Each of ``clusters`` has the whole run. ``cycles`` follow each other without a gap from 0 s on.
    """

    simulated_s: float
    clusters: Mapping[str, Spent]
    cycles: tuple[CriticalCycle, ...]

    @property
    def spent(self) -> Spent:
        """The critical path: how the last cluster of each cycle spent it."""
        return reduce(Spent.__add__, (cycle.spent for cycle in self.cycles), Spent())

    @property
    def rest_s(self) -> float:
        """Seconds behind the last complete cycle."""
        return self.simulated_s - (self.cycles[-1].end_s if self.cycles else 0.0)

    def rows(self) -> list[dict[str, Any]]:
        """Return it as rows for JSON: ``what`` is ``cluster``, ``cycle`` or ``rest``."""
        whole = {"begin_s": 0.0, "end_s": self.simulated_s}
        rows: list[dict[str, Any]] = [
            {"what": "cluster", "cluster": cluster, "cycle": None, **whole, **asdict(spent)}
            for cluster, spent in self.clusters.items()
        ]
        for cycle in self.cycles:
            row = {"what": "cycle", **asdict(cycle)}
            spent = row.pop("spent")
            rows.append(row | spent)
        rest = {"begin_s": self.simulated_s - self.rest_s, "end_s": self.simulated_s}
        unknown = dict.fromkeys(asdict(Spent()))
        return [*rows, {"what": "rest", "cluster": None, "cycle": None, **rest, **unknown}]


def critical_path(tables: Mapping[str, pa.Table], simulated_s: float) -> CriticalPath:
    """Return where the time of a run of ``simulated_s`` seconds went, from its tables.

    The parts of every cluster, and of every cycle, sum up to its time, but for rounding.
    """
    names = cluster_names(tables)
    marks = list(_completions(tables))
    marks_s = np.array([time_s for _, time_s, _ in marks])
    spent = dict(zip(names, _partitions(tables, names, marks_s, simulated_s), strict=True))
    cycles, begin_s = [], 0.0
    for cycle, end_s, cluster in marks:
        lasted = Spent(*spent[cluster](begin_s, end_s))
        cycles.append(CriticalCycle(cycle, cluster, begin_s, end_s, lasted))
        begin_s = end_s
    clusters = {name: Spent(*between(0.0, simulated_s)) for name, between in spent.items()}
    return CriticalPath(simulated_s, clusters, tuple(cycles))


def _partitions(
    tables: Mapping[str, pa.Table], names: Sequence[str], marks_s: Floats, end_s: float
) -> Iterator[Between]:
    """Yield for each cluster how its time is shared out between two of the marks or ends."""
    contacts, events = tables["contacts"], tables["events"]
    every = (
        spans.transferring(tables["transfers"]),
        spans.training(events)[0],
        spans.connected(contacts),
        spans.beam_waits(events, contacts),
        spans.synchronisation_waits(events),
    )
    for mine in zip(*(spans.by_cluster(one, names) for one in every), strict=True):
        cuts_s = cuts(mine, marks_s, end_s)
        sends, trains, served, beamless, stateless = (s.cover(cuts_s[:-1]) for s in mine)
        queues = np.where(served, stateless, beamless)
        state = np.select([sends, queues, trains], [0, 1, 2], 3)
        yield _between(cuts_s, time_in_states(cuts_s, state, 4))


def _between(cuts_s: Floats, lasted_s: Floats) -> Between:
    def between(first_s: float, last_s: float) -> list[float]:
        begin, end = np.searchsorted(cuts_s, [first_s, last_s])
        lasted: list[float] = (lasted_s[:, end] - lasted_s[:, begin]).tolist()
        return lasted

    return between


def _completions(tables: Mapping[str, pa.Table]) -> Iterator[tuple[int, float, str]]:
    """Yield each complete cycle, when it was complete, and the cluster that was served last."""
    metrics, events = tables["metrics"], tables["events"]
    known = metrics.filter(array(says(metrics, "scope", "global")))
    cycle, first = np.unique(as_numpy(known["cycle"]), return_index=True)
    time_s = as_numpy(known["time_s"])[first]
    ended = events.filter(array(says(events, "kind", "disconnect")))
    ended_s, clusters = as_numpy(ended["time_s"]), np.array(ended["cluster"].to_pylist(), object)
    for number, when_s in zip(cycle.tolist(), time_s.tolist(), strict=True):
        begin, end = (int(np.searchsorted(ended_s, when_s, side)) for side in ("left", "right"))
        if number > 0 and begin < end:
            yield number, when_s, _last_served(clusters[:end], clusters[begin:end])


def _last_served(so_far: np.ndarray, now: np.ndarray) -> str:
    """Return the one of ``now`` that was served least often, the last by name of several."""
    if len(now) == 1:
        return str(now[0])
    counts = Counter(so_far.tolist())
    return str(min(sorted(set(now.tolist()), reverse=True), key=lambda name: counts[name]))
