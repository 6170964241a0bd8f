"""Sessions of one cluster: which is open, and who waits for one.

The plan and the time say which session and contact are open: asking changes nothing. A session
begins by an event only while somebody waits for it, and ends by one only if somebody uses it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, NamedTuple

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


class _Waiter(NamedTuple):
    """An actor that waits for a session, and the event that it waits for meanwhile.

    A session that is not ``wanted`` passes by, and with a ``signal`` all do until that is given.
    One that repeats is had again when it is ``due``.
    """

    actor: str
    event: simpy.Event
    wanted: Wanted | None
    signal: Signal | None
    due: Due | None = None


class ClusterSessions:
    """The sessions of one cluster, by their numbers in ``planned``, and who waits for one.

    ``exhausted`` says that an actor has asked for a contact when none was left. ``news`` is given
    when the server's model is another one.

    A session that never ends repeats: an actor that has used it is given it again once time has
    passed since it was handed out. An actor that skipped it is called by a new version of the
    model, or by the next part. One that trains until contact is given it again when the training is
    due.
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
        self._name = f"antenna {cluster.name}"
        self._clock = clock
        self._offered = 0  # how many sessions have begun by an event, or before one
        self._expected: int | None = None  # the session whose begin is an event to come
        self._used: int | None = None  # the session whose end is an event to come
        self._waiting: list[_Waiter] = []
        self._handed_out: dict[str, int] = {}
        self._handed_s: dict[str, float] = {}
        self._news = Signal() if news is None else news
        self._listens = False
        self._called: dict[str, tuple[float, int]] = {}

    # What the plan says of now.

    @property
    def open(self) -> int | None:
        """The session that goes on."""
        latest = self._begun - 1
        return latest if latest >= 0 and self._clock.now < self.planned.ends_s[latest] else None

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
        return begun - 1 if begun - 1 == self._expected else begun

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
        had = self._handed_out.get(actor)
        if had is None or self.planned.goes_on(had):
            return self._clock.now
        end_s = self.planned.ends_s[had]
        return min(end_s, self._clock.now) if self.planned.repeats[had] else end_s

    # Events: a session begins for those who wait for it, and ends for those who use it.

    def use(self) -> PlannedSession | None:
        """Return the session that goes on; it is let go as it ends. None for none."""
        session = self.open
        if session is None:
            return None
        self._use(session)
        return self.planned[session]

    def _use(self, session: int) -> None:
        """Let the end of a session be an event."""
        if self._used != session:
            self._used = session
            self.planned.close_before(session)
            self._at(self.planned.ends_s[session], partial(self._ends, session))

    def _ends(self, session: int) -> None:
        """Let a session go, and those who wait have the next one."""
        self.planned.close(session)
        if self._used == session:
            self._used = None
            if self._waiting:
                self.expect()

    def expect(self) -> None:
        """Let the next session begin by an event, for those who wait then; tell them of none."""
        if self._expected is not None:
            return
        coming = self._coming
        if coming == len(self.planned):
            self._wake(self._waiting, None)
            return
        self._expected = coming
        self._at(self.planned.starts_s[coming], partial(self._begins, coming))

    @property
    def _coming(self) -> int:
        """The next session, of those that begin from now on by no event as yet."""
        return bisect_left(self.planned.starts_s, self._clock.now, self._offered)

    def _begins(self, session: int) -> None:
        """Begin a session for those who wait and want it; let the others wait for the next one."""
        self._expected = None
        self._offered = session + 1
        takers = []
        for one in self._waiting:
            training = self._trains_on(one.actor, session, one.due)
            self._hand_out(one.actor, session)
            if not training and (one.wanted is None or one.wanted()):
                takers.append(one)
        if takers:
            self._wake(takers, session)
            self._use(session)
            return
        signals = [one.signal for one in self._waiting if one.signal is not None]
        if len(signals) < len(self._waiting):
            self.expect()
            return
        for signal in signals:
            signal.listen(self._expect_again)

    def _expect_again(self) -> None:
        """Expect the next session behind those that nobody wanted, which have passed by."""
        if self._used is not None or self._expected is not None:
            return
        for one in self._waiting:
            self._handed_out[one.actor] = self._coming - 1
        self.expect()

    def _at(self, time_s: float, act: Callable[[], None]) -> None:
        self._clock.call_at(self._name, time_s, act)

    def _wake(self, waiters: Sequence[_Waiter], session: int | None) -> None:
        """Let some go on who wait: they take a session that begins, or there is none left."""
        self._waiting = [one for one in self._waiting if one not in waiters]
        for one in waiters:
            one.event.succeed(session)

    # What actors have had.

    def _hand_out(self, actor: str, session: int) -> None:
        self._handed_out[actor] = session
        self._handed_s[actor] = self._clock.now

    def mark_used(self) -> None:
        """Let the session that goes on count as handed out to all who have had one before.

        What was asked for in an earlier one has come to its end in this one.
        """
        session = self.open
        if session is not None:
            self._handed_out = dict.fromkeys(self._handed_out, session)

    def _trains_on(self, actor: str, session: int, due: Due | None) -> bool:
        """Whether an actor trains in a session that goes on, and has not come to the end of it."""
        had = self._handed_out.get(actor)
        if had is None or due is None or not self.planned.repeats[session]:
            return False
        due_s = due() if self.planned.group[had] == self.planned.group[session] else None
        return due_s is not None and self._clock.now < due_s

    def _has_again(self, actor: str, session: int, due: Due | None) -> bool:
        """Whether an actor that has had the session that goes on may have it again now."""
        if not self.planned.repeats[session]:
            return False
        now_s = self._clock.now
        due_s = None if due is None else due()
        return now_s > self._handed_s.get(actor, math.inf) if due_s is None else now_s >= due_s

    def _expect_again_in(self, waiter: _Waiter) -> None:
        """Let an actor that waits in a session that repeats be called when it may have it again."""
        due_s = None if waiter.due is None else waiter.due()
        if due_s is not None:
            if self._clock.now < due_s < math.inf:
                self._at(due_s, partial(self._call, waiter))
        elif not self._listens:
            self._listens = True
            self._news.listen(self._hear)

    def _hear(self) -> None:
        """Call who waits in a session that repeats: the server's model is another one."""
        self._listens = False
        for waiter in list(self._waiting):
            if waiter.due is not None and waiter.due() is not None:
                continue
            at_s, times = self._called.get(waiter.actor, (-math.inf, 0))
            times = times + 1 if at_s == self._clock.now else 1
            self._called[waiter.actor] = self._clock.now, times
            if times <= MOST_AT_ONCE:
                self._call(waiter)

    def _call(self, waiter: _Waiter) -> None:
        """Give an actor that waits the session again that goes on, if it repeats and is wanted."""
        session = self.open
        if waiter not in self._waiting or session is None or not self.planned.repeats[session]:
            return
        self._hand_out(waiter.actor, session)
        if waiter.wanted is None or waiter.wanted():
            self._wake([waiter], session)
        else:
            self._expect_again_in(waiter)

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
        asked once of each, and after a no not before the ``signal`` is given, if there is one. An
        actor that trains has a session that repeats again when it is ``due``.
        """
        while True:
            now = self.open
            if now is not None:
                self._use(now)
                keeps = fresh and self._handed_out.get(actor) == now
                if not (keeps or self._trains_on(actor, now, due)) or (
                    keeps and self._has_again(actor, now, due)
                ):
                    self._hand_out(actor, now)
                    if wanted is None or wanted():
                        return self._handed(now, cycle())
            repeats = now is not None and self.planned.repeats[now]
            if self.last and not repeats:
                self.exhausted = True
                return None
            waiter = _Waiter(actor, self._clock.event(), wanted, signal, due)
            self._waiting.append(waiter)
            if now is None:
                self.expect()
            elif repeats:
                self._expect_again_in(waiter)
            taken = yield waiter.event
            if taken is not None:
                return self._handed(taken, cycle())

    def _handed(self, session: int, cycle: int) -> Contact:
        """Return a session that goes on as a method gets it."""
        contact_id = self.planned.contact_id(self._row(session))
        return Contact(
            contact_id=contact_id,
            session=session,
            satellite=self.planned.contacts.server_of(contact_id),
            start_s=self._clock.now,
            end_s=self.planned.ends_s[session],
            cycle=cycle,
            capacity=lambda: self.planned[session].capacity_bytes,
            repeats=bool(self.planned.repeats[session]),
        )
