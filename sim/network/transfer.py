"""Transfer: a step of a chain in which devices send or get a payload, in closed form for all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from learning.requests.cluster import Download, Receipt, Upload
from learning.requests.facts import Cause, injected_text
from learning.requests.reasons import Reason
from sim.devices.energy import Use
from sim.devices.faults import FLAWLESS, LegFaults, Presence
from sim.errors import DURATIONS, violated
from sim.facts.directions import Way
from sim.facts.faults import PacketsResent
from sim.facts.transfers import Outcome, SubChannelBusy, in_tables
from sim.links.sharing import Allocation, SessionBeam, Turns, beam_free_s, everywhere, turn_s
from sim.network.books import LedgerEntry
from sim.network.endpoint import (
    OF_CUT_OFF,
    CutTransfers,
    Ending,
    Endpoint,
)
from sim.network.legs import Dropped, Moved
from sim.plan.contacts import PlannedContact, PlannedSession
from statements.arrays import Floats, Ints, Mask

SHORTEST_S = 1e-6
"""Waiting for less is rounding, and what ends by less before a contact ends with it."""

LOST = {Outcome.DROPPED: "given up", Outcome.RESTARTED: "begins anew"}
"""What is said of a part that was sent in vain."""


class Part(NamedTuple):
    """What of a transfer of devices (K,) lies in one of its contacts, between two times.

    These are so many ``bytes`` (K,), or fewer. ``last`` (K,) marks the devices for which nothing of
    the transfer lies in a later contact: all that is left moves in this one.
    """

    contact: PlannedContact
    begin_s: Floats
    end_s: Floats
    bytes: Floats
    last: Mask


@dataclass(eq=False, kw_only=True)
class Transfer:
    """A transfer step of a chain: its bytes, and when each device (K,) begins and ends it.

    It sends a payload ``name`` in a ``version`` (K,), to which the ledger's ``entry`` belongs; of
    its ``size`` (K,), the bytes ``before`` (K,) were through when the step began. ``who`` (K,) take
    part; ``away`` (K,) would have, but are not there. A ``personal`` payload is not broadcast.
    ``carry`` and ``cut_transfers`` rule what a pass cuts off.

    A device is ready at ``ready_s``, which ``faults`` may delay; it can begin at ``arrival_s`` and
    does at ``begin_s``; the last bit is sent at ``sent_s`` and there at ``end_s``. These are inf
    for a device that never begins, or does not get through by ``los_s``.

    The chain goes over ``session`` (None: there is none); ``beam`` is its link (None: takes no
    time) and ``sent`` what each device is given of that. Over a mesh, ``message`` (K,) numbers
    the messages that it is a hop of.
    """

    way: Way
    name: str
    entry: LedgerEntry
    version: Ints
    size: Floats
    before: Floats
    who: Mask
    carry: bool
    cut_transfers: CutTransfers
    personal: bool
    session: PlannedSession | None
    ready_s: Floats
    faults: LegFaults = FLAWLESS
    away: Mask | None = None
    beam: SessionBeam | None = None
    sent: Allocation | None = None
    message: Ints | None = None
    left: Floats = field(init=False)
    arrival_s: Floats = field(init=False)
    begin_s: Floats = field(init=False)
    sent_s: Floats = field(init=False)
    end_s: Floats = field(init=False)
    los_s: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.before = np.where(self.who, self.before, 0.0)
        self.left = self.size - self.before
        self.arrival_s = self.ready_s

    # Planning: when each device would begin and end.

    @classmethod
    def plan(
        cls,
        step: Upload | Download,
        endpoint: Endpoint,
        session: PlannedSession | None,
        ready_s: Floats,
        *,
        way: Way,
        earlier: Sequence[Transfer],
        others: Sequence[Transfer],
    ) -> Transfer:
        """Plan a step of devices that are ready at ``ready_s`` (K,): inf for never.

        It goes behind the ``earlier`` transfers of its chain, and those of ``others``, that go the
        same way.
        """
        payload = step.payload
        k = len(ready_s)
        size = np.full(k, payload.bytes, float)
        version = np.full(k, payload.version, np.int64)
        asked = np.isfinite(ready_s)
        if step.who is not None:
            asked = asked & step.who
        presence = endpoint.devices.presence
        who = asked if presence is None else asked & presence.present(ready_s)
        entry = endpoint.ledger.entry(way, payload.name)
        forgotten = entry.offer(version, size, who)
        endpoint.books.enlist(entry.account.key, payload, who)
        now_s = endpoint.clock.now
        planned = cls(
            way=way,
            name=payload.name,
            entry=entry,
            version=version,
            size=size,
            before=entry.through,
            who=who,
            carry=step.carry,
            cut_transfers=endpoint.cut_transfers,
            personal=isinstance(step, Download) and step.personal,
            session=session,
            ready_s=ready_s,
        )
        planned._schedule(endpoint, earlier, others)
        if presence is not None:
            planned._leave(presence, asked)
        planned._tell_waits(endpoint)
        if session is not None and np.count_nonzero(forgotten):
            contact_id = session.at(now_s).contact_id
            for fact in planned._forgets(forgotten, endpoint.cluster.name, contact_id, now_s):
                endpoint.log.add(fact)
        return planned

    def _schedule(
        self, endpoint: Endpoint, earlier: Sequence[Transfer], others: Sequence[Transfer]
    ) -> None:
        """Give each device its time of the session."""
        session = self.session
        if session is None:
            self.begin_s = self.sent_s = self.end_s = np.full(len(self.who), np.inf)
            self.los_s = np.full(len(self.who), endpoint.clock.now)
            return
        beam = self.beam = session.beam(self.way)
        if endpoint.faults is not None:
            together = None if beam is None else beam.goes_to_all(personal=self.personal)
            self.faults = endpoint.faults.draw(
                self.way, self.name, session.start_s, self.who, self.left, together=together
            )
        in_time = self.who & (self.arrival_s <= session.end_s)
        self.arrival_s = np.where(in_time, session.in_service_s(self.arrival_s), np.inf)
        if beam is None:  # a neglected link takes no time
            self.begin_s = self.sent_s = self.end_s = self.arrival_s
            self.los_s = np.full(len(self.who), session.end_s)
            return
        self._line_up(beam, earlier, others)
        self._send(beam, session, in_time)

    def _line_up(
        self, beam: SessionBeam, earlier: Sequence[Transfer], others: Sequence[Transfer]
    ) -> None:
        """Let each device come when it has its turn behind other transfers."""
        if earlier:
            ends_s = (float(one.frees_s[one.who].max()) for one in earlier if one.who.any())
            free_s = beam_free_s(beam, len(self.who), ends_s)
            self.arrival_s = np.maximum(self.arrival_s, free_s)
        if others:
            beside = max(beam.channels - int(self.who.sum()), 0)
            their_turns = [one.turns for one in others]
            own_s = turn_s(beside, their_turns, len(self.who))
            self.arrival_s = np.maximum(self.arrival_s, own_s)

    def _send(self, beam: SessionBeam, session: PlannedSession, in_time: Mask) -> None:
        """Let the devices that come ``in_time`` send; the last bit is there a light time later."""
        sent = beam.send(self.arrival_s, self._air_bits, in_time, personal=self.personal)
        self.sent = sent
        self.begin_s = sent.begin_s
        self.sent_s = sent.end_s
        there = sent.end_s < np.inf
        if everywhere(there):
            self.end_s = sent.end_s + session.delay_s(sent.end_s)
        else:
            if np.isnan(sent.begin_s).any() or np.isnan(sent.end_s).any():
                raise violated(DURATIONS, f"{self.name} to the {self.way} has no time at all (nan)")
            delay_s = session.delay_s(np.where(there, sent.end_s, session.start_s))
            self.end_s = np.where(there, sent.end_s + delay_s, np.inf)
        los_s = beam.curve.time_s[:, -1]
        self.los_s = np.where(los_s > session.end_s - SHORTEST_S, session.end_s, los_s)

    def _leave(self, presence: Presence, asked: Mask) -> None:
        """Let devices stop where they leave (K,); what was given to them stays theirs.

        Who leaves while the last bit is on its way has sent it, or still gets it.
        """
        leaves_s = presence.leaves_s(self.ready_s)
        gone = self.who & ~(self.sent_s <= leaves_s)
        self.away = asked & ~self.who
        self.begin_s = np.where(gone & (self.begin_s >= leaves_s), np.inf, self.begin_s)
        self.sent_s = np.where(gone, np.inf, self.sent_s)
        self.end_s = np.where(gone, np.inf, self.end_s)
        self.los_s = np.minimum(self.los_s, leaves_s)

    def _tell_waits(self, endpoint: Endpoint) -> None:
        """Tell how many devices wait for a sub-channel, and how long at most."""
        if self.session is None or self.beam is None:
            return
        if self.beam.crowding(int(np.count_nonzero(self.who)), personal=self.personal) <= 1.0:
            return
        could_s = np.maximum(self.arrival_s, self.beam.curve.span_s[0])
        begin_s = np.where(np.isfinite(self.begin_s), self.begin_s, self.los_s)
        waited_s = np.where(self.who & np.isfinite(could_s), begin_s - could_s, 0.0)
        late = int((waited_s > SHORTEST_S).sum())
        if late:
            contact = self.session.at(endpoint.clock.now)
            endpoint.facts.emit(
                SubChannelBusy(
                    time_s=endpoint.clock.now,
                    cluster=contact.cluster.name,
                    contact_id=contact.contact_id,
                    payload=self.name,
                    devices=late,
                    longest_s=float(waited_s.max()),
                )
            )

    @property
    def _air_bits(self) -> Floats:
        """Bits (K,) that have to be sent of what is left, packets sent again among them."""
        bits: Floats = self.left * 8
        share = self.faults.air_share
        return bits if share is None else bits / np.where(bits > 0, share, 1.0)

    def _useful_bytes(self, bits: Floats) -> Floats:
        """Bytes (K,) of the payload in so many bits that were sent."""
        share = self.faults.air_share
        return bits / 8 if share is None else bits / 8 * share

    # What its chain asks of a step.

    @property
    def next_ready_s(self) -> Floats:
        """When each device (K,) is ready for the next step; inf for never."""
        ready_s = np.where(self.who, self.end_s, self.ready_s)
        return ready_s if self.away is None else np.where(self.away, np.inf, ready_s)

    @property
    def through_s(self) -> Floats:
        """When each device (K,) has done what was asked of it; inf for never."""
        end_s = np.where(self.who, self.end_s, np.inf)
        corrupted = self.faults.corrupted
        return end_s if corrupted is None else np.where(corrupted, np.inf, end_s)

    @property
    def stops_s(self) -> Floats:
        """When each device (K,) has ended, or can get nothing more through."""
        return np.where(self.end_s < np.inf, self.end_s, self.los_s)

    @property
    def frees_s(self) -> Floats:
        """When each device (K,) sends no more of it."""
        return np.where(np.isfinite(self.sent_s), self.sent_s, self.los_s)

    @cached_property
    def turns(self) -> Turns:
        """Which devices (R,) have their turn, by number, and until when (R,), once it is planned.

        Others look at it as often as they plan, and of many devices few take part.
        """
        rows = np.flatnonzero(self.who & np.isfinite(self.begin_s))
        return rows, self.frees_s[rows]

    def use(self, by_s: float) -> Use:
        """Return what the devices have done by a time."""
        if self.session is None:
            return Use()
        return Use(sending_s=self._sending_s(self._parts(self.session, self._stop_s(by_s))))

    def _stop_s(self, by_s: float) -> Floats:
        """When the devices (K,) have stopped sending: the last bit is sent, LOS, or ``by_s``."""
        done = self.who & (self.end_s <= by_s)
        return np.where(done, self.sent_s, np.minimum(self.los_s, by_s))

    def _there_s(self, by_s: float) -> Floats:
        """When the devices (K,) sent what was there by a time, if their last bits were sent."""
        stop_s = self._stop_s(by_s)
        under_way = self.who & (self.sent_s <= by_s) & (self.end_s > by_s)
        delay_s = np.where(under_way, self.end_s, 0.0) - np.where(under_way, self.sent_s, 0.0)
        return stop_s - delay_s

    def _sent_bytes(self, stop_s: Floats) -> Floats:
        """Bytes (K,) that the devices have sent from when they began to ``stop_s``."""
        if self.sent is None:
            return np.zeros_like(stop_s)
        begun = np.isfinite(self.begin_s)
        begin_s = np.where(begun, self.begin_s, stop_s)
        by = self.sent.curve.delivered_bits
        return self._useful_bytes(by(np.maximum(stop_s, begin_s)) - by(begin_s))

    def _sending_s(self, parts: Iterable[Part]) -> Floats:
        """Seconds (K,) in which the devices send to the server, over the parts of the transfer."""
        seconds: Floats = np.zeros(len(self.who))
        if self.way is Way.TO_SERVER:
            for part in parts:
                lasts_s = part.end_s - np.minimum(part.begin_s, part.end_s)
                seconds = seconds + np.where(self.who & (part.bytes > 0), lasts_s, 0.0)
        return seconds

    def _parts(self, session: PlannedSession, end_s: Floats) -> Sequence[Part]:
        """Split what has been sent by ``end_s`` (K,), contact by contact."""
        if len(session.contacts) == 1:
            # A device that sends nothing may lie outside; one that does is within its contact.
            bytes_, last = np.full(len(self.who), np.inf), np.ones(len(self.who), bool)
            return (Part(session.contacts[0], self.begin_s, end_s, bytes_, last),)
        if self.beam is None or self.sent is None:  # all of it in the contact that has begun
            starts_s = [contact.start_s for contact in session.contacts]
            begun = np.searchsorted(starts_s, self.begin_s, "right") - 1
            return [
                Part(contact, self.begin_s, end_s, np.where(begun == n, np.inf, 0.0), begun == n)
                for n, contact in enumerate(session.contacts)
            ]
        # The run may end before a device begins.
        begin_s = np.minimum(self.begin_s, end_s)
        spans = [
            (np.clip(begin_s, first_s, last_s), np.clip(end_s, first_s, last_s))
            for first_s, last_s in self.beam.edges_s
        ]
        by = self.sent.curve.delivered_bits
        carried = [self._useful_bytes(by(until_s) - by(since_s)) for since_s, until_s in spans]
        last = len(carried) - 1 - np.argmax(np.array(carried)[::-1] > 0, axis=0)
        return [
            Part(contact, *spans[number], carried[number], last == number)
            for number, contact in enumerate(session.contacts)
        ]

    # Settling: what has happened by now.

    def settle(self, endpoint: Endpoint, ending: Ending) -> Receipt:
        """Book what the devices have sent or got when the chain is over, and write it down."""
        now_s = ending.time_s
        whole = self.who & (self.end_s <= now_s)
        all_there = np.count_nonzero(whole) == np.count_nonzero(self.who)
        moved, stop_s = self._moved(whole, ending, all_there=bool(all_there))
        outcome: Ints | Outcome = Outcome.DELIVERED
        if not all_there or self.faults.corrupted is not None:
            outcome = outcomes_of(
                whole=whole,
                begun=self.entry.through + moved > 0,
                corrupted=self.faults.corrupted,
                cut_transfers=self.cut_transfers,
                carry=self.carry,
                run_over=ending.run_over,
            )
        given_up = self.entry.settle(self.who, moved, outcome)
        if self.session is not None:
            self._write(endpoint, self.session, moved, stop_s, outcome, now_s)
        self._tell_faults(endpoint, moved, now_s)
        done = whole if isinstance(outcome, Outcome) else whole & (outcome == Outcome.DELIVERED)
        asked = self.who if self.away is None else self.who | self.away
        kept = np.where(asked, self.entry.through, 0.0)
        kept = np.where(done, self.size, kept)
        return Receipt(
            done,
            np.where(done, self.end_s, np.inf),
            kept,
            self.size - kept,
            self._reason(whole, done, ending),
            given_up.copy(),
            None if self.session is None else self.session.contact_ids(self.sent_s),
        )

    def _moved(self, whole: Mask, ending: Ending, *, all_there: bool) -> tuple[Floats, Floats]:
        """Bytes (K,) that have moved when the chain is over, and until when (K,) they were sent."""
        moved = np.where(whole, self.left, 0.0)
        if all_there:
            return moved, np.where(self.who, self.sent_s, ending.time_s)
        # A chain that is closed early gets nothing of what is still on its way.
        stop_s = (self._there_s if ending.closed else self._stop_s)(ending.time_s)
        partial = self.who & ~whole & (self.begin_s < stop_s)
        if partial.any():
            moved = np.where(partial, np.minimum(self._sent_bytes(stop_s), self.left), moved)
        return moved, stop_s

    def _reason(self, whole: Mask, done: Mask, ending: Ending) -> Reason:
        """Say why not all who were asked have got through; empty if they have."""
        if self.session is None:
            return Reason.NO_CONTACT
        if self.away is not None and self.away.any() and not self.who.any():
            return Reason.DEVICES_AWAY
        if np.count_nonzero(done & self.who) == np.count_nonzero(self.who):
            return Reason.NONE
        if whole[self.who].all():
            return Reason.CORRUPTED
        return ending.closed or Reason.CONTACT_ENDED

    def _write(
        self,
        endpoint: Endpoint,
        session: PlannedSession,
        moved: Floats,
        stop_s: Floats,
        outcome: Ints | Outcome,
        now_s: float,
    ) -> None:
        """Log what moved in each contact of the session, what of it was in vain, and its energy."""
        parts = self._parts(session, stop_s)
        if self.way is Way.TO_SERVER:
            seconds = self._sending_s(parts)
            devices = endpoint.devices
            devices.sent_s = devices.sent_s + seconds
            if devices.battery is not None:
                devices.battery.send(now_s, float(seconds[0]))
        left = moved
        for part in parts:
            in_part = np.where(part.last, left, np.minimum(part.bytes, left))
            left = left - in_part
            fact = self._fact(part, in_part, outcome, endpoint.cluster.name, now_s)
            if fact is None:
                continue
            endpoint.log.add(fact)
            for dropped in self._drops(fact, outcome):
                endpoint.log.add(dropped)
            if fact.on_air is not None:
                again = float((fact.bytes - fact.on_air)[fact.who].sum())
                self.entry.account.heard_again += again

    def _fact(
        self, part: Part, moved: Floats, outcome: Ints | Outcome, cluster: str, now_s: float
    ) -> Moved | None:
        """Return what moved in one contact (K,), and with which outcome; None for nothing.

        What goes on in a later contact is carried over in this one.
        """
        moves = self.who & (moved > 0)
        if not np.count_nonzero(moves):
            return None
        ends = part.last & (self.end_s <= now_s)
        in_table = outcome if isinstance(outcome, Outcome) else in_tables(outcome)
        if not everywhere(part.last):
            in_table = np.where(part.last, in_table, Outcome.CARRIED)
        return Moved(
            cluster,
            part.contact.contact_id,
            key=self.entry.account.key,
            who=moves,
            version=self.version,
            size=self.size,
            bytes=moved,
            start_s=part.begin_s,
            end_s=np.where(ends, self.end_s, part.end_s),
            outcome=in_table,
            now_s=now_s,
            at_once=self.beam is None,
            message=self.message,
            on_air=self._on_air(part, moves, moved),
        )

    def _on_air(self, part: Part, who: Mask, moved: Floats) -> Floats | None:
        """Bytes (K,) of a broadcast that no device before got; None where each is sent its own.

        All hear one transmission, each from when it sees the sender until it has ``moved`` bytes.
        In order of their beginnings, what one hears later than all before it is sent for it.
        """
        if self.beam is None or self.sent is None:
            return None
        if not self.beam.goes_to_all(personal=self.personal):
            return None
        on_air = np.zeros_like(moved)
        rows = np.flatnonzero(who)
        rows = rows[np.lexsort((-part.end_s[rows], part.begin_s[rows]))]
        first_s, last_s = part.begin_s[rows], part.end_s[rows]
        heard_until_s = np.concatenate([[-np.inf], np.maximum.accumulate(last_s)[:-1]])
        alone = first_s >= heard_until_s
        on_air[rows[alone]] = moved[rows[alone]]
        if (later := ~alone & (last_s > heard_until_s)).any():
            since_s = part.begin_s.copy()
            since_s[rows] = np.minimum(heard_until_s, last_s)
            by = self.sent.curve.delivered_bits
            heard = self._useful_bytes(by(part.end_s) - by(since_s))
            on_air[rows[later]] = np.minimum(heard, moved)[rows[later]]
        return on_air

    def _drops(self, moved: Moved, outcome: Ints | Outcome) -> Iterator[Dropped]:
        """Yield what of a part was sent in vain: what was refused first."""
        if isinstance(outcome, Outcome):
            return
        lost = moved.who & (moved.outcome == Outcome.DROPPED)
        refused = lost & (outcome == Outcome.CORRUPTED)
        cut_off = lost & ~refused
        text = injected_text(Cause.CORRUPTED, self.name)
        yield from self._dropped(refused, moved, text, Cause.CORRUPTED)
        if np.count_nonzero(cut_off):
            text = f"{self.name} {LOST[Outcome(int(outcome[cut_off][0]))]}"
            yield from self._dropped(cut_off, moved, text)

    def _dropped(
        self, who: Mask, moved: Moved, detail: str, cause: Cause | None = None
    ) -> Iterator[Dropped]:
        rows = np.flatnonzero(who)
        if len(rows):
            yield Dropped(
                moved.cluster,
                moved.contact_id,
                who=rows,
                version=self.version[rows],
                time_s=moved.end_s[rows],
                detail=detail,
                now_s=moved.now_s,
                cause=cause,
            )

    def _forgets(
        self, forgotten: Mask, cluster: str, contact_id: int, now_s: float
    ) -> Iterator[Dropped]:
        """Yield which devices had a partial transfer of another version, now forgotten."""
        # A device without a link in this contact forgets too, though it begins nothing.
        time_s = np.where(np.isfinite(self.begin_s), self.begin_s, self.arrival_s)
        # One that is not ready before the session ends has forgotten when it was asked.
        time_s = np.where(np.isfinite(time_s), time_s, now_s)
        rows = np.flatnonzero(forgotten)
        yield Dropped(
            cluster,
            contact_id,
            who=rows,
            version=self.version[rows],
            time_s=time_s[rows],
            detail=f"{self.name} stale part forgotten",
            now_s=now_s,
        )

    def _tell_faults(self, endpoint: Endpoint, moved: Floats, now_s: float) -> None:
        """Tell of packets that were sent again while bytes (K,) moved."""
        if self.faults is FLAWLESS:
            return
        contact_id = None if self.session is None else self.session.at(now_s).contact_id
        if self.faults.resent is not None and self.faults.packets is not None:
            share = np.divide(moved, self.left, out=np.zeros_like(moved), where=self.left > 0)
            again = int(np.rint(self.faults.resent * share).sum())
            if again:
                endpoint.facts.emit(
                    PacketsResent(
                        time_s=now_s,
                        cluster=endpoint.cluster.name,
                        contact_id=contact_id,
                        payload=self.name,
                        again=again,
                        packets=int(np.rint(self.faults.packets * share).sum()),
                    )
                )


def outcomes_of(
    *,
    whole: Mask,
    begun: Mask,
    corrupted: Mask | None,
    cut_transfers: CutTransfers,
    carry: bool,
    run_over: bool,
) -> Ints:
    """Return the outcome of a transfer for each device (K,) that takes part in it.

    It is ``whole`` where the last bit is there: delivered, or refused where it is ``corrupted``
    (None: nobody's). Otherwise a pass has cut it off, unless the run is over before that. What had
    ``begun``, in this session or an earlier one, then meets the rule ``cut_transfers``; a transfer
    that had not begun has nothing to lose. What its sender does not ``carry`` over is given up in
    any case.
    """
    cut_off = OF_CUT_OFF[cut_transfers] if carry else Outcome.DROPPED
    if run_over:
        cut_off = Outcome.CARRIED
    lost = begun | (not carry)
    outcome = np.where(whole, Outcome.DELIVERED, np.where(lost, cut_off, Outcome.CARRIED))
    if corrupted is not None:
        outcome = np.where(whole & corrupted, Outcome.CORRUPTED, outcome)
    return outcome
