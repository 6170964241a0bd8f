"""Intervals of time that may overlap, and how long which of several things goes on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sim.analysis.spans import Spans
from sim.trace.arrow import array, as_numpy
from statements.arrays import Floats, Ints, Mask


@dataclass(frozen=True, eq=False)
class Intervals:
    """Begins and ends of spans (N,) in seconds, each sorted for itself.

    A span holds its begin and not its end, which is inf where it goes on for ever.
    """

    begin_s: Floats
    end_s: Floats

    def cover(self, time_s: Floats) -> Mask:
        """Return whether a span holds each of the times (T,)."""
        return self.count(time_s) > 0

    def count(self, time_s: Floats) -> Ints:
        """Return how many spans hold each of the times (T,)."""
        begun = np.searchsorted(self.begin_s, time_s, "right")
        return begun - np.searchsorted(self.end_s, time_s, "right")

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


class NumberedSpans:
    """Spans of time (N,) by the numbers of what they are of, to look some of them up."""

    def __init__(self, number: Ints, begin_s: Floats, end_s: Floats) -> None:
        order = np.argsort(number, kind="stable")
        self._order = order
        self._number = number[order]
        self._begin_s = begin_s[order]
        self._end_s = end_s[order]

    @classmethod
    def of(cls, number: Ints, rows: pa.Table, begin: str, end: str) -> Self:
        """Return those of the rows of a table, by two of its columns."""
        return cls(number, as_numpy(rows[begin]), as_numpy(rows[end]))

    def near(self, number: int, between_s: tuple[float, float]) -> Intervals:
        """Return the spans of a number that overlap with a span of time."""
        near = self._near(number, between_s)
        return Intervals(np.sort(self._begin_s[near]), np.sort(self._end_s[near]))

    def places(self, number: int, between_s: tuple[float, float]) -> Ints:
        """Return which of all spans (N,) are those."""
        return self._order[self._near(number, between_s)]

    def _near(self, number: int, between_s: tuple[float, float]) -> Ints:
        begin, end = np.searchsorted(self._number, [number, number + 1])
        begin_s, end_s = self._begin_s[begin:end], self._end_s[begin:end]
        near = (begin_s < between_s[1]) & (end_s > between_s[0])
        return begin + np.flatnonzero(near)


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
    columns = [spans.rows["cluster"]]
    (rows, begin_s, end_s) = spans
    if "peer" in rows.column_names:
        columns.append(pc.replace_substring_regex(rows["peer"], r"/[^/]*$", ""))
        begin_s = np.tile(begin_s, 2)
        end_s = np.tile(end_s, 2)
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
