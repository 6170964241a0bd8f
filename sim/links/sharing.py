"""What devices are given of a band: sub-channels, for which they may wait, or shares of it all.

SessionBeam: the beams of a session's contacts, which devices share. Turns: when a beam that several
transfers share is free for the next one.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from heapq import heappop, heappush, heapreplace
from math import ceil
from typing import NamedTuple, Protocol

import numpy as np

from channel import LinkCurve, clipped, joined
from channel.link_curve import ROUNDING
from sim.links.beam import Beam, RateSegment, Span
from statements.arrays import Floats, Ints, Mask


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
    begin_s, end_s = np.where(bits == 0, comes_s, np.full((2, len(bits)), np.inf))
    waiting = [
        iter([(ready_s, number, size)] if is_sending else [])
        for number, (ready_s, size, is_sending) in enumerate(
            zip(comes_s.tolist(), bits.tolist(), sends.tolist(), strict=True)
        )
    ]
    for turn in turns_of(curve, waiting, channels):
        begin_s[turn.device], end_s[turn.device] = turn.begin_s, turn.end_s
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


class Turn(NamedTuple):
    """A payload on a sub-channel: ``end_s`` is inf if the link closes before its last bit."""

    device: int
    number: int
    begin_s: float
    end_s: float


def turns_of(
    curve: LinkCurve, waiting: Sequence[Iterator[tuple[float, int, float]]], channels: int
) -> Iterator[Turn]:
    """Yield who sends when: the payload that came first takes the sub-channel that is free first.

    ``waiting`` (K) gives the payloads of each device in the order in which the device sends them,
    one at a time: seconds from which a payload is ready, its number, and its bits, above 0. A
    payload comes when it is ready, its device has sent the one before, and its row of ``curve``
    (K, T) begins to carry. Of those that come together the smallest number goes first.
    """
    opens_s, closes_s = (each.tolist() for each in curve.span_s)
    free_s = [-np.inf] * channels
    queue: list[tuple[float, int, int, float]] = []

    def join(device: int, earliest_s: float) -> None:
        for ready_s, number, bits in waiting[device]:
            heappush(queue, (max(ready_s, earliest_s), number, device, bits))
            return

    for device, open_s in enumerate(opens_s):
        join(device, open_s)
    while queue:
        comes_s, number, device, bits = heappop(queue)
        begin_s = max(comes_s, free_s[0])
        close_s = closes_s[device]
        if begin_s >= close_s:
            continue
        time, rate = curve.time_s[device].tolist(), curve.rate_bps[device].tolist()
        end_s = _through_s(time, rate, begin_s, bits, close_s)
        heapreplace(free_s, min(end_s, close_s))
        yield Turn(device, number, begin_s, end_s)
        if end_s < np.inf:
            join(device, end_s)


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


# One direction of a session: the beams of its contacts, one after the other.


@dataclass(frozen=True, eq=False)
class SessionBeam:
    """Beams of the same devices (K), each in use during its span: seconds, in order of time.

    ``whole`` says that the only beam is used from its rise to its set.
    """

    beams: Sequence[Beam]
    spans_s: Sequence[Span]
    whole: bool
    _heard: dict[bytes, LinkCurve] = field(default_factory=dict, repr=False)

    @cached_property
    def curve(self) -> LinkCurve:
        """Rate of each device if it were alone; 0 in the gaps."""
        return self._after_each_other([beam.curve for beam in self.beams])

    def _after_each_other(self, curves: Sequence[LinkCurve]) -> LinkCurve:
        return curves[0] if self.whole else joined(curves, self.spans_s)

    @cached_property
    def edges_s(self) -> list[tuple[Floats, Floats]]:
        """First and last second (K,) in which each device is served, for each contact."""
        grids = [
            (beam.curve.time_s, span) for beam, span in zip(self.beams, self.spans_s, strict=True)
        ]
        return [(np.clip(t[:, 0], *span), np.clip(t[:, -1], *span)) for t, span in grids]

    @property
    def is_broadcast(self) -> bool:
        """Whether one transmission goes to all devices."""
        radio = self.beams[0].radio
        return radio is not None and radio.sharing == "broadcast"

    @property
    def channels(self) -> int:
        """How many transmissions there can be at a time: sub-channels, or one broadcast."""
        radio = self.beams[0].radio
        return sys.maxsize if radio is None else radio.channels

    def goes_to_all(self, *, personal: bool) -> bool:
        """Whether one transmission goes to all devices that a payload is for."""
        return self.is_broadcast and not personal

    def crowding(self, senders: int, *, personal: bool = False) -> float:
        """Factor, at least 1, by which a transfer takes longer when ``senders`` devices share.

        In a queue they go by whole turns.
        """
        radio = self.beams[0].radio
        if radio is None or self.goes_to_all(personal=personal):
            return 1.0
        turns = max(1.0, senders / radio.channels)
        return turns if radio.sharing == "equal_share" else float(ceil(turns))

    def send(
        self, arrival_s: Floats, bits: Floats, who: Mask, *, personal: bool = False
    ) -> Allocation:
        """Let the devices in ``who`` send ``bits`` (K,) from when they are ready, and share.

        On a beam that broadcasts, ``personal`` payloads have the whole band, device by device.
        """
        if self.goes_to_all(personal=personal):
            return queued(self._broadcast(who), arrival_s, bits, who, len(who))
        return self._of_each(arrival_s, bits, who)

    def _of_each(self, arrival_s: Floats, bits: Floats, who: Mask) -> Allocation:
        """Return what each device gets of what is sent to it alone."""
        radio = self.beams[0].radio
        channels = len(who) if radio is None else radio.channels
        senders = int(who.sum())
        if senders <= channels or radio is None or radio.alone or self.is_broadcast:
            return queued(self.curve, arrival_s, bits, who, channels)
        reach = self._after_each_other([beam.reach(senders) for beam in self.beams])
        return shared(self._stretch, reach, arrival_s, bits, who)

    def _broadcast(self, who: Mask) -> LinkCurve:
        """Return the curve of a transmission to ``who``, which most sessions repeat."""
        key = who.tobytes()
        if key not in self._heard:
            pairs = zip(self.beams, self.spans_s, strict=True)
            lowest = [beam.broadcast(who, span_s) for beam, span_s in pairs]
            self._heard.clear()
            self._heard[key] = self._after_each_other(lowest)
        return self._heard[key]

    def _stretch(self, sharing: int, now_s: float, who: Mask) -> RateSegment:
        """Return the rates that the contact in use at a time gives to the devices in ``who``."""
        begun = [n for n, (first_s, _) in enumerate(self.spans_s) if first_s <= now_s]
        number = begun[-1] if begun else 0
        stretch = self.beams[number].stretch(sharing, now_s, who)
        return replace(stretch, until_s=min(stretch.until_s, self.spans_s[number][1]))


Turns = tuple[Ints, Floats]
"""Which devices of a transfer have their turn, by number, and until when."""


def beam_free_s(beam: SessionBeam, devices: int, ends_s: Iterable[float]) -> float:
    """When a shared beam is free behind transfers that end at ``ends_s``; -inf for at once.

    A broadcast is one transmission at a time, and where a cluster has more devices than the beam
    has sub-channels, the beam serves the steps of a chain one after the other: those of a later
    step begin when the last device has ended an earlier one.
    """
    if not (beam.is_broadcast or beam.crowding(devices) > 1.0):
        return -np.inf
    return max(ends_s, default=-np.inf)


def turn_s(beside: int, others: Sequence[Turns], devices: int) -> Floats:
    """When each of so many devices (K,) has its turn behind the transfers of other chains.

    These are its own, and as many as the beam has no sub-channels for ``beside`` it.
    """
    rows, until_s = map(np.concatenate, zip(*others, strict=True))
    own_s: Floats = np.full(devices, -np.inf)
    np.maximum.at(own_s, rows, until_s)
    busy_until_s = np.sort(until_s[np.isfinite(until_s)])[::-1]
    if len(busy_until_s) <= beside:
        return own_s
    # So many of the others may still send when the transfer takes its sub-channels.
    return np.maximum(own_s, busy_until_s[beside])
