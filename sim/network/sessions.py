"""Sessions of one cluster: its contacts as they open and close, and who waits for one."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import simpy

from learning.requests.cluster import Cluster, Contact
from sim.clock import Clock
from sim.errors import InputError
from sim.network.leg_log import LegLog
from sim.network.legs import Edge
from sim.plan.contact_columns import PlannedSessions
from sim.plan.contacts import LAST_BITS_S, PlannedSession


class ClusterSessions:
    """The satellites' side of one cluster: the session and contact that are open, and who waits.

    ``planned`` are all of the plan. ``served`` is told how many sessions have ended. ``exhausted``
    says that an actor has asked for a contact when none was left.
    """

    def __init__(
        self,
        clock: Clock,
        cluster: Cluster,
        sessions: PlannedSessions,
        log: LegLog,
        served: Callable[[int], None],
    ) -> None:
        self.cluster = cluster
        self.number_served = 0
        self.exhausted = False
        self._clock = clock
        self.planned = sessions
        self._log = log
        self._served = served
        self._begun = 0
        self._open: int | None = None
        self._contact: int | None = None
        self._replanned = 0
        self._waiting: list[simpy.Event] = []
        self._handed_out: dict[str, int] = {}

    @property
    def session(self) -> PlannedSession | None:
        """The session that is open."""
        return None if self._open is None else self.planned[self._open]

    def first_contact(self) -> float:
        """Return the number of the first contact of all sessions; inf if there is none."""
        return self.planned.named(0)[0] if len(self.planned) else math.inf

    def run(self) -> None:
        """Open the next session when it begins, if there is one."""
        if self.last:
            self._wake()
            return
        plan = self._replanned
        place = self.planned.edges[self._begun]

        def begin() -> None:
            if plan == self._replanned:  # else another one comes instead
                self._open, self._begun = self._begun, self._begun + 1
                self._opens(place)

        self._at(self.planned.spans_s[place][0], begin)

    def _opens(self, place: int) -> None:
        self._contact = place
        self._emit(place, opens=True)
        self._wake()
        self._at(self.planned.spans_s[place][1], partial(self._closes, place))

    def _closes(self, place: int) -> None:
        """Close a contact, and the session with its last one."""
        self._emit(place, opens=False)
        assert self._open is not None  # what closes has been open
        if place + 1 < self.planned.edges[self._open + 1]:
            self._at(self.planned.spans_s[place + 1][0], partial(self._opens, place + 1))
            return
        self.planned.close(self._open)
        self._open = None
        self.number_served += 1
        self._served(self.number_served)
        self.run()

    def _at(self, time_s: float, act: Callable[[], None]) -> None:
        self._clock.call_at(f"antenna {self.cluster.name}", time_s, act)

    def replan(self, sessions: PlannedSessions) -> None:
        """Take over a plan that begins with the sessions that have begun.

        Raises InputError where an actor knows already that no contact is left.
        """
        waits_for_s = self._next_s
        self.planned = sessions
        if not self.last and self.exhausted:
            raise InputError(
                f"cluster {self.cluster.name!r} has had its last contact by then; name a time "
                "before its last one begins"
            )
        # What is open is ended first.
        if self._open is None and waits_for_s != self._next_s:
            self._replanned += 1
            self.run()

    @property
    def _next_s(self) -> float | None:
        """When the first session begins that is to come; None for none."""
        return None if self.last else self.planned.start_s(self._begun)

    @property
    def is_open(self) -> bool:
        """Whether a session goes on."""
        return self._open is not None and self._clock.now < self.planned.end_s(self._open)

    @property
    def over(self) -> bool:
        """Whether no session goes on and none is to come."""
        return self.last and not self.is_open

    @property
    def last(self) -> bool:
        """Whether no session is to come."""
        return self._begun == len(self.planned)

    def parted_s(self, actor: str) -> float:
        """When the session that ``actor`` had last ends or ended; now, if it had none."""
        had = self._handed_out.get(actor)
        return self._clock.now if had is None else self.planned.end_s(had)

    def at_hand(self) -> int | None:
        """Return which contact is open, or was and its last bits have just arrived.

        In the gap of a session it is the last one.
        """
        if self._contact is None:
            return None
        gone_s = self._clock.now - self.planned.spans_s[self._contact][1]
        if self._open is None and gone_s > LAST_BITS_S:
            return None
        return self.planned.named(self._contact)[0]

    def next_contact(
        self, actor: str, cycle: Callable[[], int], *, fresh: bool
    ) -> Generator[simpy.Event, Any, Contact | None]:
        """Wait for a session: a ``fresh`` one that ``actor`` has not had yet, or any open one."""
        while True:
            now = self._open
            if now is not None:
                end_s = self.planned.end_s(now)
                had = self._handed_out.get(actor) == now
                if not (had and (fresh or self._clock.now >= end_s)):
                    self._handed_out[actor] = now
                    assert self._contact is not None  # a session opens with its first contact
                    number, satellite, session = self.planned.named(self._contact)
                    return Contact(
                        contact_id=number,
                        session=session,
                        satellite=satellite,
                        start_s=self._clock.now,
                        end_s=end_s,
                        cycle=cycle(),
                        capacity=partial(self._capacity_bytes, now),
                    )
            if self.last:
                self.exhausted = True
                return None
            event = self._clock.event()
            self._waiting.append(event)
            yield event

    def _capacity_bytes(self, session: int) -> float:
        return self.planned[session].capacity_bytes

    def _wake(self) -> None:
        waiting = self._waiting
        self._waiting = []
        for event in waiting:
            event.succeed()

    def _emit(self, place: int, *, opens: bool) -> None:
        number, satellite, _ = self.planned.named(place)
        self._log.contact(Edge(self._clock.now, opens, self.cluster.name, number, satellite))
