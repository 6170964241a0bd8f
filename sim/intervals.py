"""Spans of time that may overlap, and how long which of several things goes on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask


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
