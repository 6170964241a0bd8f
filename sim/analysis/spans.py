"""Spans of time out of the tables, who they are of, and how those that overlap add up."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning.requests.facts import Cause
from sim.trace.arrow import array, as_numpy, coded_text
from sim.trace.sorting import coded, numbers_of, says
from sim.trace.tables import pieces_of
from statements.arrays import Floats, Ints, Mask

_EDGES = ("start", "end")
FEEDER_COLUMNS = ("cluster", "peer", "direction", "start_s", "end_s")
"""What is read of transfers over feeder links."""


def cluster_names(tables: Mapping[str, pa.Table]) -> list[str]:
    """Return all that is named as a cluster, in canonical order: clients, and other senders.

    Of devices over links these are satellites and gateways too.
    """
    found: set[str] = set()
    for name in ("contacts", "events", "transfers"):
        for piece in pieces_of(tables, name, ["cluster"]):
            found.update(words_in(piece["cluster"]))
    return sorted(found)


def words_in(column: pa.ChunkedArray) -> list[str]:
    """Return each text that stands in a column."""
    codes, words = coded(column)
    return [words[code] for code in np.unique(codes[codes >= 0]).tolist()]


def places_of(column: pa.ChunkedArray, names: Sequence[str]) -> Ints:
    """Return the places in a list of the names in a column (N,), -1 for those that it lacks."""
    codes, words = coded(column)
    return _places(words, names)[codes]


def places_of_peers(transfers: pa.Table, names: Sequence[str]) -> Ints:
    """Return the same for clusters, satellites or stations of peers (N,)."""
    codes, peers = peers_in(transfers)
    return _places(peers, names)[codes]


def peers_in(transfers: pa.Table) -> tuple[Ints, list[str]]:
    """Return peers (N,) as numbers, -1 for none, of clusters, satellites or stations.

    They are written CLUSTER/DEVICE.
    """
    codes, peers = coded(transfers["peer"])
    return codes, [peer.rpartition("/")[0] or peer for peer in peers]


def _places(words: Iterable[str], names: Sequence[str]) -> Ints:
    """Return the places in a list of words, and behind them that of none: -1."""
    place = {name: number for number, name in enumerate(names)}
    return np.array([*(place.get(word, -1) for word in words), -1], np.int64)


LINK_ENDS = {"isl_windows": ("a", "b"), "feeder_windows": ("satellite", "station")}
"""Columns of tables of links that name who is at their ends."""


def names_of_clients(tables: Mapping[str, pa.Table], manifest: Mapping[str, Any]) -> list[str]:
    """Return the names of all clusters but for satellites and gateways that are no clients."""
    clients = {row["cluster"] for row in manifest.get("energy") or ()}
    linked = linked_names(tables) if clients else set()
    return [name for name in cluster_names(tables) if name in clients or name not in linked]


def linked_names(tables: Mapping[str, pa.Table]) -> set[str]:
    """Return the names of all satellites and gateways that have links."""
    every = (names_in(tables, name, columns) for name, columns in LINK_ENDS.items())
    return set().union(*every)


def names_in(tables: Mapping[str, pa.Table], name: str, columns: Sequence[str]) -> set[str]:
    """Return all names in columns of a table that a run may have."""
    table = tables.get(name)
    each = () if table is None else (pc.unique(table[key]).to_pylist() for key in columns)
    return {text for own in each for text in own}


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


def activities(tables: Mapping[str, pa.Table]) -> dict[str, Spans]:
    """Return all that lanes show, by what it is called: views, services, training, transfers.

    In a network study nobody trains.
    """
    contacts = tables["contacts"]
    found = {"in view": in_view(contacts), "connected": connected(contacts)}
    if "events" in tables:
        found["training"] = training(tables["events"])[0]
        found["transfers"] = transferring(tables["transfers"])
    return found


def over_feeder(tables: Mapping[str, pa.Table]) -> pa.Table:
    """Return the transfers over feeder links, with their satellite and station as columns."""
    rows = pa.concat_tables(pieces_of(tables, "transfers", FEEDER_COLUMNS))
    up, down = (says(rows, "direction", direction) for direction in ("uplink", "downlink"))
    is_feeder = (up | down) & as_numpy(pc.is_valid(rows["peer"]))
    rows, up = rows.filter(array(is_feeder)), array(up[is_feeder])
    sender = rows["cluster"].cast(pa.string())
    receiver = coded_text(*peers_in(rows))
    ends = {
        "satellite": pc.if_else(up, receiver, sender),
        "station": pc.if_else(up, sender, receiver),
    }
    for name, column in ends.items():
        rows = rows.append_column(name, column)
    return rows


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
    set_s = np.append(as_numpy(contacts["set_s"]), np.nan)[as_numpy(place, -1)]
    return Spans(waits, as_numpy(waits["time_s"]), set_s)


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
        number = np.arange(len(begin_s))
        end_s = self.end_s + gap_s
        first = np.searchsorted(end_s, begin_s, "left") == number
        last = np.searchsorted(begin_s, end_s[: len(begin_s)], "right") == number + 1
        return begin_s[first], np.minimum(end_s[: len(begin_s)][last] - gap_s, until_s)


def by_lane(
    spans: Spans, lanes: Sequence[Sequence[str]], column: str = "cluster"
) -> list[Intervals]:
    """Return the spans of each lane: those of all its clusters, or of another column, together.

    A transfer is also one of its peer's cluster: the peer is a device of it, as CLUSTER/DEVICE.
    """
    names = [name for clusters in lanes for name in clusters]
    lane_of = np.repeat(np.arange(len(lanes)), [len(clusters) for clusters in lanes])
    lane_of = np.append(lane_of, -1)  # for clusters that no lane has
    (rows, begin_s, end_s) = spans
    places = places_of(rows[column], names)
    if "peer" in rows.column_names:
        places = np.append(places, places_of_peers(rows, names))
        begin_s = np.tile(begin_s, 2)
        end_s = np.tile(end_s, 2)
    lane = lane_of[places]
    order = np.argsort(lane, kind="stable")
    edges = np.searchsorted(lane[order], np.arange(len(lanes) + 1))
    each = (order[begin:end] for begin, end in pairwise(edges))
    return [Intervals(np.sort(begin_s[mine]), np.sort(end_s[mine])) for mine in each]


class NumberedSpans:
    """Spans of time (N,) by the numbers of what they are of, to look some of them up."""

    def __init__(self, number: Ints, begin_s: Floats, end_s: Floats) -> None:
        self._order = np.argsort(number, kind="stable")
        self._number = number[self._order]
        self._begin_s, self._end_s = begin_s[self._order], end_s[self._order]

    def near(self, number: int, between_s: tuple[float, float]) -> Ints:
        """Return which of the spans (N,) have a number and overlap with a span of time."""
        begin, end = np.searchsorted(self._number, [number, number + 1])
        begin_s, end_s = self._begin_s[begin:end], self._end_s[begin:end]
        near = (begin_s < between_s[1]) & (end_s > between_s[0])
        return self._order[begin + np.flatnonzero(near)]


class StateTimeline(NamedTuple):
    """Numbers of states (N,) that follow each other, each from its begin (N,) to the next one."""

    states: Ints
    begins_s: Floats

    @classmethod
    def of(cls, states: Ints, begins_s: Floats) -> Self:
        """Return a course in which no state follows itself."""
        new = np.flatnonzero(np.diff(states, prepend=-1))
        return cls(states[new], begins_s[new])

    def at(self, times_s: Floats) -> Ints:
        """Return the states at some times, none of which is before the first one."""
        return self.states[np.searchsorted(self.begins_s, times_s, "right") - 1]

    def between(self, from_s: float, until_s: float) -> Iterator[tuple[float, int]]:
        """Yield until when each state between two times holds, and the state."""
        if from_s < until_s:
            first = int(np.searchsorted(self.begins_s, from_s, "right"))
            last = int(np.searchsorted(self.begins_s, until_s))
            untils_s = [*self.begins_s[first:last].tolist(), until_s]
            yield from zip(untils_s, self.states[first - 1 : last].tolist(), strict=True)
