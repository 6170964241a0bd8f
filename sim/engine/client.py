"""Client: all that one cluster owns in a run, under its rules."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any

import numpy as np
import simpy

from learning.requests.cluster import (
    Contact,
    Forecast,
    NextContact,
    Outlook,
    Step,
    TrainUntilContact,
    Work,
)
from sim.devices.compute import Phase
from sim.devices.energy import Use
from sim.facts.directions import Way
from sim.mesh.links import MeshLink
from sim.network.chains import Reply, ServiceLink
from sim.network.endpoint import everybody
from sim.network.legs import ChainEnded, Trained
from statements.arrays import Floats, Ints

Carried = tuple[Floats, Floats]
"""Bytes (K,) up and down."""


class Client:
    """One cluster in a run: its ``link`` to the server, with its sessions and its devices.

    It answers what the method asks of the cluster.
    """

    def __init__(self, link: ServiceLink) -> None:
        self.cluster = link.cluster
        self.sessions = link.sessions
        self.devices = link.devices
        self.link = link
        self._clock = link.clock
        self._phases: dict[str, Phase] = {}
        # What was worked out last of a session that is not open yet: its number, and bytes.
        self._ahead: tuple[int, Carried] | None = None

    # What the method asks of the cluster.

    def next_contact(
        self, actor: str, request: NextContact, cycle: Callable[[], int]
    ) -> Generator[simpy.Event, Any, Contact | None]:
        """Wait for a session; reply None where none is left.

        ``cycle`` returns the number of complete cycles.
        """
        return self.sessions.next_contact(
            actor, cycle, fresh=request.fresh, wanted=request.wanted, signal=request.signal
        )

    def chain(self, steps: Sequence[Step]) -> Generator[simpy.Event, Any, list[Reply]]:
        """Let every device run through ``steps``; reply when the last one has ended."""
        replies = yield from self.link.chain(steps)
        over_mesh = isinstance(self.link, MeshLink)
        ended = ChainEnded(self.cluster.name, steps, replies, over_mesh=over_mesh)
        self.link.facts.emit(ended)
        return replies

    def forecast(self, request: Forecast) -> Outlook | list[Outlook] | None:
        """Return what the session that is open, or the next one, can still carry; None at the end.

        With ``fresh`` it is one that begins now or later, with ``sessions`` a list of so many.
        The links of a session that is not open yet are let go again.
        """
        planned = self.sessions.planned
        now_s = self._clock.now
        wanted = request.sessions
        begin = bisect_right(planned.ends_s, now_s)
        if request.fresh:
            begin = bisect_left(planned.starts_s, now_s, begin)
        ahead = range(len(planned))[begin : begin + (1 if wanted is None else wanted)]
        outlooks = [self._outlook(session, len(planned) - session) for session in ahead]
        return next(iter(outlooks), None) if wanted is None else outlooks

    def _outlook(self, session: int, left: int) -> Outlook:
        planned = self.sessions.planned
        begins_s = planned.starts_s[session]
        start_s = max(begins_s, self._clock.now)
        is_open = begins_s <= self._clock.now
        k = self.cluster.devices
        per_contact = self.devices.compute.per_contact
        round_s = self.devices.compute.round_s

        def worked_out() -> Carried:
            to_server, to_client = (planned.carried_bits(session, way, start_s) for way in Way)
            return _bytes(to_server, k), _bytes(to_client, k)

        def carried() -> Carried:
            if is_open:
                return worked_out()
            # Until it begins it carries the same, however often somebody asks.
            if self._ahead is None or self._ahead[0] != session:
                self._ahead = session, worked_out()
                planned.close(session)
            up, down = self._ahead[1]
            return up.copy(), down.copy()

        return Outlook(
            start_s=start_s,
            end_s=planned.ends_s[session],
            carried=carried,
            memory_bytes=self.devices.memory_bytes,
            round_s=lambda cost: np.broadcast_to(round_s(cost), (k,)).astype(float),
            rounds=1 if per_contact is None else per_contact,
            sessions=left,
            cuts_off=planned.cuts_off(session),
        )

    def charge(self) -> float:
        """Return the share of its battery's capacity that it holds now; 1 without a battery."""
        phases = list(self._phases.values())
        return self.devices.charge(phases[0] if phases else None, self._clock.now)

    def train_until_contact(
        self, actor: str, request: TrainUntilContact, cycle: Callable[[], int]
    ) -> Generator[simpy.Event, Any, tuple[Work, Contact | None]]:
        """Train until the next contact; reply with what was trained, and with the contact.

        The disconnected phase counts from when contact was lost, so that transfers do not shift it.
        """
        if request.anew:
            self.devices.drop_open()
        self._begin_phase(actor, request, request.rounds)
        ended: list[Work] = []
        contact = yield from self.sessions.next_contact(
            actor,
            cycle,
            fresh=True,
            wanted=partial(self._interrupted, actor, request, ended),
            due=lambda: self.devices.due_s(self._phases[actor]),
        )
        if contact is None:  # devices train on to the end, though nobody will hear of it
            none = np.zeros(self.cluster.devices, np.int64)
            from_s = self._phases[actor].from_s
            nothing = Work(none, np.full(self.cluster.devices, from_s), none.astype(bool))
            return nothing, None
        return ended[-1], contact

    def _begin_phase(
        self, actor: str, request: TrainUntilContact, rounds: int | Ints | None
    ) -> None:
        """Begin a disconnected phase of an actor, of so many rounds of each device at most."""
        from_s = self._clock.now if request.from_now else self.sessions.parted_s(actor)
        who = everybody(request.who, self.cluster.devices)
        self._phases[actor] = self.devices.phase(request.cost, who, from_s, rounds)

    def _interrupted(self, actor: str, request: TrainUntilContact, ended: list[Work]) -> bool:
        """End the phase of an actor as a contact begins, and return whether that is wanted.

        If it is not, the next phase begins with what is left of the rounds.
        """
        phase = self._phases.pop(actor)
        work = self._end_phase(phase, self._clock.now)
        if request.wanted is None or request.wanted(work):
            ended.append(work)
            return True
        left = phase.most_rounds
        self._begin_phase(actor, request, None if left is None else left - work.rounds)
        return False

    def _end_phase(self, phase: Phase, to_s: float) -> Work:
        devices = self.devices
        cost = phase.cost
        devices.load.add(cost)
        excluded = devices.excluded(cost)
        gap = devices.end_phase(phase, to_s)
        if np.count_nonzero(gap.rounds):
            trained = Trained(
                self.cluster.name,
                None,
                who=gap.rounds > 0,
                rounds=gap.rounds,
                start_s=gap.begin_s,
                end_s=gap.end_s,
                now_s=to_s,
            )
            self.link.log.add(trained)
        self.link.tell_memory_lacks(excluded, cost)
        return Work(gap.rounds, gap.end_s, excluded)

    def settle_phases(self, end_s: float) -> None:
        """End the disconnected phases that go on when the run has ended."""
        for phase in self._phases.values():
            self._end_phase(phase, end_s)
        self._phases.clear()

    def use(self, end_s: float, for_peers: Use) -> Use:
        """Return what the devices have done by now, or the end, in phases that go on too.

        To that they have done something ``for_peers``.
        """
        use = self.link.use() + for_peers
        for phase in self._phases.values():
            gap = self.devices.gap(phase, end_s)
            use += Use(gap.rounds, gap.computed_s - self.devices.open_s)
        return use


def _bytes(bits: Floats | float, devices: int) -> Floats:
    return np.broadcast_to(bits / 8, (devices,)).astype(float)
