"""Sessions of one client: which is open, and which an actor is given.

The plan and the time say which session and contact are open: asking changes nothing. The begin of
a session is an event only while an actor waits for it, its end only if one uses it: its links are
then let go.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator
from dataclasses import dataclass
from math import inf
from typing import Any

import simpy

from learning.requests.cluster import Cluster, Contact, Signal
from sim.clock import Clock
from sim.plan.contacts import PlannedSession, PlannedSessions
from sim.plan.passes import LAST_BITS_S

Wanted = Callable[[], bool]
"""Whether an actor would use a session that begins now."""
Due = Callable[[], float | None]
"""When an actor that trains can use the session again that is open; None for as soon as it may."""
MOST_AT_ONCE = 100
"""How often an actor is called at one instant because others have changed the server's model."""


@dataclass(slots=True)
class _Given:
    """The ``session`` that an actor was given last, and when.

    In one that repeats it was called so many ``times`` at ``called_s``.
    """

    session: int
    since_s: float
    called_s: float = -math.inf
    times: int = 0


class ClusterSessions:
    """The sessions of one cluster, by their numbers in ``planned``, and who was given which.

    ``exhausted`` says that an actor has asked for a contact when none was left. ``news`` is given
    when the server's model is another one.
    """

    def __init__(
        self,
        clock: Clock,
        cluster: Cluster,
        sessions: PlannedSessions,
        news: Signal | None = None,
    ) -> None:
        self.cluster = cluster
        self.exhausted = False
        self.planned = sessions
        self._clock = clock
        self._news = Signal() if news is None else news
        self._given: dict[str, _Given] = {}
        # The sessions whose begin, or end, was an event last, and that.
        self._begins: tuple[int, simpy.Event | None] = -1, None
        self._ends: tuple[int, simpy.Event | None] = -1, None

    # What the plan says of now.

    @property
    def open(self) -> int | None:
        """The session that goes on."""
        latest = self._begun - 1
        return latest if latest >= 0 and self._clock.now < self.planned.ends_s[latest] else None

    @property
    def open_until_s(self) -> float:
        """When the session that goes on ends: of parts of a longer one, this part; inf for none."""
        session = self.open
        return inf if session is None else self.planned.ends_s[session]

    @property
    def last(self) -> bool:
        """Whether no session is to come."""
        return self._begun == len(self.planned)

    @property
    def over(self) -> bool:
        """Whether no session goes on and none is to come."""
        return self.last and self.open is None

    @property
    def _begun(self) -> int:
        """How many sessions have begun by now, but for one whose event is still to come."""
        begun = bisect_right(self.planned.starts_s, self._clock.now)
        session, event = self._begins
        return begun if event is None or event.processed else min(begun, session)

    def _row(self, session: int) -> int:
        """Return the row of the contact that had begun last in a session; the first before that."""
        first, after_last = self.planned.edges[session : session + 2]
        begun = bisect_right(self.planned.opens_s, self._clock.now, first, after_last)
        return max(first, begun - 1)

    def current_contact_id(self) -> int | None:
        """Return which contact is open, or was and its last bits have just arrived.

        In the gap of a session it is the last one.
        """
        begun = self._begun
        if not begun:
            return None
        row = self._row(begun - 1)
        gone_s = self._clock.now - self.planned.closes_s[row]
        if self.open is None and gone_s > LAST_BITS_S:
            return None
        return self.planned.contact_id(row)

    def parted_s(self, actor: str) -> float:
        """When the session that ``actor`` had last ends or ended; now, if it had none.

        Now too, if the plan parts it from no other.
        """
        given = self._given.get(actor)
        if given is None or self.planned.goes_on(given.session):
            return self._clock.now
        end_s = self.planned.ends_s[given.session]
        return min(end_s, self._clock.now) if self.planned.repeats[given.session] else end_s

    # Events of those who wait for a session, and of those who use it.

    def begin_of(self, session: int) -> simpy.Event:
        """Return the event of a session that begins now or later."""
        known, event = self._begins
        if event is None or known != session:
            event = self._clock.at(self.planned.starts_s[session])
            self._begins = session, event
        return event

    def use(self) -> PlannedSession | None:
        """Return the session that goes on; it is let go as it ends. None for none."""
        session = self.open
        if session is None:
            return None
        self._end_of(session)
        return self.planned[session]

    def _end_of(self, session: int) -> simpy.Event:
        """Return the event of the end of a session that goes on."""
        known, event = self._ends
        if event is None or known != session:
            self.planned.close_before(session)
            event = self._clock.at(self.planned.ends_s[session])
            event.callbacks.append(lambda _: self.planned.close(session))
            self._ends = session, event
        return event

    # Which session an actor is given.

    def next_contact(
        self,
        actor: str,
        cycle: Callable[[], int],
        *,
        fresh: bool,
        wanted: Wanted | None = None,
        signal: Signal | None = None,
        due: Due | None = None,
    ) -> Generator[simpy.Event, Any, Contact | None]:
        """Wait for a session: a ``fresh`` one that ``actor`` has not had yet, or any open one.

        One that is not ``wanted`` when it begins passes by, as if the actor had had it; that is
        asked once of each, and after a no not before the ``signal`` is given, if there is one.

        A session that never ends repeats: an actor is given it again once the server's model is
        another one, or with the next part; one that trains in it, when the training is ``due``.
        """
        planned = self.planned
        coming = self._begun
        session = self.open
        may_have = False
        if session is not None:
            self._end_of(session)
            may_have = self._may_have(actor, session, due, fresh=fresh)
        while True:
            if session is not None and may_have:
                self._give(actor, session)
                if wanted is None or wanted():
                    self._end_of(session)
                    return self._contact(session, cycle())
                if signal is not None:
                    yield self._given_by(signal)
                    coming = max(coming, bisect_left(planned.starts_s, self._clock.now))
                    session = None
            if coming == len(planned) and (session is None or not planned.repeats[session]):
                self.exhausted = True
                return None
            yield from self._wait(actor, session, coming, due)
            session = self.open
            coming = max(coming, self._begun)
            may_have = session is not None and not self._trains_on(actor, session, due)

    def _wait(
        self, actor: str, session: int | None, coming: int, due: Due | None
    ) -> Generator[simpy.Event, Any, None]:
        """Wait for the session that goes on, if it repeats, or until it is over and one begins."""
        if session is not None and self.planned.repeats[session]:
            yield self._again(actor, session, due)
            if self._clock.now < self.planned.ends_s[session]:
                return
        elif session is not None and session == self._ends[0]:
            yield self._end_of(session)
        if coming < len(self.planned):
            yield self.begin_of(coming)

    def _given_by(self, signal: Signal) -> simpy.Event:
        """Return the event at which a signal is given."""
        event = self._clock.event()
        signal.listen(lambda: _succeed(event))
        return event

    def _again(self, actor: str, session: int, due: Due | None) -> simpy.Event:
        """Return the event at which a session that repeats is due, or over, or there is news."""
        due_s = None if due is None else due()
        end_s = self.planned.ends_s[session]
        if due_s is not None:
            is_ahead = self._clock.now < due_s < end_s
            return self._clock.at(due_s) if is_ahead else self._end_of(session)
        called = self._clock.event()
        self._news.listen(lambda: _succeed(called) if self._may_call(actor) else None)
        self._end_of(session).callbacks.append(lambda _: _succeed(called))
        return called

    def _may_call(self, actor: str) -> bool:
        """Count a call of an actor; return whether there were few at this instant."""
        given = self._given[actor]
        now_s = self._clock.now
        given.times = given.times + 1 if given.called_s == now_s else 1
        given.called_s = now_s
        return given.times <= MOST_AT_ONCE

    def _may_have(self, actor: str, session: int, due: Due | None, *, fresh: bool) -> bool:
        """Whether an actor that asks now may be given the session that goes on."""
        given = self._given.get(actor)
        if not fresh or given is None or given.session != session:
            return not self._trains_on(actor, session, due)
        if not self.planned.repeats[session]:
            return False
        due_s = None if due is None else due()
        return self._clock.now > given.since_s if due_s is None else self._clock.now >= due_s

    def _trains_on(self, actor: str, session: int, due: Due | None) -> bool:
        """Whether an actor trains in a session that goes on, and has not come to the end of it."""
        given = self._given.get(actor)
        if given is None or due is None or not self.planned.repeats[session]:
            return False
        if self.planned.group[given.session] != self.planned.group[session]:
            return False
        due_s = due()
        return due_s is not None and self._clock.now < due_s

    def _give(self, actor: str, session: int) -> None:
        given = self._given.setdefault(actor, _Given(session, self._clock.now))
        given.session = session
        given.since_s = self._clock.now

    def mark_used(self) -> None:
        """Let the session that goes on count as given to all who have had one before.

        What was asked for in an earlier one has come to its end in this one.
        """
        session = self.open
        if session is not None:
            for given in self._given.values():
                given.session = session

    def _contact(self, session: int, cycle: int) -> Contact:
        """Return a session that goes on as a method gets it."""
        contact_id = self.planned.contact_id(self._row(session))
        return Contact(
            contact_id=contact_id,
            session=session,
            satellite=self.planned.contacts.server_of(contact_id),
            start_s=self._clock.now,
            end_s=self.planned.ends_s[session],
            cycle=cycle,
            capacity=lambda: self.planned[session].capacity_bytes(
                self.planned.starts_s[session], self.planned.ends_s[session]
            ),
            repeats=bool(self.planned.repeats[session]),
        )


def _succeed(event: simpy.Event) -> None:
    if not event.triggered:
        event.succeed()
