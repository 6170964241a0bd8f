"""Chains of downloads, training and uploads, in closed form for all devices of a cluster."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

from channel import LinkCurve
from learning.requests import Cost, Download, Floats, Ints, Mask, Receipt, Train, Upload, Work
from sim.clock import Clock
from sim.contacts import Antenna
from sim.devices import Devices, whole_rounds
from sim.planned_session import PlannedSession
from sim.rows import Rows
from sim.session_parts import parts
from sim.synchronisation import Synchronisation

Step = Train | Upload | Download
Reply = Work | Receipt


@dataclass
class Training:
    """A training step of a chain: who begins and ends it when."""

    who: Mask
    cost: Cost
    rounds: Ints
    begin_s: Floats
    end_s: Floats
    excluded: Mask


@dataclass
class Transfer:
    """A transfer step of a chain: its bytes, and when each device begins and ends it.

    ``session`` is what can be used of the session, ``curve`` its link (None: takes no time).
    """

    direction: str
    name: str
    who: Mask
    version: Ints
    size: Floats
    before: Floats
    begin_s: Floats
    end_s: Floats
    los_s: Floats
    carry: bool
    curve: LinkCurve | None
    session: PlannedSession | None


class Link:
    """One cluster's link to the satellites, with a ledger of what is partly through.

    A chain goes over all contacts of a session as over one link. A partial transfer is remembered
    by direction and payload name; one of another version is forgotten. Rows are written when a
    chain settles, never ahead, since the run may end first.
    """

    def __init__(
        self,
        clock: Clock,
        antenna: Antenna,
        devices: Devices,
        rows: Rows,
        synchronisation: Synchronisation,
    ) -> None:
        self._clock = clock
        self._antenna = antenna
        self._devices = devices
        self._rows = rows
        self._synchronisation = synchronisation
        self._ledger: dict[tuple[str, str], tuple[Ints, Floats]] = {}
        self._going_on: list[tuple[PlannedSession | None, list[Training | Transfer]]] = []

    def chain(self, steps: Sequence[Step]) -> Generator[simpy.Event, Any, list[Reply]]:
        """Let every device run through ``steps``; reply when the last one has ended."""
        session = self._antenna.session
        ready = np.maximum(self._clock.now, self._devices.free_s)
        legs: list[Training | Transfer] = []
        for number, step in enumerate(steps):
            if isinstance(step, Train):
                behind = steps[number + 1] if number + 1 < len(steps) else None
                training = self._plan_training(step, behind, session, ready)
                ready = np.where(training.excluded, np.inf, training.end_s)
                legs.append(training)
            else:
                transfer = self._plan_transfer(step, session, ready)
                ready = np.where(transfer.who, transfer.end_s, ready)
                legs.append(transfer)
        going_on = (session, legs)
        self._going_on.append(going_on)
        yield self._clock.at(self._end_s(legs))
        self._going_on.remove(going_on)
        return self._settle(session, legs, self._clock.now)

    def settle_all(self) -> None:
        """Write what is still going on as far as it got (the run has ended)."""
        for session, legs in self._going_on:
            self._settle(session, legs, self._clock.now)
        self._going_on.clear()

    # -- planning: when each device would begin and end each step

    def _plan_training(
        self, step: Train, behind: Step | None, session: PlannedSession | None, ready: Floats
    ) -> Training:
        excluded = self._devices.excluded(step.cost)
        who = everybody(step.who, len(ready)) & np.isfinite(ready) & ~excluded
        one_s = self._devices.compute.round_s(step.cost)
        wanted = self._devices.compute.per_contact if step.rounds is None else step.rounds
        if wanted is not None:
            rounds = np.full(len(ready), wanted)
        else:
            rounds = self._rounds_that_fit(behind, session, ready, one_s)
        rounds = np.where(who, rounds, 0)
        end = np.where(who, ready + rounds * one_s, ready)
        return Training(who, step.cost, rounds, ready, end, excluded)

    def _rounds_that_fit(
        self, behind: Step | None, session: PlannedSession | None, ready: Floats, one_s: float
    ) -> Ints:
        """Rounds before the session ends, leaving time for the upload behind; at least one."""
        if session is None:
            return np.ones(len(ready), np.int64)
        latest = np.full(len(ready), session.end_s)
        if isinstance(behind, Upload):
            capacity = np.atleast_1d(session.uplink.capacity_bits)
            bits = np.broadcast_to(np.asarray(behind.payload.bytes, float), ready.shape) * 8
            spare = np.maximum(capacity - bits, 0.0)
            latest = np.minimum(latest, session.uplink.completion_time_s(spare))
        time = np.where(np.isfinite(ready), latest - ready, 0.0)
        return np.maximum(whole_rounds(time, one_s), 1)

    def _plan_transfer(
        self, step: Upload | Download, session: PlannedSession | None, ready: Floats
    ) -> Transfer:
        k = len(ready)
        direction = "uplink" if isinstance(step, Upload) else "downlink"
        size = np.broadcast_to(np.asarray(step.payload.bytes, float), (k,)).copy()
        version = np.broadcast_to(np.asarray(step.payload.version, np.int64), (k,)).copy()
        before = self._delivered_before(direction, step.payload.name, version)
        who = everybody(step.who, k) & np.isfinite(ready)
        begin, end = ready, np.full(k, np.inf)
        curve: LinkCurve | None = None
        los = np.full(k, self._clock.now)
        usable = session if direction == "uplink" else self._synchronised(session, ready[who])
        if usable is not None:
            curve = usable.uplink if direction == "uplink" else usable.downlink
            los = np.full(k, usable.end_s)
            in_time = who & (ready <= usable.end_s)
            begin = usable.in_service_s(ready)
            through = begin  # a neglected downlink takes no time
            if curve is not None:
                los = np.minimum(los, curve.time_s[..., -1])
                begin = np.maximum(begin, curve.time_s[..., 0])
                through = curve.completion_time_s((size - before) * 8, begin)
            end = np.where(in_time, through, np.inf)
        name = step.payload.name
        leg = Transfer(
            direction, name, who, version, size, before, begin, end, los, step.carry, curve, usable
        )
        if session is not None:
            contact_id = session.at(self._clock.now).contact_id
            self._rows.stale(leg, who & self._stale(leg), self._devices.cluster, contact_id)
        return leg

    def _synchronised(self, session: PlannedSession | None, ready: Floats) -> PlannedSession | None:
        """Return what a download can use: each contact from when its satellite knows the state."""
        if session is None or not ready.size:
            return session
        usable = session.knowing(self._synchronisation.known_s)
        first_s = float(session.in_service_s(ready).min())
        if usable is None or float(usable.in_service_s(ready).min()) > first_s:
            contact = session.at(first_s)
            known_s = self._synchronisation.known_s(contact.satellite)
            self._rows.synchronises(contact, self._clock.now, known_s)
        return usable

    def _stale(self, leg: Transfer) -> Mask:
        """Devices (K,) with a part of another version of this payload."""
        known, delivered = self._ledger.get((leg.direction, leg.name), (leg.version, leg.before))
        stale: Mask = (known != leg.version) & (delivered > 0)
        return stale

    def _delivered_before(self, direction: str, name: str, version: Ints) -> Floats:
        known, delivered = self._ledger.get(
            (direction, name), (np.full(len(version), -1), np.zeros(len(version)))
        )
        return np.where(known == version, delivered, 0.0)

    def _end_s(self, legs: list[Training | Transfer]) -> float:
        """When the last device has ended its chain, or can get nothing more through."""
        last = np.full(len(self._devices.free_s), self._clock.now)
        for leg in legs:
            ends = np.where(leg.who & np.isfinite(leg.end_s), leg.end_s, last)
            if isinstance(leg, Transfer):
                cut = leg.who & ~np.isfinite(leg.end_s)
                ends = np.where(cut, leg.los_s, ends)
            last = np.maximum(last, ends)
        return float(last.max())

    # -- settling: what has happened by now

    def _settle(
        self, session: PlannedSession | None, legs: list[Training | Transfer], now_s: float
    ) -> list[Reply]:
        replies: list[Reply] = []
        for leg in legs:
            if isinstance(leg, Training):
                replies.append(self._settle_training(session, leg, now_s))
            else:
                replies.append(self._settle_transfer(session, leg, now_s))
        return replies

    def _settle_training(self, session: PlannedSession | None, leg: Training, now_s: float) -> Work:
        done = leg.who & (leg.end_s <= now_s) & (leg.rounds > 0)
        self._devices.free_s = np.where(
            done, np.maximum(self._devices.free_s, leg.end_s), self._devices.free_s
        )
        self._devices.count(np.where(done, leg.rounds, 0), leg.cost)
        number = None if session is None else session.at(now_s).contact_id
        self._rows.training(leg, done, self._devices.cluster, number)
        self._rows.excluded(leg.excluded, self._devices.cluster, self._clock.now)
        return Work(np.where(done, leg.rounds, 0), leg.end_s, leg.excluded)

    def _settle_transfer(
        self, session: PlannedSession | None, leg: Transfer, now_s: float
    ) -> Receipt:
        done = leg.who & (leg.end_s <= now_s)
        moved = np.where(done, leg.size - leg.before, 0.0)
        if leg.session is not None and leg.curve is not None:
            stop = np.where(done, leg.end_s, np.minimum(leg.los_s, now_s))
            partial = leg.who & ~done & (leg.begin_s < stop)
            sent = leg.curve.delivered_bits(np.maximum(stop, leg.begin_s))
            sent = (sent - leg.curve.delivered_bits(leg.begin_s)) / 8
            moved = np.where(partial, np.minimum(sent, leg.size - leg.before), moved)
            self._write(leg.session, leg, leg.curve, done, moved, stop)
        delivered = leg.before + moved
        kept = np.where(done, 0.0, delivered) if leg.carry else np.zeros_like(delivered)
        self._ledger[leg.direction, leg.name] = (leg.version, kept)
        reason = "" if done[leg.who].all() else "contact ended"
        return Receipt(
            done,
            np.where(done, leg.end_s, np.inf),
            delivered,
            leg.size - delivered,
            "no contact" if session is None else reason,
        )

    def _write(
        self,
        session: PlannedSession,
        leg: Transfer,
        curve: LinkCurve,
        done: Mask,
        moved: Floats,
        stop_s: Floats,
    ) -> None:
        """Write a row for each device and each contact of the session in which something moved."""
        left, now_s = moved, self._clock.now
        for part in parts(session, leg.begin_s, stop_s, curve):
            here = np.where(part.last, left, np.minimum(part.bytes, left))
            left = left - here
            ended = done & part.last & (here > 0)
            self._rows.transfer(leg, ended, here, part, self._devices.cluster)
            if leg.direction == "uplink" and ended.any():
                received_s = float(part.end_s[ended].max())
                self._synchronisation.received(part.contact.satellite, received_s)
        if leg.direction == "uplink" and done.any():
            # What is made of the uploads is made now, when the chain has ended for all devices.
            self._synchronisation.received(session.at(now_s).satellite, now_s)


def everybody(who: Mask | None, k: int) -> Mask:
    """Return ``who`` as a mask (K,); None stands for all devices."""
    return np.ones(k, bool) if who is None else np.asarray(who, bool)
