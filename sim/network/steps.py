"""Training and Transfer steps of a chain, and their parts by contact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from learning.requests.cluster import Cost, Download, Floats, Ints, Mask, Train, Upload
from sim.devices.faults import Presence
from sim.errors import SimulationError
from sim.links.session_beam import SessionBeam
from sim.links.sharing import Carried, everywhere
from sim.network.ledger import Fate
from sim.plan.contacts import PlannedContact, PlannedSession
from sim.trace.directions import Way


def sending_s(leg: Transfer, parts: Iterable[Part]) -> Floats:
    """Seconds (K,) in which devices send to their server, over the parts of a leg."""
    seconds: Floats = np.zeros(len(leg.who))
    if leg.way is Way.TO_SERVER:
        for part in parts:
            lasts_s = part.end_s - np.minimum(part.begin_s, part.end_s)
            sends = leg.who if part.bytes is None else leg.who & (part.bytes > 0)
            seconds = seconds + (lasts_s if everywhere(sends) else np.where(sends, lasts_s, 0.0))
    return seconds


@dataclass(eq=False)
class Training:
    """A training step of a chain: when each device begins and ends it.

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
        return self.trains & (self.end_s <= by_s)

    @property
    def trains(self) -> Mask:
        """Devices (K,) that have rounds to train."""
        return self.who & (self.rounds > 0)

    def computed_s(self, by_s: float) -> Floats:
        """Seconds (K,) that the devices have computed by ``by_s``, whether a round ended or not."""
        until_s = np.minimum(self.stops_s, by_s)
        spent_s = until_s - self.begin_s
        if self.presence is not None:
            spent_s = self.presence.present_s(self.begin_s, until_s)
        return np.where(self.trains, np.maximum(spent_s, 0.0), 0.0)


@dataclass(eq=False)
class Transfer:
    """A transfer step of a chain: its bytes, and when each device (K,) begins and ends it.

    ``before`` is what was through of the payload already. A device is ready at ``arrival_s`` and
    begins at ``begin_s``; the last bit is sent at ``sent_s`` and there at ``end_s``. These are inf
    for a device that never begins, or does not get through by ``los_s``.
    ``everyone`` says that all devices take part, so that nobody is to be left out of an array.
    ``session`` is what can be used of the session (None: nothing), ``beam`` its link this way
    (None: takes no time) and ``curve`` what each device is given of it. What is
    ``personal`` is not broadcast.

    Of what is sent, ``air_share`` (K,) is not packets sent again (None: all of it): of so many
    ``packets`` (K,) so many were ``resent``. ``corrupted`` (K,) marks what goes over the link as a
    whole and is then refused, ``late_s`` (K,) by how much a device begins later than it is ready,
    and ``away`` (K,) who would have taken part, but is not there.
    """

    way: Way
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
    los_s: Floats = field(init=False)
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
    everyone: bool = field(init=False)

    def __post_init__(self) -> None:
        self.ready_s = self.arrival_s
        self.everyone = everywhere(self.who)

    def among(self, mine: Floats, others: float | Floats) -> Floats:
        """Values (K,) of those who take part, and of the others."""
        return mine if self.everyone else np.where(self.who, mine, others)

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
        return stop_s - delay_s

    def waited_s(self) -> Floats | None:
        """Seconds (K,) that a device with a link waited for a sub-channel; None if nobody did."""
        senders = int(np.count_nonzero(self.who))
        if self.beam is None or self.beam.crowding(senders, self.personal) <= 1.0:
            return None
        opens_s, _ = self.beam.curve.span_s
        ready_s = np.maximum(self.arrival_s, opens_s)
        begin_s = np.where(np.isfinite(self.begin_s), self.begin_s, self.los_s)
        waited: Floats = np.where(self.who & np.isfinite(ready_s), begin_s - ready_s, 0.0)
        return np.maximum(waited, 0.0)


Leg = Training | Transfer


# The steps of a chain as a method asks for them.


Step = Train | Upload | Download


def everybody(who: Mask | None, k: int) -> Mask:
    """Return ``who`` as a mask (K,); None stands for all devices."""
    return np.ones(k, bool) if who is None else np.asarray(who, bool)


def way_of(step: Upload | Download) -> Way:
    """Return which way a step sends its payload."""
    return Way.TO_SERVER if isinstance(step, Upload) else Way.TO_CLIENT


def check_names(steps: Sequence[Step]) -> None:
    """Refuse a chain that sends one payload twice: the ledger knows payloads by their names."""
    sent = [(way_of(s), s.payload.name) for s in steps if not isinstance(s, Train)]
    for way, name in sent:
        if sent.count((way, name)) > 1:
            raise SimulationError(
                f"a chain has two transfers of payload {name!r} to the "
                f"{way}; give them two names, or ask for the second one in a request of its "
                "own"
            )


# A transfer over a session, contact by contact.


@dataclass(frozen=True, eq=False)
class Part:
    """What the link carries for each device (K,) in one contact, between two times.

    ``last`` marks the devices for which nothing of the transfer lies in a later contact; ``bytes``
    and ``last`` are None where all of it lies in this one.
    """

    contact: PlannedContact
    begin_s: Floats
    end_s: Floats
    bytes: Floats | None = None
    last: Mask | None = None


def parts(session: PlannedSession, leg: Transfer, end_s: Floats) -> Iterator[Part]:
    """Split what a leg has sent by ``end_s`` (K,)."""
    if len(session.contacts) == 1:
        # A device that sends nothing may lie outside; one that does is within its contact.
        yield Part(session.contacts[0], leg.begin_s, end_s)
        return
    if leg.beam is None or leg.curve is None:  # all at one time, in the contact that has begun
        starts_s = [contact.start_s for contact in session.contacts]
        final = np.searchsorted(starts_s, leg.begin_s, "right") - 1
        spans = [(leg.begin_s, end_s)] * len(starts_s)
        sent = [np.where(final == number, np.inf, 0.0) for number in range(len(starts_s))]
    else:  # what the curve carries inside each contact
        begin_s = np.minimum(leg.begin_s, end_s)  # the run may end before a device begins
        spans = [(np.clip(begin_s, *edges), np.clip(end_s, *edges)) for edges in leg.beam.edges_s]
        by = leg.curve.delivered_bits
        sent = [leg.useful_bytes(by(until) - by(since)) for since, until in spans]
        final = len(sent) - 1 - np.argmax(np.array(sent)[::-1] > 0, axis=0)
    for number, contact in enumerate(session.contacts):
        yield Part(contact, *spans[number], sent[number], final == number)
