"""Contacts as they open and close; the server's state between satellites."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any

import simpy

from learning.requests.cluster import Cluster, Contact
from sim.clock import Clock, Process
from sim.errors import InputError
from sim.plan.contacts import LAST_BITS_S, PlannedContact, PlannedSession
from sim.trace.recorder import Trace


class ClusterSessions:
    """The satellites' side of one cluster: the session and contact that are open, and who waits.

    ``contact`` is the one that is open or, in the gap of a session and after it, the last one.
    ``exhausted`` says that an actor has asked for a contact when none was left.
    """

    def __init__(self, clock: Clock, cluster: Cluster, sessions: Sequence[PlannedSession]) -> None:
        self.cluster = cluster
        self.session: PlannedSession | None = None
        self.contact: PlannedContact | None = None
        self.number_served = 0
        self.exhausted = False
        self._clock = clock
        self._sessions = sessions
        self._left = len(sessions)
        self._replanned = 0
        self._waiting: list[simpy.Event] = []
        self._handed_out: dict[str, PlannedSession] = {}

    def run(self, trace: Trace, served: Callable[[int], None]) -> Process:
        """Open and close the cluster's contacts; tell ``served`` how many sessions have ended."""
        plan = self._replanned
        while self._left:
            yield self._clock.at(self._next.start_s)
            if plan != self._replanned:  # another process looks after what comes instead
                return
            session = self.session = self._next
            self._left -= 1
            for contact in session.contacts:
                if contact is not session.contacts[0]:
                    yield self._clock.at(contact.start_s)
                self.contact = contact
                self._emit(trace, "connect", contact)
                self._wake()
                yield self._clock.at(contact.end_s)
                self._emit(trace, "disconnect", contact)
            self.session = None
            session.close()
            self.number_served += 1
            served(self.number_served)
        self._wake()

    def replan(self, sessions: Sequence[PlannedSession]) -> bool:
        """Take over a plan that begins with the sessions that have begun.

        Returns whether :meth:`run` has to be started anew, as it waits for what does not come now.
        Raises InputError where an actor knows already that no contact is left.
        """
        begun = len(self._sessions) - self._left
        waits_for_s = self._next.start_s if self._left else None
        self._sessions = [*self._sessions[:begun], *sessions[begun:]]
        self._left = len(sessions) - begun
        if self._left and self.exhausted:
            raise InputError(
                f"cluster {self.cluster.name!r} has had its last contact by then; name a time "
                "before its last one begins"
            )
        if self.session is not None:  # what is open is ended first
            return False
        if waits_for_s == (self._next.start_s if self._left else None):
            return False
        self._replanned += 1
        if not self._left:
            self._wake()
        return self._left > 0

    @property
    def _next(self) -> PlannedSession:
        """The first session that is to come."""
        return self._sessions[-self._left]

    @property
    def is_open(self) -> bool:
        """Whether a session goes on."""
        return self.session is not None and self._clock.now < self.session.end_s

    @property
    def over(self) -> bool:
        """Whether no session goes on and none is to come."""
        return self.last and not self.is_open

    @property
    def last(self) -> bool:
        """Whether no session is to come."""
        return self._left == 0

    def parted_s(self, actor: str) -> float:
        """When the session that ``actor`` had last ends or ended; now, if it had none."""
        had = self._handed_out.get(actor)
        return self._clock.now if had is None else had.end_s

    def at_hand(self) -> PlannedContact | None:
        """Return the contact of the open session, or one whose last bits have just arrived."""
        if self.session is None and self.contact is not None:
            gone_s = self._clock.now - self.contact.end_s
            return self.contact if gone_s <= LAST_BITS_S else None
        return self.contact

    def next_contact(
        self, actor: str, fresh: bool, cycle: Callable[[], int]
    ) -> Generator[simpy.Event, Any, Contact | None]:
        """Wait for a session that ``actor`` has not had yet (or any open one)."""
        while True:
            now = self.session
            had = self._handed_out.get(actor) is now
            if now and not (had and (fresh or self._clock.now >= now.end_s)):
                self._handed_out[actor] = now
                contact = self.contact
                assert contact is not None  # a session opens with its first contact
                return Contact(
                    contact_id=contact.contact_id,
                    session=now.number,
                    satellite=contact.satellite,
                    start_s=self._clock.now,
                    end_s=now.end_s,
                    cycle=cycle(),
                    capacity=partial(getattr, now, "capacity_bytes"),
                )
            if self._left == 0:
                self.exhausted = True
                return None
            event = self._clock.event()
            self._waiting.append(event)
            yield event

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            event.succeed()

    def _emit(self, trace: Trace, kind: str, contact: PlannedContact) -> None:
        trace.add(
            "events",
            time_s=self._clock.now,
            kind=kind,
            cluster=self.cluster.name,
            contact_id=contact.contact_id,
            detail=contact.satellite,
        )


# When satellites that serve as one server know what each of them has received.


class Synchronisation:
    """Access points of one server, whose state takes ``delay_s`` from one satellite to another.

    With no delay, the ideal, every satellite always has the newest state. Otherwise a download
    from one waits until it knows every upload that another one had received by then.
    """

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._received_s: dict[str, float] = {}

    @property
    def takes_time(self) -> bool:
        """Whether a satellite does not always have the newest state."""
        return self._delay_s > 0.0

    def received(self, satellite: str, time_s: float) -> None:
        """Note that an upload to ``satellite`` was through at ``time_s``."""
        self._received_s[satellite] = max(self._received_s.get(satellite, -math.inf), time_s)

    def known_s(self, satellite: str) -> float:
        """When ``satellite`` knows all that others have received so far; -inf for always."""
        if not self._delay_s:
            return -math.inf
        others = [t for name, t in self._received_s.items() if name != satellite]
        return max(others, default=-math.inf) + self._delay_s
