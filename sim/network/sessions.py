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
from sim.errors import InputError
from sim.plan.contact_columns import PlannedSessions
from sim.plan.contacts import LAST_BITS_S, PlannedSession

Wanted = Callable[[], bool]
"""Whether an actor would use a session that begins now."""


class _Waiter(NamedTuple):
    """An actor that waits for a session, and the event that it waits for meanwhile.

    A session that is not ``wanted`` passes by, and with a ``signal`` all do until that is given.
    """

    actor: str
    event: simpy.Event
    wanted: Wanted | None
    signal: Signal | None


class ClusterSessions:
    """The satellites' side of one cluster: the session and contact that are open, and who waits.

    ``planned`` are all of the plan. ``exhausted`` says that an actor has asked for a contact when
    none was left.
    """

    def __init__(self, clock: Clock, cluster: Cluster, sessions: PlannedSessions) -> None:
        self.cluster = cluster
        self.exhausted = False
        self._name = f"antenna {cluster.name}"
        self._clock = clock
        self.planned = sessions
        self._begun = 0
        self._open: int | None = None
        self._contact: int | None = None
        self._expected: object | None = None  # the event at which the next session begins
        self._waiting: list[_Waiter] = []
        self._handed_out: dict[str, int] = {}

    @property
    def session(self) -> PlannedSession | None:
        """The session that is open."""
        self._look()
        return None if self._open is None else self.planned[self._open]

    def first_contact(self) -> float:
        """Return the number of the first contact of all sessions; inf if there is none."""
        return self.planned.named(0)[0] if len(self.planned) else math.inf

    # Edges of contacts: looked up, or as events.

    def _look(self, *, this_instant: bool = True) -> None:
        """Find out what is open, if no events tell; a session that is open is in use from now on.

        ``this_instant`` counts what begins now, unless the event for it is still to come.
        """
        if self._open is not None:
            return
        now_s = self._clock.now
        at_once = this_instant and self._expected is None
        planned = self.planned
        while self._begun < len(planned):
            start_s = planned.start_s(self._begun)
            if start_s > now_s or (start_s == now_s and not at_once):
                break
            if self._begun:
                planned.close(self._begun - 1)
            self._begun += 1
        if not self._begun:
            return
        latest = self._begun - 1
        place = planned.edges[latest]
        if now_s >= planned.end_s(latest):
            self._contact = planned.edges[self._begun] - 1
            return
        while place + 1 < planned.edges[self._begun] and planned.opens_s[place + 1] <= now_s:
            place += 1
        self._open = latest
        self._contact = place
        self._use()

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
        if self._expected is not None or not (self._waiting or start_s == self._clock.now):
            return
        self._expected = expected = object()

        def begin() -> None:
            if expected is not self._expected:  # another one comes instead
                return
            self._expected = None
            if self._open is None:  # else that ends now, and then this one begins
                self._begins()

        self._at(start_s, begin)

    def _begins(self) -> None:
        """Open a session for those who wait and want it; let the others wait for the next one."""
        self._open = self._begun
        self._contact = self.planned.edges[self._begun]
        self._begun += 1
        takers = []
        for one in self._waiting:
            self._handed_out[one.actor] = self._open
            if one.wanted is None or one.wanted():
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
        if self._open is not None or self._expected is not None:
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

    def replan(self, sessions: PlannedSessions) -> None:
        """Take over a plan that begins with the sessions that have begun.

        Raises InputError where an actor knows already that no contact is left.
        """
        self._look(this_instant=False)
        waits_for_s = self._next_s
        self.planned = sessions
        if not self._none_left and self.exhausted:
            raise InputError(
                f"cluster {self.cluster.name!r} has had its last contact by then; name a time "
                "before its last one begins"
            )
        if waits_for_s != self._next_s:
            self._expected = None
        # What is open is ended first.
        if self._open is None:
            self.expect()

    @property
    def _next_s(self) -> float | None:
        """When the first session begins that is to come; None for none."""
        return None if self._none_left else self.planned.start_s(self._begun)

    @property
    def _none_left(self) -> bool:
        """Whether all sessions have begun that events or looks have come to."""
        return self._begun == len(self.planned)

    # What others ask.

    @property
    def is_open(self) -> bool:
        """Whether a session goes on."""
        self._look()
        return self._open is not None and self._clock.now < self.planned.end_s(self._open)

    @property
    def over(self) -> bool:
        """Whether no session goes on and none is to come."""
        return not self.is_open and self._none_left

    @property
    def last(self) -> bool:
        """Whether no session is to come."""
        self._look()
        return self._none_left

    def parted_s(self, actor: str) -> float:
        """When the session that ``actor`` had last ends or ended; now, if it had none.

        Now too, if the plan parts it from no other.
        """
        had = self._handed_out.get(actor)
        if had is None or self.planned.goes_on(had):
            return self._clock.now
        return self.planned.end_s(had)

    def use_open(self) -> None:
        """Let the session that is open count as handed out to all who have had one before.

        What was asked for in an earlier one has come to its end in this one.
        """
        place = self._open
        if place is None and self._expected is None:  # looked up, as nobody uses it
            begun = bisect_right(self.planned.starts_s, self._clock.now) - 1
            if begun >= 0 and self._clock.now < self.planned.end_s(begun):
                place = begun
        if place is not None:
            self._handed_out = dict.fromkeys(self._handed_out, place)

    def next_start_s(self, actor: str) -> float | None:
        """When the next session begins that ``actor`` has not had, now if it is open.

        None if there is none.
        """
        self._look()
        if self._open is not None and self._handed_out.get(actor) != self._open:
            return self._clock.now
        return self._next_s

    def at_hand(self) -> int | None:
        """Return which contact is open, or was and its last bits have just arrived.

        In the gap of a session it is the last one.
        """
        self._look()
        if self._contact is None:
            return None
        gone_s = self._clock.now - self.planned.closes_s[self._contact]
        if self._open is None and gone_s > LAST_BITS_S:
            return None
        return self.planned.named(self._contact)[0]

    def next_contact(
        self,
        actor: str,
        cycle: Callable[[], int],
        *,
        fresh: bool,
        wanted: Wanted | None = None,
        signal: Signal | None = None,
    ) -> Generator[simpy.Event, Any, Contact | None]:
        """Wait for a session: a ``fresh`` one that ``actor`` has not had yet, or any open one.

        One that is not ``wanted`` when it begins passes by, as if the actor had had it; that is
        asked once of each, and after a no not before the ``signal`` is given, if there is one.
        """
        taken: int | None = None
        while True:
            self._look()
            now = self._open
            if now is not None:
                end_s = self.planned.end_s(now)
                if now == taken:
                    return self._handed(now, end_s, cycle())
                had = self._handed_out.get(actor) == now
                if not (had and (fresh or self._clock.now >= end_s)):
                    self._handed_out[actor] = now
                    if wanted is None or wanted():
                        return self._handed(now, end_s, cycle())
            if self._none_left:
                self.exhausted = True
                return None
            event = self._clock.event()
            self._waiting.append(_Waiter(actor, event, wanted, signal))
            if now is None:
                self.expect()
            taken = yield event

    def _handed(self, session: int, end_s: float, cycle: int) -> Contact:
        """Return the open session as a method gets it."""
        assert self._contact is not None  # a session opens with its first contact
        number, satellite, numbered = self.planned.named(self._contact)
        return Contact(
            contact_id=number,
            session=numbered,
            satellite=satellite,
            start_s=self._clock.now,
            end_s=end_s,
            cycle=cycle,
            capacity=partial(self._capacity_bytes, session),
        )

    def _capacity_bytes(self, session: int) -> float:
        return self.planned[session].capacity_bytes

    def _wake(self, waiters: list[_Waiter], session: int | None) -> None:
        """Let some go on who wait: they take a session that begins, or there is none left."""
        self._waiting = [one for one in self._waiting if one not in waiters]
        for one in waiters:
            one.event.succeed(session)
