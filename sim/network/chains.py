"""Chain: steps that every device of a cluster runs through on its own clock, in closed form.

ServiceLink: one cluster's link to its server, and the chains that go on over it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import simpy

from learning.requests.cluster import Download, Quorum, Receipt, Step, Train, Upload, Work
from sim.devices.devices import Devices
from sim.devices.energy import Use
from sim.errors import SimulationError
from sim.facts.directions import Way
from sim.facts.transfers import ChainClosed
from sim.network.endpoint import Ending, Endpoint, Shared, everybody
from sim.network.sessions import ClusterSessions
from sim.network.training import Training
from sim.network.transfer import Transfer
from sim.plan.contacts import PlannedContact, PlannedSession
from statements.arrays import Floats, Mask

PlannedLeg = Training | Transfer
"""A step that is planned: when each device begins and ends it, and what comes of it."""
Reply = Work | Receipt


def way_of(step: Upload | Download) -> Way:
    """Return which way a step sends its payload."""
    return Way.TO_SERVER if isinstance(step, Upload) else Way.TO_CLIENT


def check_names(steps: Sequence[Step]) -> None:
    """Refuse a chain that sends one payload twice: the ledger knows payloads by their names."""
    sent = [(way_of(s), s.payload.name) for s in steps if not isinstance(s, Train)]
    for way, name in sent:
        if sent.count((way, name)) > 1:
            raise SimulationError(
                f"a chain has two transfers of payload {name!r} to the {way}; give them two names, "
                "or ask for the second one in a request of its own"
            )


class Chain:
    """The steps of a chain, planned one behind the other over all contacts of a session.

    A device begins a step when it has ended the one before. A chain with uploads waits for the
    devices that ``closing`` says; ``session`` is None where none is open. Where ``held_s`` is
    given, no device begins a step before the time that it has for that. Training that fills the
    contact ends by ``until_s``.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        session: PlannedSession | None,
        begun_s: float,
        closing: Quorum,
        held_s: Sequence[float] = (),
        until_s: float = np.inf,
    ) -> None:
        self.steps = steps
        self.session = session
        self.begun_s = begun_s
        self.closing = closing
        self._held_s = held_s
        self._until_s = until_s
        self.legs: list[PlannedLeg] = []

    def run(
        self, endpoint: Endpoint, going_on: list[Chain]
    ) -> Generator[simpy.Event, Any, list[Reply]]:
        """Plan it behind the chains that go on, wait until it is over, and settle it.

        Rows are written when it settles, never ahead, since the run may end first.
        """
        self.plan(endpoint, going_on)
        going_on.append(self)
        ending = self.ending()
        yield endpoint.clock.at(ending.time_s)
        going_on.remove(self)
        return self.settle(endpoint, ending)

    # Planning.

    def plan(self, endpoint: Endpoint, others: Sequence[Chain]) -> None:
        """Plan each step, behind those before it and the transfers of other chains."""
        ready_s = np.maximum(self.begun_s, endpoint.devices.free_s)
        trains_only = all(isinstance(step, Train) for step in self.steps)
        for number, step in enumerate(self.steps):
            leg: PlannedLeg
            if self._held_s:
                ready_s = np.maximum(ready_s, self._held_s[number])
            if isinstance(step, Train):
                behind = self.steps[number + 1] if number + 1 < len(self.steps) else None
                leg = Training.plan(
                    step,
                    endpoint,
                    self.session,
                    ready_s,
                    behind=behind,
                    alone=trains_only,
                    fills_until_s=self._until_s,
                )
            else:
                way = way_of(step)
                leg = Transfer.plan(
                    step,
                    endpoint,
                    self.session,
                    ready_s,
                    way=way,
                    earlier=self.transfers(way),
                    others=[leg for other in others for leg in other.transfers(way)],
                )
            ready_s = leg.next_ready_s
            self.legs.append(leg)

    def transfers(self, way: Way) -> list[Transfer]:
        """Return its transfers that go one way, of those that are planned."""
        return [leg for leg in self.legs if isinstance(leg, Transfer) and leg.way is way]

    # When it is over.

    def ending(self) -> Ending:
        """Say when it is over: for all its devices, or for as many as it waits for.

        With a quorum, when so many of the devices that take part are through; if fewer ever are, it
        waits for all. A chain without an upload aggregates nothing, and waits for all too.
        """
        all_s = self._stops_s()
        over_s = np.inf
        if not self.closing.waits_for_all and any(isinstance(s, Upload) for s in self.steps):
            over_s = self._closes_s()
        return Ending(over_s, closed=self.closing.reached) if over_s < all_s else Ending(all_s)

    def _stops_s(self) -> float:
        """When the last device is through, or can get nothing more through."""
        last_s = self.begun_s
        for leg in self.legs:
            stops_s = leg.stops_s
            stop = leg.who & (stops_s < np.inf)
            last_s = float(np.maximum.reduce(stops_s, where=stop, initial=last_s))
        return last_s

    def _closes_s(self) -> float:
        """When its deadline or quorum is reached; inf if fewer devices ever are through."""
        if np.isfinite(self.closing.deadline_s):
            return self.begun_s + self.closing.deadline_s
        ends_s = np.sort(self._through_s()[self._parties()])
        needed = self.closing.enough(len(ends_s))
        return float(ends_s[needed - 1]) if needed else np.inf

    def _parties(self) -> Mask:
        """Devices (K,) that begin any step; who lacks the memory for one takes no part."""
        legs = self.legs
        parties: Mask = np.logical_or.reduce([leg.who for leg in legs])
        for leg in legs:
            if isinstance(leg, Training):
                parties = parties & ~leg.excluded
        return parties

    def _through_s(self) -> Floats:
        """When each device (K,) is through all steps that it was asked for; inf for never."""
        legs = self.legs
        through_s = np.full(len(legs[0].who), -np.inf)
        for step, leg in zip(self.steps, legs, strict=True):
            asked = everybody(step.who, len(through_s))
            through_s = np.maximum(through_s, np.where(asked, leg.through_s, -np.inf))
        return through_s

    def settle(self, endpoint: Endpoint, ending: Ending) -> list[Reply]:
        """Book what has happened when it is over, and reply to each step.

        Where it was closed before all were through, it is said so.
        """
        replies = [leg.settle(endpoint, ending) for leg in self.legs]
        if ending.closed and self.session is not None:
            self._tell_closed(endpoint, self.session.at(ending.time_s), ending)
        return replies

    def _tell_closed(self, endpoint: Endpoint, contact: PlannedContact, ending: Ending) -> None:
        """Tell how many of the devices that take part are not through when it is closed."""
        cut_off = int((self._through_s()[self._parties()] > ending.time_s).sum())
        if cut_off:
            endpoint.facts.emit(
                ChainClosed(
                    time_s=ending.time_s,
                    cluster=contact.cluster.name,
                    contact_id=contact.contact_id,
                    reason=ending.closed,
                    devices=cut_off,
                )
            )

    def training_until_s(self) -> Floats:
        """When each device (K,) will have ended its training; 0 for who does not train."""
        legs = self.legs
        until_s: Floats = np.zeros(len(legs[0].who))
        for leg in legs:
            if isinstance(leg, Training):
                until_s = np.maximum(until_s, np.where(leg.who, leg.stops_s, 0.0))
        return until_s


class ServiceLink(Endpoint):
    """One client's end of its link to the server, over its ``sessions``; chains that go on.

    A chain goes over all contacts of a session as over one link.
    """

    def __init__(self, sessions: ClusterSessions, devices: Devices, shared: Shared) -> None:
        super().__init__(devices, shared)
        self.sessions = sessions
        self._going_on: list[Chain] = []

    def chain(self, steps: Sequence[Step]) -> Generator[simpy.Event, Any, list[Reply]]:
        """Let every device run through ``steps``; reply when the last one has ended."""
        check_names(steps)
        sessions = self.sessions
        session, until_s = sessions.use(), sessions.open_until_s
        chain = Chain(steps, session, self.clock.now, self.closing, until_s=until_s)
        return (yield from chain.run(self, self._going_on))

    def settle_all(self, end_s: float) -> None:
        """Write what is still going on as far as it got by ``end_s``, when the run has ended."""
        for chain in self._going_on:
            chain.settle(self, Ending(end_s, run_over=True))
        self._going_on.clear()

    def training_until_s(self) -> Floats:
        """When each device (K,) will have ended the training of the chains that go on."""
        until_s: Floats = np.zeros(self.cluster.devices)
        for chain in self._going_on:
            until_s = np.maximum(until_s, chain.training_until_s())
        return until_s

    def use(self) -> Use:
        """Return what the devices have done by now, in disconnected phases as far as is settled."""
        devices = self.devices
        now_s = self.clock.now
        use = Use(devices.rounds, devices.computed_s, devices.sent_s)
        for chain in self._going_on:
            for leg in chain.legs:
                use += leg.use(now_s)
        return use
