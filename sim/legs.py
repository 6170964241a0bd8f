"""The steps of a chain as they are planned: who begins and ends each of them when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learning.requests import Cost, Floats, Ints, Mask
from sim.planned_session import PlannedSession
from sim.session_beam import SessionBeam
from sim.sharing import Carried, span_s


@dataclass(eq=False)
class Training:
    """A training step of a chain: who begins and ends it when."""

    who: Mask
    cost: Cost
    rounds: Ints
    begin_s: Floats
    end_s: Floats
    excluded: Mask

    def ended(self, by_s: float) -> Mask:
        """Devices (K,) that have trained and ended all their rounds by ``by_s``."""
        return self.who & (self.end_s <= by_s) & (self.rounds > 0)

    def computed_s(self, by_s: float) -> Floats:
        """Seconds (K,) that the devices have computed by ``by_s``, whether a round ended or not."""
        spent_s = np.minimum(self.end_s, by_s) - self.begin_s
        return np.where(self.who & (self.rounds > 0), np.maximum(spent_s, 0.0), 0.0)


@dataclass(eq=False)
class Transfer:
    """A transfer step of a chain: its bytes, and when each device (K,) begins and ends it.

    ``before`` is what was through of the payload already. A device is ready at ``arrival_s`` and
    begins at ``begin_s``; the last bit is sent at ``sent_s`` and there at ``end_s``. These are inf
    for a device that never begins, or does not get through by ``los_s``.
    ``session`` is what can be used of the session (None: nothing), ``beam`` its link in this
    direction (None: takes no time) and ``curve`` what each device is given of it. What is
    ``personal`` is not broadcast.
    """

    direction: str
    name: str
    who: Mask
    version: Ints
    size: Floats
    before: Floats
    carry: bool
    arrival_s: Floats
    begin_s: Floats
    sent_s: Floats
    end_s: Floats
    los_s: Floats
    personal: bool = False
    session: PlannedSession | None = None
    beam: SessionBeam | None = None
    curve: Carried | None = None

    def sent_bytes(self, stop_s: Floats) -> Floats:
        """Bytes (K,) that the devices have sent from when they began to ``stop_s``."""
        if self.curve is None:
            return np.zeros_like(stop_s)
        begun = np.isfinite(self.begin_s)
        begin_s = np.where(begun, self.begin_s, stop_s)
        sent = self.curve.delivered_bits(np.maximum(stop_s, begin_s))
        return (sent - self.curve.delivered_bits(begin_s)) / 8

    def stop_s(self, by_s: float) -> Floats:
        """When the devices (K,) have stopped sending: the last bit is sent, LOS, or ``by_s``."""
        done = self.who & (self.end_s <= by_s)
        return np.where(done, self.sent_s, np.minimum(self.los_s, by_s))

    def waited_s(self) -> Floats:
        """Seconds (K,) that a device with a link waited for a sub-channel; 0 for others."""
        senders = int(self.who.sum())
        if self.beam is None or self.beam.crowding(senders, self.personal) <= 1.0:
            return np.zeros_like(self.begin_s)
        opens_s, _ = span_s(self.beam.curve)
        ready_s = np.maximum(self.arrival_s, opens_s)
        begin_s = np.where(np.isfinite(self.begin_s), self.begin_s, self.los_s)
        waited: Floats = np.where(self.who & np.isfinite(ready_s), begin_s - ready_s, 0.0)
        return np.maximum(waited, 0.0)


Leg = Training | Transfer
