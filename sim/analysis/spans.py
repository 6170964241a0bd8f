"""Spans of time out of the tables, and their arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning.requests.cluster import Floats, Ints, Mask
from learning.requests.details import BEAM, SYNCHRONISATION
from sim.trace.tables import says


def cluster_names(tables: Mapping[str, pa.Table]) -> list[str]:
    """Return the names of all clusters in canonical order."""
    found = (tables[name]["cluster"] for name in ("contacts", "events", "transfers"))
    return sorted({text for column in found for text in pc.unique(column.drop_null()).to_pylist()})


def in_view(contacts: pa.Table, names: Sequence[str]) -> GroupedIntervals:
    """While a satellite is in view of the cluster, whether it is served or not."""
    rise_s, set_s = _times(contacts["rise_s"]), _times(contacts["set_s"])
    return _spans(_numbers(contacts["cluster"], names), rise_s, set_s)


def connected(contacts: pa.Table, names: Sequence[str]) -> GroupedIntervals:
    """While a satellite serves the cluster."""
    served = contacts.filter(contacts["served"])
    return _spans(
        _numbers(served["cluster"], names),
        _times(served["service_start_s"]),
        _times(served["service_end_s"]),
    )


def transferring(transfers: pa.Table, names: Sequence[str]) -> GroupedIntervals:
    """While a device of the cluster sends or receives; a peer is a device of its own cluster."""
    peers = pc.replace_substring_regex(transfers["peer"], r"/[^/]*$", "")
    clusters = np.concatenate([_numbers(column, names) for column in (transfers["cluster"], peers)])
    start_s, end_s = (np.tile(_times(transfers[key]), 2) for key in ("start_s", "end_s"))
    return _spans(clusters, start_s, end_s)


def training(events: pa.Table, names: Sequence[str]) -> GroupedIntervals:
    """While a device of the cluster trains; training without an end goes on to the run's."""
    begun, ended = (
        events.filter(says(events, "kind", f"train_{edge}")) for edge in ("start", "end")
    )
    return GroupedIntervals(
        _numbers(begun["cluster"], names),
        _times(begun["time_s"]),
        _numbers(ended["cluster"], names),
        _times(ended["time_s"]),
    )


def beam_waits(events: pa.Table, contacts: pa.Table, names: Sequence[str]) -> GroupedIntervals:
    """While a satellite in view has no beam for the cluster, or lent it to another one since.

    A beam that it gets in between ends no span; it is connected then.
    """
    waits = events.filter(
        pc.and_(pc.equal(events["kind"], "wait"), pc.starts_with(events["detail"], BEAM))
    )
    place = pc.index_in(waits["contact_id"], value_set=contacts["contact_id"].combine_chunks())
    set_s = contacts["set_s"].take(place.combine_chunks())
    return _spans(_numbers(waits["cluster"], names), _times(waits["time_s"]), _times(set_s))


def synchronisation_waits(events: pa.Table, names: Sequence[str]) -> GroupedIntervals:
    """While the satellite does not know the server's newest state, and a device would take it."""
    told = pc.extract_regex(events["detail"], SYNCHRONISATION)
    rows = pc.and_(pc.equal(events["kind"], "wait"), pc.is_valid(told))
    waits, until = events.filter(rows), told.filter(rows)
    until_s = pc.cast(pc.struct_field(until, "until"), pa.float64())
    return _spans(_numbers(waits["cluster"], names), _times(waits["time_s"]), _times(until_s))


def _spans(groups: Ints, begin_s: Floats, end_s: Floats) -> GroupedIntervals:
    return GroupedIntervals(groups, begin_s, groups, end_s)


def _numbers(clusters: pa.ChunkedArray, names: Sequence[str]) -> Ints:
    """Number of each cluster, -1 for none."""
    places = pc.index_in(clusters, value_set=pa.array(names, pa.string()))
    numbers: Ints = places.fill_null(-1).to_numpy()
    return numbers


def _times(column: pa.ChunkedArray) -> Floats:
    times: Floats = column.to_numpy()
    return times


# Spans of time that may overlap, and how long which of several things goes on.


@dataclass(frozen=True, eq=False)
class Intervals:
    """Begins and ends of spans in seconds, each sorted for itself.

    A span holds its begin and not its end. One whose end is missing goes on for ever.
    """

    begin_s: Floats
    end_s: Floats

    def cover(self, time_s: Floats) -> Mask:
        """Return whether a span holds each of the times (T,)."""
        begun = np.searchsorted(self.begin_s, time_s, "right")
        open_now: Mask = begun > np.searchsorted(self.end_s, time_s, "right")
        return open_now

    def merged(self, gap_s: float = 0.0, until_s: float = np.inf) -> tuple[Floats, Floats]:
        """Return begins and ends of what is left when spans that overlap or touch are made one.

        Gaps of at most ``gap_s`` are closed too. What lies behind ``until_s`` is cut off.
        """
        begin_s = self.begin_s[self.begin_s <= until_s]
        missing = np.full(max(len(begin_s) - len(self.end_s), 0), np.inf)
        end_s = np.concatenate([self.end_s, missing]) + gap_s
        number = np.arange(len(begin_s))
        first = np.searchsorted(end_s, begin_s, "left") == number
        last = np.searchsorted(begin_s, end_s[: len(begin_s)], "right") == number + 1
        return begin_s[first], np.minimum(end_s[: len(begin_s)][last] - gap_s, until_s)


@dataclass(frozen=True, eq=False)
class GroupedIntervals:
    """Spans of many groups; groups are numbered from 0, a negative number counts nowhere."""

    begin_group: Ints
    begin_s: Floats
    end_group: Ints
    end_s: Floats

    def of(self, group: int) -> Intervals:
        """Return the spans of one group."""
        begin_s, end_s = (
            self.begin_s[self.begin_group == group],
            self.end_s[self.end_group == group],
        )
        return Intervals(np.sort(begin_s), np.sort(end_s))


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
