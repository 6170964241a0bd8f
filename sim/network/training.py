"""Training: a step of a chain in which each device computes rounds, in closed form for all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from learning.requests.cluster import Cost, Step, Train, Upload, Work
from sim.devices.compute import whole_rounds
from sim.devices.energy import Use
from sim.devices.faults import Presence
from sim.errors import SimulationError
from sim.network.endpoint import Ending, Endpoint, everybody
from sim.network.legs import Trained
from sim.plan.contacts import PlannedSession
from statements.arrays import Floats, Ints, Mask


@dataclass(eq=False)
class Training:
    """A training step of a chain: when each device (K,) begins and ends it.

    Those in ``excluded`` have too little memory for a round. A device that leaves before it has
    ended stops at ``leaves_s`` (K,), and never ends. Where ``presence`` is given, those who leave
    go on when they are back: only the time that they are there counts. ``session`` is the one that
    the chain goes over, where it goes over one. Rounds of no FLOPs are trained ``at_once``.
    """

    who: Mask
    cost: Cost
    rounds: Ints
    begin_s: Floats
    end_s: Floats
    excluded: Mask
    session: PlannedSession | None = None
    leaves_s: Floats | None = None
    away: Mask | None = None
    presence: Presence | None = None
    at_once: bool = False

    # Planning.

    @classmethod
    def plan(
        cls,
        step: Train,
        endpoint: Endpoint,
        session: PlannedSession | None,
        ready_s: Floats,
        *,
        behind: Step | None,
        alone: bool,
        fills_until_s: float = np.inf,
    ) -> Training:
        """Plan a step of devices that are ready at ``ready_s`` (K,), with another one ``behind``.

        In a chain of training ``alone``, those who are away go on later. Rounds that fill the
        contact end by ``fills_until_s``: a session may be a part of a longer one.
        """
        devices = endpoint.devices
        k = len(ready_s)
        devices.load.add(step.cost)
        excluded = devices.excluded(step.cost)
        who = np.isfinite(ready_s) & ~excluded & everybody(step.who, k)
        begin_s = np.where(who, np.maximum(ready_s, devices.serving_until_s), ready_s)
        one_s = devices.compute.round_s(step.cost)
        at_once = bool((one_s == 0.0).any())
        wanted = devices.compute.per_contact if step.rounds is None else step.rounds
        if wanted is None and at_once:
            raise SimulationError("Train: rounds of no FLOPs cannot fill a contact; give rounds")
        rounds = np.full(k, 0 if wanted is None else wanted)
        if wanted is None or (step.partial and not at_once):
            closes_s = endpoint.clock.now + endpoint.closing.deadline_s if step.partial else np.inf
            if wanted is None:
                closes_s = min(closes_s, fills_until_s)
            fit = np.ones(k, np.int64)
            if session is not None:
                latest_s = _latest_s(endpoint, session, behind, k, closes_s)
                spare_s = np.where(np.isfinite(begin_s), latest_s - begin_s, 0.0)
                fit = np.maximum(whole_rounds(spare_s, one_s), 1)
            rounds = fit if wanted is None else np.minimum(fit, wanted)
        rounds = np.where(who, rounds, 0)
        end_s = np.where(who, begin_s + rounds * one_s, begin_s)
        if devices.battery is not None and rounds.any():
            end_s = devices.after_s(begin_s, rounds * one_s)
            devices.battery.compute(float(begin_s[0]), float(end_s[0]))
        planned = cls(who, step.cost, rounds, begin_s, end_s, excluded, session, at_once=at_once)
        if devices.presence is not None and planned.trains.any():
            planned._only_while(devices.presence, one_s, pausing=alone)
        return planned

    def _only_while(self, presence: Presence, one_s: Floats, *, pausing: bool) -> None:
        """Let only those train who are there: the others later, if ``pausing``, or not at all.

        A round takes ``one_s``, () or (K,).
        """
        if pausing:
            work_s = self.rounds * one_s
            asked = self.trains
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

    # What its chain asks of a step.

    @property
    def next_ready_s(self) -> Floats:
        """When each device (K,) is ready for the next step; inf for never."""
        return np.where(self.excluded, np.inf, self.end_s)

    @property
    def through_s(self) -> Floats:
        """When each device (K,) has done what was asked of it; inf for never."""
        return np.where(self.who, self.end_s, np.inf)

    @property
    def stops_s(self) -> Floats:
        """When each device (K,) has ended, or has left."""
        return self.end_s if self.leaves_s is None else np.minimum(self.end_s, self.leaves_s)

    @property
    def trains(self) -> Mask:
        """Devices (K,) that have rounds to train."""
        return self.who & (self.rounds > 0)

    def use(self, by_s: float) -> Use:
        """Return what the devices have done by a time."""
        rounds = np.where(self._ended(by_s), self.rounds, 0)
        return Use(rounds, self._computed_s(by_s))

    def _ended(self, by_s: float) -> Mask:
        """Devices (K,) that have trained and ended all their rounds by ``by_s``."""
        return self.trains & (self.end_s <= by_s)

    def _computed_s(self, by_s: float) -> Floats:
        """Seconds (K,) that the devices have computed by ``by_s``, whether a round ended or not."""
        until_s = np.minimum(self.stops_s, by_s)
        spent_s = until_s - self.begin_s
        if self.presence is not None:
            spent_s = self.presence.present_s(self.begin_s, until_s)
        return np.where(self.trains, np.maximum(spent_s, 0.0), 0.0)

    # Settling.

    def settle(self, endpoint: Endpoint, ending: Ending) -> Work:
        """Count what the devices have computed when the chain is over, and write it down."""
        done = self._ended(ending.time_s)
        devices = endpoint.devices
        devices.free_s = np.where(done, np.maximum(devices.free_s, self.end_s), devices.free_s)
        rounds = np.where(done, self.rounds, 0)
        devices.count(rounds, self._computed_s(ending.time_s))
        contact = None if self.session is None else self.session.at(ending.time_s)
        number = None if contact is None else contact.contact_id
        for fact in self.facts(done, endpoint.cluster.name, number, ending.time_s):
            endpoint.log.add(fact)
        endpoint.tell_memory_lacks(self.excluded, self.cost)
        # What is in the log is not given away: a method may change what it gets.
        return Work(rounds, self.end_s.copy(), self.excluded)

    def facts(
        self, done: Mask, cluster: str, contact_id: int | None, now_s: float
    ) -> Iterator[Trained]:
        """Yield when the devices in ``done`` began and ended their rounds, if there are any."""
        if np.count_nonzero(done):
            yield Trained(
                cluster,
                contact_id,
                who=done,
                rounds=self.rounds,
                start_s=self.begin_s,
                end_s=self.end_s,
                now_s=now_s,
                at_once=self.at_once,
            )


def _latest_s(
    endpoint: Endpoint, session: PlannedSession, behind: Step | None, k: int, closes_s: float
) -> Floats:
    """When training has to end (K,): before the session does, and a time, and for an upload behind.

    That takes as long as if all who send it shared the beam to the end.
    """
    latest_s = np.full(k, min(session.end_s, closes_s))
    if not isinstance(behind, Upload):
        return latest_s
    alone = session.to_server.curve
    capacity_bits = alone.capacity_bits
    if closes_s < session.end_s:
        latest_s -= session.delay_s(latest_s)
        capacity_bits = alone.delivered_bits(latest_s)
    bits = np.broadcast_to(np.asarray(behind.payload.bytes, float), (k,)) * 8
    if endpoint.faults is not None:
        bits = bits * endpoint.faults.repeats()
    senders = int(everybody(behind.who, k).sum())
    spare_bits = np.maximum(capacity_bits - bits * session.to_server.crowding(senders), 0.0)
    return np.minimum(latest_s, alone.completion_time_s(spare_bits))
