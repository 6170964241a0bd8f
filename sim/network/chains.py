"""Chains of downloads, training and uploads, in closed form for all devices of a cluster."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import simpy

from learning.requests.cluster import (
    CORRUPTED,
    WAITS_FOR_ALL,
    Download,
    Floats,
    Ints,
    Mask,
    Quorum,
    Receipt,
    Train,
    Upload,
    Work,
)
from sim.clock import Clock
from sim.devices.battery import Battery
from sim.devices.compute import whole_rounds
from sim.devices.devices import Devices
from sim.devices.energy import Use
from sim.links.sharing import everywhere
from sim.network.chain_facts import ChainFacts
from sim.network.ledger import CutTransfers, Fate, Ledger, PayloadList
from sim.network.link_faults import LinkFaults
from sim.network.schedule import closes_s, cut_off, schedule
from sim.network.sessions import ClusterSessions
from sim.network.steps import (
    Leg,
    Step,
    Training,
    Transfer,
    check_names,
    everybody,
    parts,
    sending_s,
    way_of,
)
from sim.network.synchronisation import Synchronisation
from sim.plan.contacts import PlannedSession
from sim.trace.directions import Way

Reply = Work | Receipt


class ServiceLink:
    """One cluster's link to the satellites, with a ledger of what is partly through.

    A chain goes over all contacts of a session as over one link. A partial transfer is remembered
    by way and payload name; one of another version is forgotten. Rows are written when a
    chain settles, never ahead, since the run may end first. ``closing`` says whom a chain with
    uploads waits for, ``faults`` what goes wrong (None: nothing).
    """

    def __init__(
        self,
        clock: Clock,
        sessions: ClusterSessions,
        devices: Devices,
        facts: ChainFacts,
        synchronisation: Synchronisation,
        ledger: Ledger | None = None,
        payloads: PayloadList | None = None,
        closing: Quorum = WAITS_FOR_ALL,
        faults: LinkFaults | None = None,
    ) -> None:
        self.ledger = Ledger(devices.cluster.devices) if ledger is None else ledger
        self.payloads = PayloadList() if payloads is None else payloads
        self._clock = clock
        self._sessions = sessions
        self._devices = devices
        self._facts = facts
        self._synchronisation = synchronisation
        self._closing = closing
        self.faults = faults
        self.sent_s: Floats = np.zeros(devices.cluster.devices)
        self._never: Floats = np.full(devices.cluster.devices, np.inf)
        self._never.setflags(write=False)
        self._going_on: list[tuple[PlannedSession | None, list[Leg]]] = []

    def switch(
        self, cut_transfers: CutTransfers, closing: Quorum, faults: LinkFaults | None
    ) -> None:
        """Plan later chains by other rules; those under way end as they were planned."""
        self.ledger.cut_transfers = cut_transfers
        self._closing = closing
        if faults is not None and self.faults is not None:
            faults.continue_from(self.faults)
        self.faults = faults

    @property
    def busy(self) -> bool:
        """Whether a chain goes on."""
        return bool(self._going_on)

    @property
    def battery(self) -> Battery | None:
        """What sending drains, where that is a battery."""
        return self._devices.battery

    @property
    def devices(self) -> int:
        """How many devices it serves."""
        return self._devices.cluster.devices

    def chain(self, steps: Sequence[Step]) -> Generator[simpy.Event, Any, list[Reply]]:
        """Let every device run through ``steps``; reply when the last one has ended."""
        check_names(steps)
        session, begun_s = self._sessions.session, self._clock.now
        ready = np.maximum(begun_s, self._devices.free_s)
        trains_only = all(isinstance(step, Train) for step in steps)
        legs: list[Leg] = []
        for number, step in enumerate(steps):
            if isinstance(step, Train):
                behind = steps[number + 1] if number + 1 < len(steps) else None
                training = self._plan_training(step, behind, session, ready, trains_only)
                ready = np.where(training.excluded, np.inf, training.end_s)
                legs.append(training)
            else:
                transfer = self._plan_transfer(step, session, ready, legs)
                ready = transfer.among(transfer.end_s, ready)
                if transfer.away is not None:
                    ready = np.where(transfer.away, np.inf, ready)
                legs.append(transfer)
        going_on, closing = (session, legs), self._closing
        self._going_on.append(going_on)
        all_s = self._end_s(legs)
        over_s = closes_s(closing, steps, legs, begun_s, all_s)
        yield self._clock.at(over_s)
        self._going_on.remove(going_on)
        closed = closing.reached if over_s < all_s else ""
        replies = self._settle(session, legs, over_s, closed=closed)
        cut = cut_off(steps, legs, over_s) if closed else 0
        if cut and session is not None:
            self._facts.closed(session.at(over_s), over_s, closed, cut)
        return replies

    def training_until_s(self) -> Floats:
        """When each device (K,) will have ended the training of the chains that go on."""
        until: Floats = np.zeros(self._devices.cluster.devices)
        for _, legs in self._going_on:
            for leg in legs:
                if isinstance(leg, Training):
                    until = np.maximum(until, np.where(leg.who, leg.stops_s, 0.0))
        return until

    def settle_all(self, end_s: float) -> None:
        """Write what is still going on as far as it got by ``end_s``, when the run has ended."""
        for session, legs in self._going_on:
            self._settle(session, legs, end_s, run_over=True)
        self._going_on.clear()

    def use(self) -> Use:
        """Return what the devices have done by now, in disconnected phases as far as is settled."""
        now_s, devices = self._clock.now, self._devices
        rounds, computed_s, sent_s = devices.rounds, devices.computed_s, self.sent_s
        for _, legs in self._going_on:
            for leg in legs:
                if isinstance(leg, Training):
                    rounds = rounds + np.where(leg.ended(now_s), leg.rounds, 0)
                    computed_s = computed_s + leg.computed_s(now_s)
                elif leg.session is not None:
                    pieces = parts(leg.session, leg, leg.stop_s(now_s))
                    sent_s = sent_s + sending_s(leg, pieces)
        return Use(rounds, computed_s, sent_s)

    # -- planning: when each device would begin and end each step

    def _plan_training(
        self,
        step: Train,
        behind: Step | None,
        session: PlannedSession | None,
        ready: Floats,
        trains_only: bool,
    ) -> Training:
        """Plan a training step. In a chain of nothing else, those who are away go on later."""
        self._devices.load.add(step.cost)
        excluded = self._devices.excluded(step.cost)
        who = np.isfinite(ready) & ~excluded & everybody(step.who, len(ready))
        ready = np.where(who, np.maximum(ready, self._devices.serving_until_s), ready)
        one_s = self._devices.compute.round_s(step.cost)
        wanted = self._devices.compute.per_contact if step.rounds is None else step.rounds
        rounds = np.full(len(ready), 0 if wanted is None else wanted)
        if wanted is None or step.partial:
            until_s = self._clock.now + self._closing.deadline_s if step.partial else np.inf
            fit = self._rounds_that_fit(behind, session, ready, one_s, until_s)
            rounds = fit if wanted is None else np.minimum(fit, wanted)
        rounds = np.where(who, rounds, 0)
        end = np.where(who, ready + rounds * one_s, ready)
        if self._devices.battery is not None and rounds.any():
            end = self._devices.after_s(ready, rounds * one_s)
            self._devices.battery.compute(float(ready[0]), float(end[0]))
        presence = self._devices.presence
        training = Training(who, step.cost, rounds, ready, end, excluded)
        if presence is not None and (who & (rounds > 0)).any():
            training.among(presence, one_s, pausing=trains_only)
        return training

    def _rounds_that_fit(
        self,
        behind: Step | None,
        session: PlannedSession | None,
        ready: Floats,
        one_s: Floats,
        until_s: float,
    ) -> Ints:
        """Rounds before the session ends, and a time, leaving time for the upload; at least one."""
        if session is None:
            return np.ones(len(ready), np.int64)
        latest = np.full(len(ready), min(session.end_s, until_s))
        if isinstance(behind, Upload):
            alone = session.to_server.curve
            capacity_bits = alone.capacity_bits
            if until_s < session.end_s:
                latest -= session.delay_s(latest)
                capacity_bits = alone.delivered_bits(latest)
            bits = np.broadcast_to(np.asarray(behind.payload.bytes, float), ready.shape) * 8
            if self.faults is not None:
                bits = bits * self.faults.repeats(self._clock.now)
            senders = int(everybody(behind.who, len(ready)).sum())
            spare = np.maximum(capacity_bits - bits * session.to_server.crowding(senders), 0.0)
            latest = np.minimum(latest, alone.completion_time_s(spare))
        time = np.where(np.isfinite(ready), latest - ready, 0.0)
        return np.maximum(whole_rounds(time, one_s), 1)

    def _plan_transfer(
        self,
        step: Upload | Download,
        session: PlannedSession | None,
        ready: Floats,
        earlier: Sequence[Leg],
    ) -> Transfer:
        k = len(ready)
        way, name = way_of(step), step.payload.name
        size = np.full(k, step.payload.bytes, float)
        version = np.full(k, step.payload.version, np.int64)
        who = np.isfinite(ready) & everybody(step.who, k)
        presence = self._devices.presence
        if presence is not None:
            asked, who = who, who & presence.present(ready)
        forgotten = self.ledger.offer(way, name, version, size, who)
        self.payloads.add(self._facts.topology.direction(way), way, step.payload, who)
        before = self.ledger.through(way, name)
        if not everywhere(who):
            before = np.where(who, before, 0.0)
        never = self._never
        leg = Transfer(
            way, name, who, version, size, before, step.carry, ready, never, never, never
        )
        leg.personal = isinstance(step, Download) and step.personal
        leg.fate = self.ledger.fate(step.carry)
        usable = session if way is Way.TO_SERVER else self._synchronised(session, ready[who])
        if self.faults is not None and usable is not None:
            self.faults.draw_faults(leg, usable.beam(way), self._clock.now)
        if usable is not None:
            others = [
                other
                for _, legs in self._going_on
                for other in legs
                if isinstance(other, Transfer) and other.way is way
            ]
            schedule(leg, usable, earlier, others)
        else:
            leg.los_s = np.full(k, self._clock.now)
        if presence is not None:
            leg.away = asked & ~who
            leg.leave(presence.leaves_s(ready))
        if usable is not None:
            self._facts.queue(leg, usable, self._clock.now)
        if session is not None and np.count_nonzero(forgotten):
            contact_id = session.at(self._clock.now).contact_id
            cluster, now_s = self._devices.cluster, self._clock.now
            self._facts.stale(leg, forgotten, cluster, contact_id, now_s)
        return leg

    def _synchronised(self, session: PlannedSession | None, ready: Floats) -> PlannedSession | None:
        """Return what a download can use: each contact from when its satellite knows the state."""
        if session is None or not ready.size:
            return session
        usable = session.knowing(self._synchronisation.known_s)
        if usable is session:
            return session
        first_s = float(session.in_service_s(ready).min())
        if usable is None or float(usable.in_service_s(ready).min()) > first_s:
            contact = session.at(first_s)
            until_s = self._synchronisation.known_s(contact.satellite)
            self._facts.waits_for_state(contact, self._clock.now, until_s)
        return usable

    def _end_s(self, legs: list[Leg]) -> float:
        """When the last device has ended its chain, or can get nothing more through."""
        last = self._clock.now
        for leg in legs:
            ends = leg.end_s if isinstance(leg, Transfer) else leg.stops_s
            if isinstance(leg, Transfer) and not everywhere(ends < np.inf):
                ends = np.where(ends < np.inf, ends, leg.los_s)
            ends = ends[leg.who & (ends < np.inf)]
            if len(ends):
                last = max(last, float(np.maximum.reduce(ends)))
        return last

    # -- settling: what has happened by now

    def _settle(
        self,
        session: PlannedSession | None,
        legs: list[Leg],
        now_s: float,
        run_over: bool = False,
        closed: str = "",
    ) -> list[Reply]:
        return [
            self._settle_training(session, leg, now_s)
            if isinstance(leg, Training)
            else self._settle_transfer(session, leg, now_s, run_over, closed)
            for leg in legs
        ]

    def _settle_training(self, session: PlannedSession | None, leg: Training, now_s: float) -> Work:
        done, devices = leg.ended(now_s), self._devices
        devices.free_s = np.where(done, np.maximum(devices.free_s, leg.end_s), devices.free_s)
        rounds = np.where(done, leg.rounds, 0)
        devices.count(rounds, leg.computed_s(now_s))
        number = None if session is None else session.at(now_s).contact_id
        self._facts.training(leg, done, devices.cluster, number, now_s)
        self._facts.excluded(leg.excluded, devices, leg.cost, self._clock.now)
        # What is in the log is not given away: a method may change what it gets.
        return Work(rounds, leg.end_s.copy(), leg.excluded)

    def _settle_transfer(
        self,
        session: PlannedSession | None,
        leg: Transfer,
        now_s: float,
        run_over: bool,
        closed: str,
    ) -> Receipt:
        whole = leg.who & (leg.end_s <= now_s)
        all_there = np.count_nonzero(whole) == np.count_nonzero(leg.who)
        refused = leg.refused(now_s)
        done = whole if refused is None else whole & ~refused
        left = leg.size - leg.before
        moved = left if leg.everyone and all_there else np.where(whole, left, 0.0)
        stop_s = leg.among(leg.sent_s, now_s)
        if not all_there:
            # A chain that is closed early gets nothing of what is still on its way.
            stop_s = leg.there_s(now_s) if closed else leg.stop_s(now_s)
            partial = leg.who & ~whole & (leg.begin_s < stop_s)
            if partial.any():
                moved = np.where(partial, np.minimum(leg.sent_bytes(stop_s), left), moved)
        # What the end of the run interrupts has not been cut off by a pass: it stays open.
        fate = "" if run_over else leg.fate
        given_up = self.ledger.settle(
            leg.way, leg.name, leg.who, done, moved, leg.carry, fate, refused
        )
        if leg.session is not None:
            self._write(leg.session, leg, done, moved, stop_s, fate, refused, now_s)
        if self.faults is not None:
            number = None if session is None else session.at(now_s).contact_id
            self._facts.faults(leg, moved, self._devices.cluster, number, now_s)
        mine = leg.who if leg.away is None else leg.who | leg.away
        kept = np.where(mine, self.ledger.through(leg.way, leg.name), 0.0)
        kept = np.where(done, leg.size, kept)
        reason = ""
        if refused is not None or not all_there:
            reason = "" if done[leg.who].all() else closed or "contact ended"
            if reason and whole[leg.who].all():
                reason = CORRUPTED
        if leg.away is not None and leg.away.any() and not leg.who.any():
            reason = "devices away"
        return Receipt(
            done,
            np.where(done, leg.end_s, np.inf),
            kept,
            leg.size - kept,
            "no contact" if session is None else reason,
            given_up.copy(),
            None if session is None else session.contact_ids(leg.sent_s),
        )

    def _write(
        self,
        session: PlannedSession,
        leg: Transfer,
        done: Mask,
        moved: Floats,
        stop_s: Floats,
        lost: Fate,
        refused: Mask | None,
        now_s: float,
    ) -> None:
        """Log what moved of a leg in each contact of the session in which anything did."""
        left, to_server = moved, leg.way is Way.TO_SERVER
        pieces = list(parts(session, leg, stop_s))
        if to_server:
            seconds = sending_s(leg, pieces)
            self.sent_s = self.sent_s + seconds
            if self._devices.battery is not None:
                self._devices.battery.send(now_s, float(seconds[0]))
        for part in pieces:
            if part.bytes is None or part.last is None:  # all of it is in this contact
                here, ended = left, done & (left > 0)
            else:
                here = np.where(part.last, left, np.minimum(part.bytes, left))
                left = left - here
                ended = done & part.last & (here > 0)
            there = ended
            if refused is not None:
                there = there | (refused if part.last is None else refused & part.last)
            there_s = np.where(there, leg.end_s, part.end_s)
            cluster = self._devices.cluster
            self._facts.transfer(leg, ended, here, part, there_s, lost, cluster, now_s, refused)
            if to_server and ended.any():
                self._synchronisation.received(part.contact.satellite, float(there_s[ended].max()))
        if to_server and done.any():
            # What is made of the uploads is made now, when the chain has ended for all devices.
            self._synchronisation.received(session.at(now_s).satellite, self._clock.now)
