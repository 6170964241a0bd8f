"""Spans of time in which something holds: a device is away, a satellite is out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from learning.requests.cluster import Floats


@dataclass(frozen=True, eq=False)
class Intervals:
    """Spans (N,) in seconds, in order of time and apart; a span holds its begin and not its end."""

    begin_s: Floats
    end_s: Floats

    def between(self, from_s: float, to_s: float) -> Intervals:
        """Return the parts of the spells that lie between two times."""
        begin_s = np.maximum(self.begin_s, from_s)
        end_s = np.minimum(self.end_s, to_s)
        left = end_s > begin_s
        return Intervals(begin_s[left], end_s[left])

    def spans(self) -> list[tuple[float, float]]:
        """Return begin and end of each, in order."""
        return list(zip(self.begin_s.tolist(), self.end_s.tolist(), strict=True))


NO_INTERVALS = Intervals(np.zeros(0), np.zeros(0))


def union(several: Iterable[Intervals]) -> Intervals:
    """Return the spans in which any of these hold; spans that overlap or touch become one."""
    held = [one for one in several if len(one.begin_s)]
    if len(held) < 2:
        return held[0] if held else NO_INTERVALS
    begin_s = np.concatenate([one.begin_s for one in held])
    order = np.argsort(begin_s, kind="stable")
    begin_s = begin_s[order]
    # Of each span, when it and all that began before it are over.
    end_s = np.maximum.accumulate(np.concatenate([one.end_s for one in held])[order])
    first = np.append(True, begin_s[1:] > end_s[:-1])
    return Intervals(begin_s[first], end_s[np.append(first[1:], True)])
