"""What devices are given of a band, and who sends first where there are too few sub-channels."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from heapq import heapreplace
from typing import Protocol

import numpy as np

from channel import LinkCurve, clipped
from channel.link_curve import ROUNDING
from learning.requests.cluster import Floats, Mask


class Carried(Protocol):
    """What devices (K,) can have sent by any time."""

    def delivered_bits(self, time_s: Floats, /) -> Floats:
        """Bits (K,) by each device's time (K,)."""
        ...


@dataclass(frozen=True, eq=False)
class Allocation:
    """What each device (K,) is given of a band: when it sends, and how much by when.

    ``begin_s`` is when it begins to send (inf where it never does) and ``end_s`` when its last bit
    is sent (inf where it does not get through). ``curve`` says what the device can send; nothing of
    it is beyond ``end_s`` where others share the band.
    """

    begin_s: Floats
    end_s: Floats
    curve: Carried


def queued(
    curve: LinkCurve, arrival_s: Floats, bits: Floats, who: Mask, channels: int
) -> Allocation:
    """Give each device a sub-channel of its own: first come, first served, by number if together.

    ``curve`` (K, T) is the rate of a sub-channel. A device comes when it is ready (``arrival_s``,
    inf for never) and its curve begins to carry; it keeps its sub-channel until its ``bits`` are
    through or its curve carries nothing any more. 0 bits need no sub-channel. Where there are
    sub-channels for all who send, the curve given is ``curve`` itself, uncut. All arrays are (K,).

    Raises ValueError for less than one channel.
    """
    if channels < 1:
        raise ValueError(f"channels is {channels}; allowed is at least 1")
    opens_s, closes_s = curve.span_s
    some = bits > 0
    comes_s = np.maximum(arrival_s, opens_s)
    sends = who & some & (comes_s < closes_s)
    if not everywhere(sends):  # 0 bits are through when their device is ready
        comes_s = np.maximum(arrival_s, np.where(some, opens_s, curve.time_s[:, 0]))
        comes_s = np.where(sends | (who & ~some), comes_s, np.inf)
    if np.count_nonzero(sends) <= channels:
        return Allocation(comes_s, curve.unchecked_completion_time_s(bits, comes_s), curve)
    begin_s, end_s = _in_turn(curve, np.where(sends, comes_s, np.inf), closes_s, bits, channels)
    begin_s, end_s = (np.where(bits == 0, comes_s, x) for x in (begin_s, end_s))
    last_s = curve.time_s[:, -1]
    cut = clipped(curve, np.minimum(begin_s, last_s), np.minimum(end_s, last_s))
    return Allocation(begin_s, end_s, cut)


def seconds(
    bits: float | Floats, rate_bps: float | Floats, end_rate_bps: float | Floats, step_s: float
) -> Floats:
    """Time in which ``bits`` pass while the rate goes from one value to another in ``step_s``.

    r0 dt + a dt^2 / 2 = b gives dt = 2 b / (r0 + sqrt(r0^2 + 2 a b)), with no division by a rate
    of 0 or a slope of 0. The bits are above 0 and at most what passes in the whole step.
    """
    square = rate_bps**2 + 2.0 * bits / step_s * (end_rate_bps - rate_bps)
    # Rounding may take the square of the final rate a little below 0.
    after_s = 2.0 * bits / (rate_bps + np.sqrt(np.maximum(square, 0.0)))
    return np.minimum(after_s, step_s)


def everywhere(which: Mask) -> bool:
    """Whether a mask holds for all: to count is several times quicker than to ask."""
    return bool(np.count_nonzero(which) == which.size)


def _in_turn(
    curve: LinkCurve, comes_s: Floats, closes_s: Floats, bits: Floats, channels: int
) -> tuple[Floats, Floats]:
    """Return when devices (K,) begin and end: the next to come takes the first free channel."""
    begin_s, end_s = np.full((2, len(bits)), np.inf)
    free_s = [-np.inf] * channels
    for k in np.argsort(comes_s, kind="stable"):
        turn_s = max(float(comes_s[k]), free_s[0])
        close_s = float(closes_s[k])
        if turn_s < close_s:
            time = curve.time_s[k].tolist()
            rate = curve.rate_bps[k].tolist()
            begin_s[k] = turn_s
            end_s[k] = _through_s(time, rate, turn_s, float(bits[k]), close_s)
            heapreplace(free_s, min(float(end_s[k]), close_s))
    return begin_s, end_s


def _through_s(
    time: list[float], rate: list[float], begin_s: float, bits: float, close_s: float
) -> float:
    """When ``bits`` sent from ``begin_s`` on are through, as in LinkCurve.completion_time_s.

    It goes from point to point, since all who follow each other on a sub-channel then take no more
    steps than the curve has; and it counts from the beginning, since what went before rounds.
    """
    i = bisect_right(time, begin_s)
    share = (begin_s - time[i - 1]) / (time[i] - time[i - 1])
    at_s = begin_s
    now = rate[i - 1] + (rate[i] - rate[i - 1]) * share
    left = bits
    most = now
    for next_s, then in zip(time[i:], rate[i:], strict=True):
        passing = (now + then) / 2.0 * (next_s - at_s)
        if left <= passing:
            return at_s + float(seconds(left, now, then, next_s - at_s))
        left = left - passing
        at_s = next_s
        now = then
        most = max(most, then)
    short = ROUNDING * (bits - left) + float(np.spacing(abs(at_s))) * most
    return close_s if left <= short else float(np.inf)
