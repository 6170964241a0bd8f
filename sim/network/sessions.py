"""Sessions of one cluster: which contact is open, and who waits for one.

The plan knows when contacts open and close. They are events of the clock only while somebody waits
for a session or is served in it; of all others the state is looked up when somebody asks.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, NamedTuple

import simpy

from learning.requests.cluster import Cluster, Contact, Signal
from sim.clock import Clock
from sim.plan.contacts import LAST_BITS_S, PlannedSession
from sim.plan.sessions import PlannedSessions

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
    """The satellites' side of one cluster: the session and contact that are open, and who waits.

    ``planned`` are all of the plan. ``exhausted`` says that an actor has asked for a contact when
    none was left. ``news`` is given when the server's model is another one.

    A session that never ends repeats: an actor that has used it is given it again once time has
    passed since it was handed out. One that has not used it waits for news, or for the session's
    next part. An actor that trains until contact is given it again when the training is due.
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
        self._name = f"antenna {cluster.name}"
        self._clock = clock
        self.planned = sessions
        self._begun = 0
        self._open: int | None = None
        self._contact: int | None = None
        self._expected = False  # whether an event is to come at which the next session begins
        self._waiting: list[_Waiter] = []
        self._handed_out: dict[str, int] = {}
        self._handed_s: dict[str, float] = {}
        self._news = Signal() if news is None else news
        self._listens = False
        self._called: dict[str, tuple[float, int]] = {}

    @property
    def session(self) -> PlannedSession | None:
        """The session that is open."""
        self._come_to_now()
        return None if self._open is None else self.planned[self._open]

    def first_contact(self) -> float:
        """Return the number of the first contact of all sessions; inf if there is none."""
        return self.planned.contact_id(0) if len(self.planned) else math.inf

    # Edges of contacts: looked up, or as events.

    def _come_to_now(self) -> None:
        """Open the session that goes on now, if no event did; its next edge is one from now on.

        What begins now counts, unless the event for it is still to come.
        """
        if self._open is not None:
            return
        self._count_begun(this_instant=not self._expected)
        if not self._begun:
            return
        planned, now_s, latest = self.planned, self._clock.now, self._begun - 1
        first, after_last = planned.edges[latest], planned.edges[self._begun]
        if now_s >= planned.ends_s[latest]:
            self._contact = after_last - 1
            return
        self._open = latest
        self._contact = max(first, bisect_right(planned.opens_s, now_s, first, after_last) - 1)
        self._use()

    def _count_begun(self, *, this_instant: bool) -> None:
        """Count the sessions that have begun by now; all but the last of them are over."""
        planned, now_s, before = self.planned, self._clock.now, self._begun
        count = bisect_right if this_instant else bisect_left
        self._begun = count(planned.starts_s, now_s, before)
        planned.close_all(max(before - 1, 0), self._begun - 1)

    def _use(self) -> None:
        """Let the next edge of the open session be an event."""
        assert self._contact is not None  # a session opens with its first contact
        if self.planned.closes_s[self._contact] >= self._clock.now:
            self._at_end_of(self._contact)
        else:
            self._at_begin_of(self._contact + 1)

    def _at_begin_of(self, place: int) -> None:
        self._at(self.planned.opens_s[place], partial(self._opens, place))

    def _at_end_of(self, place: int) -> None:
        self._at(self.planned.closes_s[place], partial(self._closes, place))

    def _at(self, time_s: float, act: Callable[[], None]) -> None:
        self._clock.call_at(self._name, time_s, act)

    def expect(self) -> None:
        """Let the next session begin by an event where somebody waits for it, or it begins now."""
        starts_s = self.planned.starts_s
        if self._begun == len(starts_s):
            self._wake(self._waiting, None)
            return
        start_s = starts_s[self._begun]
        if self._expected or not (self._waiting or start_s == self._clock.now):
            return
        self._expected = True
        self._at(start_s, self._begin_expected)

    def _begin_expected(self) -> None:
        self._expected = False
        if self._open is None:  # else that ends now, and then this one begins
            self._begins()

    def _begins(self) -> None:
        """Open a session for those who wait and want it; let the others wait for the next one."""
        self._open = self._begun
        self._contact = self.planned.edges[self._begun]
        self._begun += 1
        takers = []
        for one in self._waiting:
            training = self._trains_on(one.actor, self._open, one.due)
            self._hand_out(one.actor, self._open)
            if not training and (one.wanted is None or one.wanted()):
                takers.append(one)
        if takers:
            self._wake(takers, self._open)
            self._use()
            return
        self._open = None
        signals = [one.signal for one in self._waiting if one.signal is not None]
        if len(signals) < len(self._waiting):
            self.expect()
            return
        for signal in signals:
            signal.listen(self._expect_again)

    def _expect_again(self) -> None:
        """Expect the next session behind those that nobody wanted, which have passed by."""
        if self._open is not None or self._expected:
            return
        self._begun = bisect_left(self.planned.starts_s, self._clock.now, self._begun)
        for one in self._waiting:
            self._handed_out[one.actor] = self._begun - 1
        self.expect()

    def _opens(self, place: int) -> None:
        """Open a further contact of a session."""
        self._contact = place
        self._at_end_of(place)

    def _closes(self, place: int) -> None:
        """Close a contact, and the session with its last one."""
        assert self._open is not None  # what closes has been open
        if place + 1 < self.planned.edges[self._open + 1]:
            self._at_begin_of(place + 1)
            return
        self.planned.close(self._open)
        self._open = None
        if self._waiting:
            self.expect()

    # Sessions that are had again.

    def _hand_out(self, actor: str, session: int) -> None:
        self._handed_out[actor] = session
        self._handed_s[actor] = self._clock.now

    def _are_one(self, one: int, other: int) -> bool:
        """Whether two sessions are parts of one, or the same."""
        return self.planned.group[one] == self.planned.group[other]

    def _trains_on(self, actor: str, session: int, due: Due | None) -> bool:
        """Whether an actor trains in a session that goes on, and has not come to the end of it."""
        had = self._handed_out.get(actor)
        if had is None or due is None or not self.planned.repeats[session]:
            return False
        due_s = due() if self._are_one(had, session) else None
        return due_s is not None and self._clock.now < due_s

    def _has_again(self, actor: str, session: int, due: Due | None) -> bool:
        """Whether an actor that has had an open session may have it again now."""
        now_s = self._clock.now
        if not self.planned.repeats[session] or now_s >= self.planned.ends_s[session]:
            return False
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
        """Give an actor that waits the open session again, if it repeats and the actor wants it."""
        if waiter not in self._waiting:
            return
        self._come_to_now()
        session = self._open
        if session is None or not self.planned.repeats[session]:
            return
        if self._clock.now >= self.planned.ends_s[session]:
            return  # its next part begins now
        self._hand_out(waiter.actor, session)
        if waiter.wanted is None or waiter.wanted():
            self._wake([waiter], session)
        else:
            self._expect_again_in(waiter)

    @property
    def _none_left(self) -> bool:
        """Whether all sessions have begun that events or looks have come to."""
        return self._begun == len(self.planned)

    # What others ask.

    @property
    def is_open(self) -> bool:
        """Whether a session goes on."""
        self._come_to_now()
        return self._open is not None and self._clock.now < self.planned.ends_s[self._open]

    @property
    def over(self) -> bool:
        """Whether no session goes on and none is to come."""
        return not self.is_open and self._none_left

    @property
    def last(self) -> bool:
        """Whether no session is to come."""
        self._come_to_now()
        return self._none_left

    def parted_s(self, actor: str) -> float:
        """When the session that ``actor`` had last ends or ended; now, if it had none.

        Now too, if the plan parts it from no other.
        """
        had = self._handed_out.get(actor)
        if had is None or self.planned.goes_on(had):
            return self._clock.now
        end_s = self.planned.ends_s[had]
        return min(end_s, self._clock.now) if self.planned.repeats[had] else end_s

    def use_open(self) -> None:
        """Let the session that is open count as handed out to all who have had one before.

        What was asked for in an earlier one has come to its end in this one.
        """
        place = self._open
        if place is None and not self._expected:  # looked up, as nobody uses it
            begun = bisect_right(self.planned.starts_s, self._clock.now) - 1
            if begun >= 0 and self._clock.now < self.planned.ends_s[begun]:
                place = begun
        if place is not None:
            self._handed_out = dict.fromkeys(self._handed_out, place)

    def current_contact_id(self) -> int | None:
        """Return which contact is open, or was and its last bits have just arrived.

        In the gap of a session it is the last one.
        """
        self._come_to_now()
        if self._contact is None:
            return None
        gone_s = self._clock.now - self.planned.closes_s[self._contact]
        if self._open is None and gone_s > LAST_BITS_S:
            return None
        return self.planned.contact_id(self._contact)

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
        taken: int | None = None
        while True:
            self._come_to_now()
            now = self._open
            if taken is not None and self._goes_on_as(taken, now):
                return self._handed(now if now is not None else taken, cycle())
            if now is not None:
                end_s = self.planned.ends_s[now]
                had = self._handed_out.get(actor) == now
                keeps = had and (fresh or self._clock.now >= end_s)
                if not (keeps or self._trains_on(actor, now, due)) or (
                    keeps and self._has_again(actor, now, due)
                ):
                    self._hand_out(actor, now)
                    if wanted is None or wanted():
                        return self._handed(now, cycle())
            repeats = now is not None and self.planned.repeats[now]
            if self._none_left and not (repeats and self.is_open):
                self.exhausted = True
                return None
            event = self._clock.event()
            waiter = _Waiter(actor, event, wanted, signal, due)
            self._waiting.append(waiter)
            if now is None:
                self.expect()
            elif repeats:
                self._expect_again_in(waiter)
            taken = yield event

    def _goes_on_as(self, taken: int, now: int | None) -> bool:
        """Whether a session that was taken is the one of now, or a part of it that ends now."""
        if now is None:
            return self.planned.repeats[taken]
        return now == taken or (self.planned.repeats[now] and self._are_one(taken, now))

    def _handed(self, session: int, cycle: int) -> Contact:
        """Return the open session as a method gets it."""
        assert self._contact is not None  # a session opens with its first contact
        contact_id = self.planned.contact_id(self._contact)
        return Contact(
            contact_id=contact_id,
            session=session,
            satellite=self.planned.contacts.satellite_of(contact_id),
            start_s=self._clock.now,
            end_s=self.planned.ends_s[session],
            cycle=cycle,
            capacity=partial(self._capacity_bytes, session),
            repeats=bool(self.planned.repeats[session]),
        )

    def _capacity_bytes(self, session: int) -> float:
        return self.planned[session].capacity_bytes

    def _wake(self, waiters: list[_Waiter], session: int | None) -> None:
        """Let some go on who wait: they take a session that begins, or there is none left."""
        self._waiting = [one for one in self._waiting if one not in waiters]
        for one in waiters:
            one.event.succeed(session)
