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

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from sim.analysis import spans
from sim.analysis.intervals import by_cluster, cuts, time_in_states
from sim.analysis.spans import cluster_names
from sim.trace.arrow import array, as_numpy
from sim.trace.sorting import says
from sim.trace.tables import pooled_metrics
from statements.arrays import Floats


class Spent(NamedTuple):
    """Seconds that went by while a cluster did the one thing or the other."""

    transmitting_s: float = 0.0
    queueing_s: float = 0.0
    training_s: float = 0.0
    waiting_s: float = 0.0

    @property
    def total_s(self) -> float:
        """All of it."""
        return sum(self)

    @property
    def shares(self) -> dict[str, float]:
        """The share of each part, by its name; empty of no time."""
        parts = self._asdict().items() if self.total_s else ()
        return {name.removesuffix("_s"): part_s / self.total_s for name, part_s in parts}


class CriticalCycle(NamedTuple):
    """A complete cycle from the end of the one before, and how its last cluster spent it."""

    cycle: int
    cluster: str
    begin_s: float
    end_s: float
    spent: Spent


class CriticalPath(NamedTuple):
    """How the clusters spent a run, and the last one of each cycle.

    Each of ``clusters`` has the whole run. ``cycles`` follow each other without a gap from 0 s on.
    """

    simulated_s: float
    clusters: dict[str, Spent]
    cycles: tuple[CriticalCycle, ...]

    @property
    def spent(self) -> Spent:
        """The critical path: how the last cluster of each cycle spent it."""
        return Spent(*map(sum, zip(*(cycle.spent for cycle in self.cycles), strict=True)))

    @property
    def rest_s(self) -> float:
        """Seconds behind the last complete cycle."""
        return self.simulated_s - (self.cycles[-1].end_s if self.cycles else 0.0)


class Run(Protocol):
    """What is needed of a run, like :class:`sim.Result`, to say and draw where its time went."""

    @property
    def tables(self) -> Mapping[str, pa.Table]:
        """The tables by name."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The manifest."""

    @property
    def critical_path(self) -> CriticalPath:
        """Where the simulated time went, by cycle."""


def critical_path(
    tables: Mapping[str, pa.Table], simulated_s: float, clients: Sequence[str] | None = None
) -> CriticalPath:
    """Return where the time of a run of ``simulated_s`` seconds went, from its tables.

    ``clients`` are the names of its clusters, all that the tables name where it is None. The parts
    of every cluster, and of every cycle, sum up to its time, but for rounding.
    """
    names = cluster_names(tables) if clients is None else clients
    marks = list(_completions(tables))
    marks_s = np.array([time_s for _, time_s, _ in marks])
    shares = dict(zip(names, _partitions(tables, names, marks_s, simulated_s), strict=True))

    def spent(cluster: str, first_s: float, last_s: float) -> Spent:
        cuts_s, lasted_s = shares[cluster]
        begin, end = np.searchsorted(cuts_s, [first_s, last_s])
        return Spent(*(lasted_s[:, end] - lasted_s[:, begin]).tolist())

    cycles = []
    begin_s = 0.0
    for cycle, end_s, cluster in marks:
        lasted = spent(cluster, begin_s, end_s)
        cycles.append(CriticalCycle(cycle, cluster, begin_s, end_s, lasted))
        begin_s = end_s
    clusters = {name: spent(name, 0.0, simulated_s) for name in names}
    return CriticalPath(simulated_s, clusters, tuple(cycles))


def _partitions(
    tables: Mapping[str, pa.Table], names: Sequence[str], marks_s: Floats, end_s: float
) -> Iterator[tuple[Floats, Floats]]:
    """Yield for each cluster times (T,), marks and ends too, and seconds of what by each (4, T)."""
    contacts = tables["contacts"]
    events = tables["events"]
    every = (
        spans.transferring(tables["transfers"]),
        spans.training(events)[0],
        spans.connected(contacts),
        spans.beam_waits(events, contacts),
    )
    for mine in zip(*(by_cluster(one, names) for one in every), strict=True):
        cuts_s = cuts(mine, marks_s, end_s)
        sends, trains, served, beamless = (s.cover(cuts_s[:-1]) for s in mine)
        state = np.select([sends, beamless & ~served, trains], [0, 1, 2], 3)
        yield cuts_s, time_in_states(cuts_s, state, 4)


def _completions(tables: Mapping[str, pa.Table]) -> Iterator[tuple[int, float, str]]:
    """Yield each complete cycle, when it was complete, and the cluster that was served last."""
    events = tables["events"]
    known = pooled_metrics(tables)
    cycle, first = np.unique(as_numpy(known["cycle"]), return_index=True)
    time_s = as_numpy(known["time_s"])[first]
    ended = events.filter(array(says(events, "kind", "disconnect")))
    ended_s = as_numpy(ended["time_s"])
    clusters = np.array(ended["cluster"].to_pylist(), object)
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
