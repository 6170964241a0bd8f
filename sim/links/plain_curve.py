"""PlainCurve: the rates of one device over time, in plain numbers."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from math import inf, sqrt

from channel import LinkCurve


class PlainCurve:
    """A `LinkCurve` of one device, asked for one time after the other.

    The formulas are those of `LinkCurve`, which answers for many devices at a time: there a
    question takes a dozen arrays, here a dozen numbers.
    """

    def __init__(self, batch: LinkCurve) -> None:
        curve = batch.device(0)
        self._time_s: list[float] = curve.time_s.tolist()
        self._rate_bps: list[float] = curve.rate_bps.tolist()
        self._bits: list[float] = curve.bits.tolist()

    def completion_time_s(self, bits: float, start_s: float) -> float:
        """Return when bits that leave from a time on are through; inf if they never are."""
        time_s = self._time_s
        if start_s >= time_s[-1]:
            return inf
        goal = self._sent_bits(start_s) + bits
        if goal > self._bits[-1]:
            return inf
        i = self._segment(bisect_left(self._bits, goal))
        rate_bps = self._rate_bps[i]
        left = goal - self._bits[i]
        lasts_s = time_s[i + 1] - time_s[i]
        if left <= 0.0 or lasts_s <= 0.0:
            return max(time_s[i], start_s)
        if goal >= self._bits[i + 1]:
            return max(time_s[i + 1], start_s)
        # r0 dt + a dt^2 / 2 = b gives dt = 2 b / (r0 + sqrt(r0^2 + 2 a b)).
        slope = (self._rate_bps[i + 1] - rate_bps) / lasts_s
        root = sqrt(max(rate_bps * rate_bps + 2.0 * slope * left, 0.0))
        return max(min(time_s[i] + 2.0 * left / (rate_bps + root), time_s[i + 1]), start_s)

    def _sent_bits(self, by_s: float) -> float:
        time_s = self._time_s
        if by_s <= time_s[0]:
            return 0.0
        i = self._segment(bisect_right(time_s, by_s))
        lasts_s = time_s[i + 1] - time_s[i]
        if lasts_s <= 0.0:
            return self._bits[i + 1]
        since_s = by_s - time_s[i]
        rate_bps = self._rate_bps[i]
        mean_bps = rate_bps + (self._rate_bps[i + 1] - rate_bps) * (since_s / lasts_s) / 2.0
        return min(self._bits[i] + mean_bps * since_s, self._bits[i + 1])

    def _segment(self, rank: int) -> int:
        """Place of the point where a segment begins."""
        return min(max(rank - 1, 0), len(self._time_s) - 2)
