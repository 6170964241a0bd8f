"""The steps of a chain as they are planned: who begins and ends each of them when."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from learning.requests.cluster import Cost, Floats, Ints, Mask
from sim.faults.presence import Presence
from sim.ledger import Fate
from sim.planned_session import PlannedSession
from sim.session_beam import SessionBeam
from sim.sharing import Carried, span_s


@dataclass(eq=False)
class Training:
    """A training step of a chain: who begins and ends it when.

    A device that leaves before stops at ``leaves_s`` (K,), and never ends. Where ``presence`` is
    given, those who leave go on when they are back: only the time that they are there counts.
    """

    who: Mask
    cost: Cost
    rounds: Ints
    begin_s: Floats
    end_s: Floats
    excluded: Mask
    leaves_s: Floats | None = None
    away: Mask | None = None
    presence: Presence | None = None

    def among(self, presence: Presence, one_s: Floats, pausing: bool) -> None:
        """Let only those train who are there: the others later, if they are to pause, or not at
        all. A round takes ``one_s``, () or (K,)."""
        if pausing:
            work_s = self.rounds * one_s
            asked = self.who & (self.rounds > 0)
            self.end_s = np.where(asked, presence.after_s(self.begin_s, work_s), self.end_s)
            self.begin_s = np.where(asked, presence.returns_s(self.begin_s), self.begin_s)
            self.presence = presence
        else:
            self.leaves_s = presence.leaves_s(self.begin_s)
            self.away = self.who & ~presence.present(self.begin_s)
            self.who = self.who & ~self.away
            self.rounds = np.where(self.who, self.rounds, 0)
            stays = self.who & (self.end_s <= self.leaves_s)
            self.end_s = np.where(stays | ~(self.who | self.away), self.end_s, np.inf)

    @property
    def stops_s(self) -> Floats:
        """When each device (K,) has ended, or has left."""
        return self.end_s if self.leaves_s is None else np.minimum(self.end_s, self.leaves_s)

    def ended(self, by_s: float) -> Mask:
        """Devices (K,) that have trained and ended all their rounds by ``by_s``."""
        return self.who & (self.end_s <= by_s) & (self.rounds > 0)

    def computed_s(self, by_s: float) -> Floats:
        """Seconds (K,) that the devices have computed by ``by_s``, whether a round ended or not."""
        until_s = np.minimum(self.stops_s, by_s)
        spent_s = until_s - self.begin_s
        if self.presence is not None:
            spent_s = self.presence.present_s(self.begin_s, until_s)
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

    Of what is sent, ``air_share`` (K,) is not packets sent again (None: all of it): of so many
    ``packets`` (K,) so many were ``resent``. ``corrupted`` (K,) marks what goes over the link as a
    whole and is then refused, ``late_s`` (K,) by how much a device begins later than it is ready,
    and ``away`` (K,) who would have taken part, but is not there.
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
    fate: Fate = ""
    session: PlannedSession | None = None
    beam: SessionBeam | None = None
    curve: Carried | None = None
    packets: Ints | None = None
    resent: Ints | None = None
    air_share: Floats | None = None
    corrupted: Mask | None = None
    late_s: Floats | None = None
    away: Mask | None = None
    ready_s: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.ready_s = self.arrival_s

    @property
    def bits(self) -> Floats:
        """Bits (K,) that have to be sent of what is not through, packets sent again among them."""
        bits: Floats = (self.size - self.before) * 8
        return bits if self.air_share is None else bits / np.where(bits > 0, self.air_share, 1.0)

    def useful_bytes(self, bits: Floats) -> Floats:
        """Bytes (K,) of the payload in so many bits that were sent."""
        return bits / 8 if self.air_share is None else bits / 8 * self.air_share

    def refused(self, by_s: float) -> Mask | None:
        """Devices (K,) whose upload was there by a time, and was refused; None for nobody."""
        if self.corrupted is None:
            return None
        return self.corrupted & (self.end_s <= by_s)

    def leave(self, leaves_s: Floats) -> None:
        """Let devices stop where they leave (K,); what was given to them stays theirs.

        Who leaves while the last bit is on its way has sent it, or still gets it.
        """
        gone = self.who & ~(self.sent_s <= leaves_s)
        self.begin_s = np.where(gone & (self.begin_s >= leaves_s), np.inf, self.begin_s)
        self.sent_s = np.where(gone, np.inf, self.sent_s)
        self.end_s = np.where(gone, np.inf, self.end_s)
        self.los_s = np.minimum(self.los_s, leaves_s)

    def sent_bytes(self, stop_s: Floats) -> Floats:
        """Bytes (K,) that the devices have sent from when they began to ``stop_s``."""
        if self.curve is None:
            return np.zeros_like(stop_s)
        begun = np.isfinite(self.begin_s)
        begin_s = np.where(begun, self.begin_s, stop_s)
        sent = self.curve.delivered_bits(np.maximum(stop_s, begin_s))
        return self.useful_bytes(sent - self.curve.delivered_bits(begin_s))

    def stop_s(self, by_s: float) -> Floats:
        """When the devices (K,) have stopped sending: the last bit is sent, LOS, or ``by_s``."""
        done = self.who & (self.end_s <= by_s)
        return np.where(done, self.sent_s, np.minimum(self.los_s, by_s))

    def there_s(self, by_s: float) -> Floats:
        """When the devices (K,) sent what was there by a time, if their last bits were sent."""
        stop_s = self.stop_s(by_s)
        under_way = self.who & (self.sent_s <= by_s) & (self.end_s > by_s)
        delay_s = np.where(under_way, self.end_s, 0.0) - np.where(under_way, self.sent_s, 0.0)
        there_s: Floats = stop_s - delay_s
        return there_s

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
