"""Processor sharing: devices of a cluster use the band of one beam at the same time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from channel import LinkCurve
from channel.link_curve import ROUNDING
from learning.requests.cluster import Floats, Ints, Mask
from sim.links.sharing import Allocation


@dataclass(frozen=True, eq=False)
class RateSegment:
    """Rates of devices (K rows) until a time."""

    curve: LinkCurve
    until_s: float = np.inf

    def sent_bits(self, start_s: Floats | float, end_s: Floats | float) -> Floats:
        """Bits (K,) between two times."""
        return self.curve.delivered_bits(end_s) - self.curve.delivered_bits(start_s)


SegmentOf = Callable[[int, float, Mask], RateSegment]
"""What the devices in a mask (K,) can send at from a time on if so many share the band; what it
says of the others does not count."""


def shared(
    segment_of: SegmentOf, reach: LinkCurve, arrival_s: Floats, bits: Floats, who: Mask
) -> Allocation:
    """Divide the band anew whenever a sender comes or goes: exact but for rounding.

    A device shares from when it is ready (``arrival_s``, inf for never) until its ``bits`` are
    through, wherever its row of ``reach`` (K rows) carries anything. Nothing is carried outside of
    the grid of ``reach``. A payload that is short only by rounding (1e-12 of it and a tick of the
    clock) is through. All arrays are (K,).
    """
    ready_s = np.where(who, np.maximum(arrival_s, reach.time_s[:, 0]), np.inf)
    left = np.array(bits, float)
    gates = np.zeros(len(bits), np.int64)
    begin_s = np.where(bits == 0, ready_s, np.inf)
    end_s = begin_s.copy()
    event_s = [-np.inf]
    sharing_from: list[Mask] = [np.zeros(len(bits), bool)]
    sent_by: list[Floats] = [np.zeros(len(bits))]
    gate_s, device, step = _gates(ready_s, reach)
    passed = 0
    now_s = float(gate_s[0])
    while now_s < np.inf:
        before = passed
        passed = int(np.searchsorted(gate_s, now_s, "right"))
        np.add.at(gates, device[before:passed], step[before:passed])
        next_s = float(gate_s[passed])
        sharing = (gates == 2) & (left > 0)
        event_s.append(now_s)
        sharing_from.append(sharing)
        sent_by.append(bits - left)
        if not sharing.any():
            now_s = next_s
            continue
        # They send until a device comes, goes or is through.
        segment = segment_of(int(np.count_nonzero(sharing)), now_s, sharing)
        wanted = np.where(sharing, left, 0.0)
        through_s = segment.curve.completion_time_s(wanted, now_s)
        through_s = np.where(sharing, through_s, np.inf)
        # A device that needs less than a tick of the clock takes one, so that time goes on.
        stop_s = min(segment.until_s, next_s, float(through_s.min()))
        stop_s = max(stop_s, float(np.nextafter(now_s, np.inf)))
        some = np.where(sharing, segment.sent_bits(now_s, stop_s), 0.0)
        left = np.maximum(left - some, 0.0)
        slack = ROUNDING * bits + np.spacing(abs(stop_s)) * (some / (stop_s - now_s))
        done = sharing & ((through_s <= stop_s) | (left <= slack))
        np.minimum(begin_s, now_s, out=begin_s, where=sharing)
        left[done] = 0.0
        end_s[done] = stop_s
        now_s = stop_s
    sent = Sent(segment_of, np.array(event_s), np.array(sharing_from), np.array(sent_by))
    return Allocation(begin_s, end_s, sent)


def _gates(ready_s: Floats, reach: LinkCurve) -> tuple[Floats, Ints, Ints]:
    """Return when devices open (1) or close (-1) one of their two gates, in order of time.

    A device opens one when it is ready, its link the other. The last time is inf.
    """
    devices = np.arange(len(ready_s))
    (rise_s, rising), (fall_s, falling) = _edges(reach)
    time_s = np.concatenate([ready_s, rise_s, fall_s, [np.inf]])
    device = np.concatenate([devices, rising, falling, devices[:1]])
    counts = [len(devices), len(rising), len(falling), 1]
    step = np.repeat([1, 1, -1, 0], counts)
    order = np.argsort(time_s, kind="stable")
    return time_s[order], device[order], step[order]


@dataclass(frozen=True, eq=False)
class Sent:
    """What devices (K,) have sent by any time: known at events (E,), and by curves in between.

    The curves are made anew when they are asked for, as there is one for nearly every event.
    ``sharing`` (E, K) says who shares from an event on, ``bits`` (E, K) what was sent by then.
    """

    segment_of: SegmentOf
    event_s: Floats
    sharing: Mask
    bits: Floats

    def delivered_bits(self, time_s: Floats | float) -> Floats:
        """Bits (K,) that each device has sent by its time (K,), or all by one."""
        devices = np.arange(self.bits.shape[1])
        when_s = np.broadcast_to(np.asarray(time_s, float), devices.shape)
        event = np.searchsorted(self.event_s, when_s, "right") - 1
        event = np.maximum(event, 0)
        sent: Floats = self.bits[event, devices]
        sends = self.sharing[event, devices] & (when_s > self.event_s[event])
        for number in np.unique(event[sends]):
            senders = sends & (event == number)
            start_s = float(self.event_s[number])
            count = int(self.sharing[number].sum())
            segment = self.segment_of(count, start_s, senders)
            since = segment.sent_bits(start_s, np.where(senders, when_s, start_s))
            most = self.bits[number + 1] - self.bits[number]
            sent[senders] += np.minimum(since, most)[senders]
        return sent


def _edges(reach: LinkCurve) -> tuple[tuple[Floats, Ints], tuple[Floats, Ints]]:
    """Return times and devices of the begins and of the ends of what a curve's rows carry."""
    time = reach.time_s
    rate = reach.rate_bps
    whole = np.diff(time, axis=1) > 0
    # A cell of no length goes on with what the one before it says.
    cell = np.maximum.accumulate(np.where(whole, np.arange(whole.shape[1]), 0), axis=1)
    carries = np.take_along_axis(whole & ((rate[:, :-1] > 0) | (rate[:, 1:] > 0)), cell, axis=1)
    step = np.diff(np.pad(carries.astype(np.int64), ((0, 0), (1, 1))), axis=1)
    rises = np.nonzero(step > 0)
    falls = np.nonzero(step < 0)
    return (time[rises], rises[0]), (time[falls], falls[0])
