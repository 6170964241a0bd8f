"""What a run has moved: spans in which something was sent, and bytes counted exactly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sim.analysis.spans import places_of, places_of_peers
from sim.facts.directions import DIRECTIONS, Way
from sim.trace.arrow import array, as_numpy
from sim.trace.sorting import says
from sim.trace.tables import pieces_of
from statements.arrays import Floats, Ints, stretches

if TYPE_CHECKING:
    import pyarrow as pa

MOST_SPANS = 10_000
"""Spans of all lanes together that a page carries."""
GRID = 1_200
"""Even steps at whose ends bytes are counted exactly."""
MOST_EDGES = 4_000
"""Begins and ends of spans up to which bytes are counted exactly at each of them as well."""
AT_ONCE = 1 << 22
"""Pairs of a transfer and a time that are worked out at once."""


class LaneSpans(NamedTuple):
    """Spans (N,) in which something is moved ``lane`` by lane, in order of lane and time."""

    lane: Ints
    begin_s: Floats
    end_s: Floats

    def and_(self, other: LaneSpans) -> LaneSpans:
        """Return these spans and those of another, one after the other."""
        one, two = self, other
        return LaneSpans(
            np.concatenate([one.lane, two.lane]),
            np.concatenate([one.begin_s, two.begin_s]),
            np.concatenate([one.end_s, two.end_s]),
        )


NO_SPANS = LaneSpans(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


class Counted(NamedTuple):
    """Bytes that were moved by each of the times (K,), by direction: whole numbers (K,)."""

    time_s: Floats
    moved_bytes: dict[str, Ints]


def union(spans: LaneSpans, most: int = MOST_SPANS) -> LaneSpans:
    """Return the union of spans lane by lane, at most so many spans: see :func:`join_spans`."""
    found = join_spans(spans.lane, spans.begin_s, spans.end_s, most)
    firsts = found.firsts
    if not len(firsts):
        return NO_SPANS
    ends_s = np.maximum.reduceat(spans.end_s[found.order], firsts)
    first = found.order[firsts]
    return LaneSpans(spans.lane[first], spans.begin_s[first], ends_s)


# Spans that are too many: those of a lane are joined over the shortest gaps.


class JoinedSpans(NamedTuple):
    """Which spans (N,) are joined: ``order`` sorts them, then ``group`` counts up from 0.

    ``closed_s`` is the longest gap that was closed; 0 where only spans that touch were joined.
    """

    order: Ints
    group: Ints
    closed_s: float

    @property
    def firsts(self) -> Ints:
        """The places (G,) of the first of each group, in the order."""
        return np.flatnonzero(np.diff(self.group, prepend=-1))


def join_spans(lane: Ints, begin_s: Floats, end_s: Floats, most: int) -> JoinedSpans:
    """Join spans (N,) of a lane that touch, then those with the shortest gaps between them.

    At most ``most`` are left, unless there are more lanes: spans of two lanes are never joined.
    """
    order = np.lexsort((end_s, begin_s, lane))
    if not len(order):
        return JoinedSpans(order, order, 0.0)
    own, begin, end = lane[order], begin_s[order], end_s[order]
    gap_s = np.full(len(order), np.inf)
    gap_s[1:] = np.where(own[1:] == own[:-1], begin[1:] - _reach(own, end)[:-1], np.inf)
    limit_s = 0.0
    if np.count_nonzero(gap_s > 0.0) > most:
        place = len(gap_s) - most - 1
        limit_s = max(0.0, float(np.partition(gap_s, place)[place]))
        if not np.isfinite(limit_s):  # more lanes than wanted: one span of each
            limit_s = float(np.max(gap_s, initial=0.0, where=np.isfinite(gap_s)))
    return JoinedSpans(order, np.cumsum(gap_s > limit_s) - 1, limit_s)


def _reach(lane: Ints, end_s: Floats) -> Floats:
    """Return how far the spans (N,) of a lane, one after the other, have reached so far."""
    # Lanes are shifted behind each other by ranks of ends, which no rounding mixes up.
    ends, rank = np.unique(end_s, return_inverse=True)
    shift = lane.astype(np.int64) * len(ends)
    return np.asarray(ends[np.maximum.accumulate(rank + shift) - shift])


def contact_lanes(tables: Mapping[str, pa.Table], contact_id: Ints) -> LaneSpans:
    """Return spans of transfers in contacts; lane 2 n + 1 is toward the satellite of contact n.

    Lane 2 n is from it. ``contact_id`` (C,) are the numbers of the contacts in order.
    """
    import pyarrow.compute as pc

    columns = ["contact_id", "direction", "toward", "start_s", "end_s"]
    ids = array(contact_id)
    whole = NO_SPANS
    for rows in pieces_of(tables, "transfers", columns):
        number = as_numpy(pc.index_in(rows["contact_id"], value_set=ids), -1).astype(np.int64)
        up = says(rows, "direction", "uplink")
        up |= says(rows, "direction", "isl") & says(rows, "toward", Way.TO_CLIENT)
        whole = union(whole.and_(union(_of(rows, 2 * number + up, number >= 0))))
    return whole


def _of(rows: pa.Table, lane: Ints, known: np.ndarray) -> LaneSpans:
    start_s = as_numpy(rows["start_s"])
    end_s = np.maximum(start_s, as_numpy(rows["end_s"]))
    return LaneSpans(lane[known], start_s[known], end_s[known])


def hop_lanes(tables: Mapping[str, pa.Table], names: Sequence[str]) -> LaneSpans:
    """Return spans of transfers between satellites; lane a * N + b is from ``names[a]`` to b."""
    import pyarrow.compute as pc

    columns = ["contact_id", "cluster", "peer", "direction", "start_s", "end_s"]
    whole = NO_SPANS
    for piece in pieces_of(tables, "transfers", columns):
        rows = piece.filter(pc.is_valid(piece["peer"]))
        one = places_of(rows["cluster"], names)
        other = places_of_peers(rows, names)
        lane = one * len(names) + other
        whole = union(whole.and_(union(_of(rows, lane, (one >= 0) & (other >= 0)))))
    return whole


def times_counted(end_s: float, spans: LaneSpans) -> Floats:
    """Return the times at which bytes are counted: an even grid, and edges of spans if few."""
    grid = np.linspace(0.0, end_s, GRID + 1)
    edges = np.unique(np.concatenate([spans.begin_s, spans.end_s]))
    edges = edges[(edges > 0.0) & (edges < end_s)]
    return np.unique(np.concatenate([grid, edges])) if len(edges) <= MOST_EDGES else grid


def counted(tables: Mapping[str, pa.Table], time_s: Floats) -> Counted:
    """Count the bytes that were on the air by each of the times (K,), which are in order.

    A transfer moves its bytes evenly from its start to its end.
    """
    found = {way: np.zeros(len(time_s)) for way in DIRECTIONS}
    used = dict.fromkeys(DIRECTIONS, False)
    numbers = ("start_s", "end_s", "on_air_bytes")
    for rows in pieces_of(tables, "transfers", ["direction", *numbers]):
        start_s, end_s, size = (as_numpy(rows[name]) for name in numbers)
        for way in DIRECTIONS:
            own = says(rows, "direction", way)
            used[way] |= bool(own.any())
            found[way] += moved_by(start_s[own], end_s[own], size[own], time_s)
    whole = {way: np.rint(values).astype(np.int64) for way, values in found.items() if used[way]}
    return Counted(time_s, whole)


def moved_by(start_s: Floats, end_s: Floats, size: Floats, time_s: Floats) -> Floats:
    """Return the bytes that transfers (N,) have moved by times (K,), which are in order."""
    order = np.argsort(end_s, kind="stable")
    over = np.concatenate([[0.0], np.cumsum(size[order])])
    total = over[np.searchsorted(end_s[order], time_s, "right")]
    # Transfers under way at a time, each with each of those times.
    first = np.searchsorted(time_s, start_s, "right")
    count = np.maximum(np.searchsorted(time_s, end_s, "left") - first, 0)
    for rows in _few_at_once(count):
        which, at = stretches(first[rows], count[rows])
        which = rows[which]
        share = (time_s[at] - start_s[which]) / (end_s[which] - start_s[which])
        total += np.bincount(at, share * size[which], len(time_s))
    return np.asarray(total)


def _few_at_once(count: Ints) -> Iterator[Ints]:
    """Yield the numbers of those with a count, in pieces of about :data:`AT_ONCE` together."""
    rows = np.flatnonzero(count)
    piece = np.cumsum(count[rows]) // AT_ONCE
    yield from np.split(rows, np.flatnonzero(np.diff(piece)) + 1)
