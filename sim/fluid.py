"""Devices of a cluster that share the band of one beam at the same time, like a fluid."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from channel import LinkCurve
from channel.curve import ROUNDING
from learning.requests import Floats, Mask
from sim.sharing import Given, seconds

RateAt = Callable[[float, float, int], tuple[Floats, Floats]]
"""Rates (K,) just behind a first and just before a second time (s), and linear in between, if so
many devices share the band. Nothing bends or jumps inside."""


def shared(rate_at: RateAt, nodes_s: Floats, arrival_s: Floats, bits: Floats, who: Mask) -> Given:
    """Share the band anew at every arrival, completion and node; exact but for rounding.

    ``nodes_s`` is sorted; between two of them nothing bends or jumps, and outside them nothing is
    carried. A device shares from when it is ready (``arrival_s``, inf for never) until its
    ``bits`` are through, in every cell where it has a rate above 0 at either end if alone. A
    payload that is short only by rounding (1e-12 of it and a tick of the clock) is through. All
    arrays are (K,). The curve given goes from the first node to the last one for all devices.
    """
    flow = _Flow(rate_at, np.where(who, np.maximum(arrival_s, nodes_s[0]), np.inf), bits)
    for start_s, end_s in pairwise(np.unique(nodes_s).tolist()):
        flow.over(start_s, end_s)
    return flow.given(float(nodes_s[0]), float(nodes_s[-1]))


class _Flow:
    """What each device (K,) has still to send, and the pieces of the curve so far."""

    def __init__(self, rate_at: RateAt, ready_s: Floats, bits: Floats) -> None:
        self._rate_at = rate_at
        self._ready_s = ready_s
        self._arrivals_s = np.unique(ready_s)
        self._bits = bits
        self._left = np.array(bits, float)
        self._begin_s = np.where(bits == 0, ready_s, np.inf)
        self._end_s = self._begin_s.copy()
        self._pieces: list[tuple[float, float, Floats, Floats]] = []

    def over(self, start_s: float, end_s: float) -> None:
        """Send from one node to the next, from event to event."""
        able = (self._left > 0) & (self._ready_s < end_s)
        if not able.any():
            return
        first, last = self._rate_at(start_s, end_s, 1)
        able &= (first > 0) | (last > 0)
        while start_s < end_s:
            sharing = able & (self._left > 0) & (self._ready_s <= start_s)
            until_s = min(end_s, self._next_arrival_s(start_s))
            start_s = self._send(start_s, until_s, sharing) if sharing.any() else until_s

    def _next_arrival_s(self, time_s: float) -> float:
        i = int(np.searchsorted(self._arrivals_s, time_s, "right"))
        return float(self._arrivals_s[i]) if i < len(self._arrivals_s) else np.inf

    def _send(self, start_s: float, until_s: float, sharing: Mask) -> float:
        """Send until the first device is through, at most until a time; return when that is."""
        rates = self._rate_at(start_s, until_s, int(np.count_nonzero(sharing)))
        first, last = (np.where(sharing, rate, 0.0) for rate in rates)
        through_s = self._through_s(start_s, until_s, first, last, sharing)
        # A device that needs less than a tick of the clock takes one, so that its curve has it.
        stop_s = min(until_s, max(float(through_s.min()), float(np.nextafter(start_s, np.inf))))
        last = first + (last - first) * ((stop_s - start_s) / (until_s - start_s))
        self._left -= (first + last) / 2.0 * (stop_s - start_s)
        done = sharing & ((through_s <= stop_s) | self._short(np.maximum(first, last), stop_s))
        np.minimum(self._begin_s, start_s, out=self._begin_s, where=sharing)
        self._left[done], self._end_s[done] = 0.0, stop_s
        self._pieces.append((start_s, stop_s, first, last))
        return stop_s

    def _through_s(
        self, start_s: float, until_s: float, first: Floats, last: Floats, sharing: Mask
    ) -> Floats:
        """When each device is through if nobody else is before; inf where that is later."""
        step_s = until_s - start_s
        reach = sharing & (self._left <= (first + last) / 2.0 * step_s)
        through_s = np.full(len(first), np.inf)
        after_s = seconds(self._left[reach], first[reach], last[reach], step_s)
        through_s[reach] = start_s + after_s
        return through_s

    def _short(self, rate: Floats, now_s: float) -> Mask:
        """Who lacks so little that it is rounding; half of it, as the curve sums in its own way."""
        sent = ROUNDING / 2.0 * (self._bits - self._left)
        short: Mask = self._left <= sent + np.spacing(abs(now_s)) * rate
        return short

    def given(self, start_s: float, end_s: float) -> Given:
        """What has been sent, as a curve with no rate between the pieces and around them."""
        nothing = np.zeros(len(self._left))
        time, rate = [start_s], [nothing]
        for begin_s, stop_s, first, last in self._pieces:
            if begin_s > time[-1]:
                time += [time[-1], begin_s]
                rate += [nothing, nothing]
            time += [begin_s, stop_s]
            rate += [first, last]
        time += [time[-1], end_s]
        rate += [nothing, nothing]
        return Given(self._begin_s, self._end_s, LinkCurve(np.array(time), np.array(rate).T))
