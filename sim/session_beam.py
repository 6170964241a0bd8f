"""One direction of a session: the beams of its contacts, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from channel import LinkCurve, joined
from channel.broadcast import jumps_s, weakest
from learning.requests import Floats, Mask
from sim.beam import Beam
from sim.fluid import shared
from sim.sharing import Given, queued

NODE_S = 4.0
"""Spacing at which rates are looked at when devices share a band fluidly."""

Span = tuple[float, float]


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
        """What each device could send if it were alone; in the gaps nothing moves."""
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

    def crowding(self, senders: int) -> float:
        """How many devices there are for each sub-channel, at least 1."""
        radio = self.beams[0].radio
        if radio is None or self.is_broadcast:
            return 1.0
        return max(1.0, senders / radio.channels)

    def send(self, arrival_s: Floats, bits: Floats, who: Mask) -> Given:
        """Let the devices in ``who`` send ``bits`` (K,) from when they are ready, and share."""
        radio = self.beams[0].radio
        if self.is_broadcast:
            return queued(self._broadcast(who), arrival_s, bits, who, len(who))
        channels = len(who) if radio is None else radio.channels
        alone = int(who.sum()) <= channels
        if alone or radio is None or radio.sharing == "fixed_subchannel":
            return queued(self.curve, arrival_s, bits, who, channels)
        return shared(self._rates_bps, self._nodes_s, arrival_s, bits, who)

    def _broadcast(self, who: Mask) -> LinkCurve:
        """The curve of a transmission to ``who``; a session mostly has several to the same ones."""
        key = who.tobytes()
        if key not in self._heard:
            lowest = [weakest(beam.curve, who) for beam in self.beams]
            self._heard.clear()
            self._heard[key] = self._after_each_other(lowest)
        return self._heard[key]

    def _rates_bps(self, start_s: float, end_s: float, sharing: int) -> tuple[Floats, Floats]:
        for beam, (first_s, last_s) in zip(self.beams, self.spans_s, strict=True):
            if first_s <= start_s and end_s <= last_s:
                return beam.rates_bps(start_s, end_s, sharing)
        nothing = np.zeros(len(self.beams[0].curve.time_s))
        return nothing, nothing

    @cached_property
    def _nodes_s(self) -> Floats:
        """Times where a rate may bend or jump, and evenly between: sorted."""
        every = [np.array(self.spans_s).ravel(), *(edge for both in self.edges_s for edge in both)]
        for first_s, last_s in self.spans_s:
            every.append(np.linspace(first_s, last_s, int((last_s - first_s) / NODE_S) + 2))
        every += [jumps_s(beam.curve.time_s) for beam in self.beams]
        return np.unique(np.concatenate(every))
