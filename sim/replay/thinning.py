"""Spans that are too many for a picture: those of a lane are joined over the shortest gaps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from statements.arrays import Floats, Ints


class Joined(NamedTuple):
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


def joined(lane: Ints, begin_s: Floats, end_s: Floats, most: int) -> Joined:
    """Join spans (N,) of a lane that touch, then those with the shortest gaps between them.

    At most ``most`` are left, unless there are more lanes: spans of two lanes are never joined.
    """
    order = np.lexsort((end_s, begin_s, lane))
    if not len(order):
        return Joined(order, order, 0.0)
    own, begin, end = lane[order], begin_s[order], end_s[order]
    gap_s = np.full(len(order), np.inf)
    gap_s[1:] = np.where(own[1:] == own[:-1], begin[1:] - _reach(own, end)[:-1], np.inf)
    limit_s = 0.0
    if np.count_nonzero(gap_s > 0.0) > most:
        place = len(gap_s) - most - 1
        limit_s = max(0.0, float(np.partition(gap_s, place)[place]))
        if not np.isfinite(limit_s):  # more lanes than wanted: one span of each
            limit_s = float(np.max(gap_s, initial=0.0, where=np.isfinite(gap_s)))
    return Joined(order, np.cumsum(gap_s > limit_s) - 1, limit_s)


def _reach(lane: Ints, end_s: Floats) -> Floats:
    """Return how far the spans (N,) of a lane, one after the other, have reached so far."""
    # Lanes are shifted behind each other by ranks of ends, which no rounding mixes up.
    ends, rank = np.unique(end_s, return_inverse=True)
    shift = lane.astype(np.int64) * len(ends)
    return np.asarray(ends[np.maximum.accumulate(rank + shift) - shift])
