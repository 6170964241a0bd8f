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
        """Take the only row of a batch, or the first one."""
        self._time_s: list[float] = batch.time_s[0].tolist()
        self._rate_bps: list[float] = batch.rate_bps[0].tolist()
        self._bits: list[float] = batch.bits[0].tolist()

    def completion_time_s(self, bits: float, start_s: float) -> float:
        """Return when bits that leave from a time on are through; inf if they never are.

        It is one function, as a search of routes asks it hundreds of thousands of times.
        """
        time_s = self._time_s
        if start_s >= time_s[-1]:
            return inf
        sums = self._bits
        rates_bps = self._rate_bps
        goal = bits
        if start_s > time_s[0]:
            i = bisect_right(time_s, start_s) - 1
            since_s = start_s - time_s[i]
            rate_bps = rates_bps[i]
            share = since_s / (time_s[i + 1] - time_s[i])
            mean_bps = rate_bps + (rates_bps[i + 1] - rate_bps) * share / 2.0
            before = sums[i] + mean_bps * since_s
            goal += before if before < sums[i + 1] else sums[i + 1]
        if goal > sums[-1]:
            return inf
        if goal <= 0.0:
            return max(time_s[0], start_s)
        # The segment has bits, as its first point has fewer than the goal, and so it lasts.
        i = bisect_left(sums, goal) - 1
        end_s = time_s[i + 1]
        sent_s = end_s
        if goal < sums[i + 1]:
            # r0 dt + a dt^2 / 2 = b gives dt = 2 b / (r0 + sqrt(r0^2 + 2 a b)).
            begin_s = time_s[i]
            rate_bps = rates_bps[i]
            left = goal - sums[i]
            slope = (rates_bps[i + 1] - rate_bps) / (end_s - begin_s)
            square = rate_bps * rate_bps + 2.0 * slope * left
            root = sqrt(square) if square > 0.0 else 0.0
            within_s = begin_s + 2.0 * left / (rate_bps + root)
            if within_s < end_s:
                sent_s = within_s
        return start_s if start_s > sent_s else sent_s
