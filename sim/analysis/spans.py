"""Spans of time out of the tables, and their arithmetic."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning.requests.cluster import Floats, Ints, Mask
from learning.requests.facts import Cause
from sim.trace.arrow import array, as_numpy
from sim.trace.sorting import numbers_of, says

_EDGES = ("start", "end")


def cluster_names(tables: Mapping[str, pa.Table]) -> list[str]:
    """Return the names of all clusters in canonical order."""
    found = (tables[name]["cluster"] for name in ("contacts", "events", "transfers"))
    return sorted({text for column in found for text in pc.unique(column.drop_null()).to_pylist()})


MOST_LANES = 120
"""Lanes of a picture that a reader can tell apart; of more clusters several share each lane."""


def lanes_of(names: Sequence[str]) -> list[list[str]]:
    """Return the clusters of each lane of a timeline: one, or neighbours in canonical order."""
    each = clusters_of_a_lane(len(names))
    return [list(names[first : first + each]) for first in range(0, len(names), each)]


def clusters_of_a_lane(clusters: int) -> int:
    """Return how many of so many clusters share a lane, the last lane may have fewer."""
    return max(1, -(-clusters // MOST_LANES))


def lane_name(clusters: Sequence[str]) -> str:
    """Return what a lane is called: its cluster, or the first and the last of them."""
    return clusters[0] if len(clusters) == 1 else f"{clusters[0]} to {clusters[-1]}"


def of_stations(contacts: pa.Table) -> bool:
    """Whether contacts are those of stations, whose clients are the satellites."""
    return bool(contacts["station"].null_count < len(contacts))


class Spans(NamedTuple):
    """Spans of time in seconds since the run's start, and the rows of a table that they are of."""

    rows: pa.Table
    begin_s: Floats
    end_s: Floats


def in_view(contacts: pa.Table) -> Spans:
    """While a satellite is in view of a cluster, whether it is served or not."""
    return Spans(contacts, as_numpy(contacts["rise_s"]), as_numpy(contacts["set_s"]))


def connected(contacts: pa.Table) -> Spans:
    """While a satellite serves a cluster."""
    served = contacts.filter(contacts["served"])
    return Spans(served, as_numpy(served["service_start_s"]), as_numpy(served["service_end_s"]))


def transferring(transfers: pa.Table) -> Spans:
    """While a device sends or receives, or two satellites have a link."""
    return Spans(transfers, as_numpy(transfers["start_s"]), as_numpy(transfers["end_s"]))


def training(events: pa.Table) -> tuple[Spans, pa.Table]:
    """While a device trains: the events that begin it, and those that end it, row by row.

    A device's n-th end belongs to its n-th begin. What has no end goes on for ever (inf), and its
    row of the second table is null.
    """
    cluster, device = (numbers_of(events[key]) for key in ("cluster", "device"))
    who = cluster * (2 + device.max(initial=0)) + device
    begins, ends = (
        rows[np.argsort(who[rows], kind="stable")]
        for rows in (np.flatnonzero(says(events, "kind", f"train_{edge}")) for edge in _EDGES)
    )
    first = np.searchsorted(who[begins], who[begins])
    place = np.searchsorted(who[ends], who[begins]) + np.arange(len(begins)) - first
    missing = place >= np.searchsorted(who[ends], who[begins], "right")
    ended = events.take(array(np.append(ends, 0)[np.where(missing, -1, place)], missing))
    begun = events.take(array(begins))
    return Spans(begun, as_numpy(begun["time_s"]), as_numpy(ended["time_s"], np.inf)), ended


def beam_waits(events: pa.Table, contacts: pa.Table) -> Spans:
    """While a satellite in view has no beam for a cluster, or lent it to another one since.

    A beam that it gets in between ends no span; it is connected then.
    """
    waits = events.filter(array(says(events, "cause", Cause.WAITS_FOR_BEAM)))
    place = pc.index_in(waits["contact_id"], value_set=contacts["contact_id"].combine_chunks())
    set_s = contacts["set_s"].take(place.combine_chunks())
    return Spans(waits, as_numpy(waits["time_s"]), as_numpy(set_s))


def synchronisation_waits(events: pa.Table) -> Spans:
    """While the satellite does not know the server's newest state, and a device would take it."""
    waits = events.filter(array(says(events, "cause", Cause.WAITS_FOR_STATE)))
    return Spans(waits, as_numpy(waits["time_s"]), as_numpy(waits["until_s"]))


# Spans of a cluster that may overlap, and how long which of several things goes on.


@dataclass(frozen=True, eq=False)
class Intervals:
    """Begins and ends of spans (N,) in seconds, each sorted for itself.

    A span holds its begin and not its end, which is inf where it goes on for ever.
    """

    begin_s: Floats
    end_s: Floats

    def cover(self, time_s: Floats) -> Mask:
        """Return whether a span holds each of the times (T,)."""
        begun = np.searchsorted(self.begin_s, time_s, "right")
        return begun > np.searchsorted(self.end_s, time_s, "right")

    def merged(self, gap_s: float = 0.0, until_s: float = np.inf) -> tuple[Floats, Floats]:
        """Return begins and ends of what is left when spans that overlap or touch are made one.

        Gaps of at most ``gap_s`` are closed too. What lies behind ``until_s`` is cut off.
        """
        begin_s = self.begin_s[self.begin_s <= until_s]
        number, end_s = np.arange(len(begin_s)), self.end_s + gap_s
        first = np.searchsorted(end_s, begin_s, "left") == number
        last = np.searchsorted(begin_s, end_s[: len(begin_s)], "right") == number + 1
        return begin_s[first], np.minimum(end_s[: len(begin_s)][last] - gap_s, until_s)


def by_cluster(spans: Spans, names: Sequence[str]) -> list[Intervals]:
    """Return the spans of each of the clusters, as :func:`by_lane` does."""
    return by_lane(spans, [[name] for name in names])


def by_lane(spans: Spans, lanes: Sequence[Sequence[str]]) -> list[Intervals]:
    """Return the spans of each lane: those of all its clusters together.

    A transfer is also one of its peer's cluster: the peer is a device of it, as CLUSTER/DEVICE.
    """
    names = [name for clusters in lanes for name in clusters]
    lane_of = np.repeat(np.arange(len(lanes)), [len(clusters) for clusters in lanes])
    lane_of = np.append(lane_of, -1)  # for clusters that no lane has
    columns, (rows, begin_s, end_s) = [spans.rows["cluster"]], spans
    if "peer" in rows.column_names:
        columns.append(pc.replace_substring_regex(rows["peer"], r"/[^/]*$", ""))
        begin_s, end_s = np.tile(begin_s, 2), np.tile(end_s, 2)
    places = [pc.index_in(column, value_set=array(np.array(names, str))) for column in columns]
    lane = lane_of[np.concatenate([as_numpy(place, -1) for place in places])]
    order = np.argsort(lane, kind="stable")
    edges = np.searchsorted(lane[order], np.arange(len(lanes) + 1))
    each = (order[begin:end] for begin, end in pairwise(edges))
    return [Intervals(np.sort(begin_s[mine]), np.sort(end_s[mine])) for mine in each]


def cuts(spans: Iterable[Intervals], marks_s: Floats, until_s: float) -> Floats:
    """Return all times in [0, until_s] at which a span begins or ends, marks and both ends too."""
    times = [np.array([0.0, until_s]), marks_s]
    times += [edge_s for span in spans for edge_s in (span.begin_s, span.end_s)]
    return np.unique(np.clip(np.concatenate(times), 0.0, until_s))


def time_in_states(cuts_s: Floats, state: Ints, states: int) -> Floats:
    """Return how long each state (states, T) has lasted by each of the cuts (T,).

    ``state`` (T - 1,) is what goes on between them, a number from 0.
    """
    lasted = np.where(state == np.arange(states)[:, None], np.diff(cuts_s), 0.0)
    return np.pad(np.cumsum(lasted, axis=1), ((0, 0), (1, 0)))
