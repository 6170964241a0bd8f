"""Where simulated time went: the critical path of a run, and the time of each client.

A round is as long as its last client takes. What that client spent it on, stretch by stretch, is
its path; the paths of all rounds, which follow each other from the start, are the critical path.
Paths of rounds go back from the end of each (:mod:`sim.analysis.round_paths`). The critical path
of a run without rounds has a path for each cycle, read off what its last client did
(:func:`cycle_paths`).

At every instant a cluster does the first of these that holds:

- *transmitting*: a device of it sends or receives;
- *queueing*: it is in view of a satellite that has no beam for it (from the ``wait`` event until
  the contact sets), or connected to one that does not know the server's newest state yet.
  Devices that wait for a sub-channel wait while others of the cluster transmit, and count there;
- *training*: a device of it trains, in rounds that it completes;
- *waiting*: none of these: it waits for a contact, for other clusters, or for the end of a contact
  in which all is done.

A cycle is complete when the last cluster's session ends, and this cluster is its last one.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from sim.analysis import spans
from sim.analysis.spans import StateTimeline
from sim.trace.arrow import array, as_numpy
from sim.trace.sorting import says
from sim.trace.tables import pooled_metrics

Key = TypeVar("Key")


class Part(StrEnum):
    """What a round or a cycle can spend time on."""

    TRAINING = "training"
    PASS_AWAITED = "waiting for a pass"
    """There was none, or what was left of it was too short.

    Without a link: a pass was free, and the method waited for another one, as it had used that
    contact; over a mesh also where no message over that pass reaches the server sooner. Of a cycle
    all waiting is that.
    """
    PASS_TAKEN = "queueing for a pass"
    """One was there, and others had so much of it that too little was left at a time."""
    SENDING = "sending"
    """In a cycle, whose transfers are not told apart."""
    TO_CLIENT = "passes to clients"
    TO_SERVER = "passes to the server"
    LINK_AWAITED = "waiting for a link"
    """There was none, or what was left of its window was too short."""
    LINK_TAKEN = "queueing for a link"
    LINK = "links between satellites"
    OTHER = "other"
    """Between a download and its training, or from the last upload to the end of the round."""


OF_CLIENTS = {
    Part.SENDING: "transmitting",
    Part.PASS_TAKEN: "queueing",
    Part.TRAINING: "training",
    Part.PASS_AWAITED: "waiting",
}
"""What a client can do, the first that holds, and what that is called in the row of a client."""


class RoundLink(NamedTuple):
    """A direction of a link between satellites, or of the passes of one node over another."""

    kind: Literal["isl", "pass"]
    source: str
    target: str


class Stretch(NamedTuple):
    """A stretch of a path: what it was spent on, and over or for which link."""

    part: Part
    begin_s: float
    end_s: float
    link: RoundLink | None = None


@dataclass
class Path:
    """A round or a cycle from the end of the one before, and what its last client spent it on.

    The stretches follow each other without a gap. ``client`` is None where no upload of a round
    was found.
    """

    number: int
    client: str | None
    begin_s: float
    end_s: float
    stretches: list[Stretch] = field(default_factory=list)

    @property
    def now_s(self) -> float:
        """Where its stretches end so far."""
        return self.stretches[-1].end_s if self.stretches else self.begin_s

    def spend(self, until_s: float, part: Part, link: RoundLink | None = None) -> None:
        """Spend the time until then, or until its end; none that is over."""
        until_s = min(until_s, self.end_s)
        begin_s = self.now_s
        if not until_s > begin_s:
            return
        if self.stretches and (self.stretches[-1].part, self.stretches[-1].link) == (part, link):
            begin_s = self.stretches.pop().begin_s
        self.stretches.append(Stretch(part, begin_s, until_s, link))


@dataclass(frozen=True)
class CriticalPath:
    """The paths of the rounds of a run, which follow each other from its start.

    ``unit`` says of what they are: rounds, or cycles of a run without rounds.
    """

    paths: tuple[Path, ...] = ()
    unit: Literal["round", "cycle"] = "round"

    @property
    def parts_s(self) -> dict[Part, float]:
        """Seconds that each part took, the largest first; parts of none left out."""
        return self._summed(lambda stretch: stretch.part)

    @property
    def links_s(self) -> dict[RoundLink, float]:
        """Seconds that each link took: by waiting, by queueing, and by sending; the most first."""
        found = self._summed(lambda stretch: stretch.link)
        return {link: lasted_s for link, lasted_s in found.items() if link is not None}

    @property
    def shares(self) -> dict[Part, float]:
        """The share of each part, the largest first; empty of no time."""
        return shares_of(self.parts_s)

    @property
    def end_s(self) -> float:
        """Where the last path ends."""
        return self.paths[-1].end_s if self.paths else 0.0

    def _summed(self, key: Callable[[Stretch], Key]) -> dict[Key, float]:
        lasted_s: defaultdict[Key, float] = defaultdict(float)
        for path in self.paths:
            for stretch in path.stretches:
                lasted_s[key(stretch)] += stretch.end_s - stretch.begin_s
        return dict(sorted(lasted_s.items(), key=lambda item: -item[1]))


def shares_of(parts_s: Mapping[Part, float]) -> dict[Part, float]:
    """Return the share of each part in the time of all; empty of no time."""
    whole_s = sum(parts_s.values())
    return {part: lasted_s / whole_s for part, lasted_s in parts_s.items() if whole_s}


def together(clients: Sequence[Mapping[Part, float]]) -> dict[Part, float]:
    """Return the seconds of each part that several clients spent."""
    return {part: sum(spent.get(part, 0.0) for spent in clients) for part in OF_CLIENTS}


def client_timelines(
    tables: Mapping[str, pa.Table], manifest: Mapping[str, Any]
) -> dict[str, StateTimeline]:
    """Return what each client did in a run, by name: states are positions in OF_CLIENTS."""
    names = spans.names_of_clients(tables, manifest)
    return dict(zip(names, _timelines(tables, names, manifest["simulated_s"]), strict=True))


def client_times(
    timelines: Mapping[str, StateTimeline], end_s: float
) -> dict[str, dict[Part, float]]:
    """Return the seconds of the whole run that each client spent on each part of OF_CLIENTS."""
    times = {}
    for name, timeline in timelines.items():
        lasted_s = np.diff(timeline.begins_s, append=end_s)
        each_s = np.bincount(timeline.states, lasted_s, len(OF_CLIENTS)).tolist()
        times[name] = dict(zip(OF_CLIENTS, each_s, strict=True))
    return times


def cycle_paths(
    tables: Mapping[str, pa.Table], timelines: Mapping[str, StateTimeline]
) -> CriticalPath:
    """Return the path of each cycle of a run: what the client that completed it did meanwhile."""
    parts = [*OF_CLIENTS]
    paths: list[Path] = []
    begin_s = 0.0
    for number, end_s, client in _completions(tables):
        paths.append(Path(number, client, begin_s, end_s))
        for until_s, state in timelines[client].between(begin_s, end_s):
            paths[-1].spend(until_s, parts[state])
        begin_s = end_s
    return CriticalPath(tuple(paths), "cycle")


def _timelines(
    tables: Mapping[str, pa.Table], names: Sequence[str], end_s: float
) -> Iterator[StateTimeline]:
    """Yield what each client did, by the positions of parts in :data:`OF_CLIENTS`."""
    contacts = tables["contacts"]
    events = tables["events"]
    every = (
        spans.transferring(tables["transfers"]),
        spans.training(events)[0],
        spans.connected(contacts),
        spans.beam_waits(events, contacts),
    )
    lanes = [[name] for name in names]
    for mine in zip(*(spans.by_lane(one, lanes) for one in every), strict=True):
        edges_s = [edge_s for own in mine for edge_s in (own.begin_s, own.end_s)]
        times_s = np.unique(np.clip(np.concatenate([[0.0, end_s], *edges_s]), 0.0, end_s))[:-1]
        sends, trains, served, beamless = (own.cover(times_s) for own in mine)
        states = np.select([sends, beamless & ~served, trains], [0, 1, 2], 3)
        yield StateTimeline.of(states, times_s)


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
            # Of several that part at once, the one served least often, the last by name.
            times = Counter(clusters[:end].tolist())
            parting = sorted({*clusters[begin:end].tolist()}, reverse=True)
            yield number, when_s, min(parting, key=lambda name: times[name])
