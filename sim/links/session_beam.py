"""One direction of a session: the beams of its contacts, one after the other.

Turns: when a beam that several transfers share is free for the next one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil
from typing import NamedTuple

import numpy as np

from channel import LinkCurve, joined
from sim.links.beam import Beam, Radio, Span
from sim.links.sharing import Allocation, Carried, RateSegment, queued, shared
from statements.arrays import Floats, Ints, Mask


class Transmission(NamedTuple):
    """What devices (K,) are given of a beam, as an ``Allocation`` of its band has it.

    ``alone`` is the rate of each if it were alone, ``radio`` what shares the band out (None:
    nothing does). Where it ``is_one_for_all``, one transmission goes to all devices.
    """

    begin_s: Floats
    end_s: Floats
    curve: Carried
    alone: LinkCurve
    radio: Radio | None
    is_one_for_all: bool

    @property
    def opens_s(self) -> Floats:
        """When each device (K,) could have begun if it were alone."""
        return self.alone.span_s[0]

    @property
    def los_s(self) -> Floats:
        """When each device (K,) loses the beam."""
        return self.alone.time_s[:, -1]

    def crowding(self, senders: int) -> float:
        """Factor, at least 1, by which it takes longer when ``senders`` devices share."""
        return 1.0 if self.is_one_for_all else _crowding(self.radio, senders)


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

    def crowding(self, senders: int) -> float:
        """Factor, at least 1, by which a transfer takes longer when ``senders`` devices share."""
        return 1.0 if self.is_broadcast else _crowding(self.beams[0].radio, senders)

    def send(
        self, arrival_s: Floats, bits: Floats, who: Mask, *, personal: bool = False
    ) -> Transmission:
        """Let the devices in ``who`` send ``bits`` (K,) from when they are ready, and share.

        On a beam that broadcasts, ``personal`` payloads have the whole band, device by device.
        """
        is_one_for_all = self.is_broadcast and not personal
        if is_one_for_all:
            given = queued(self._broadcast(who), arrival_s, bits, who, len(who))
        else:
            given = self._of_each(arrival_s, bits, who)
        return Transmission(
            given.begin_s,
            given.end_s,
            given.curve,
            self.curve,
            self.beams[0].radio,
            is_one_for_all,
        )

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


def _crowding(radio: Radio | None, senders: int) -> float:
    """Factor by which transfers of ``senders`` devices take longer: in a queue by whole turns."""
    if radio is None:
        return 1.0
    turns = max(1.0, senders / radio.channels)
    return turns if radio.sharing == "equal_share" else float(ceil(turns))


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
