"""Barriers, tasks side by side, what the server does by itself, and contact forecasts."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

from learning.methods.base import Protocol
from learning.requests.cluster import Assign, Floats, Forecast, Measure, Meet, Outlook
from learning.requests.facts import Aggregated, Note
from learning.requests.peers import All, Wait
from sim.clock import Clock, Process
from sim.devices.devices import Devices
from sim.errors import SimulationError
from sim.formatting import some
from sim.network.sessions import ClusterSessions
from sim.plan.contacts import PlannedSession

Drive = Callable[[str, str, Generator[Any, Any, Any]], Process]
"""Drives a protocol of a cluster under the name of an actor, and returns what it returns."""


AtOnce = Measure | Assign | Note | Aggregated | Forecast
"""Requests that take no simulated time."""


def by_server(
    clock: Clock, protocol: Protocol, answer: Callable[[AtOnce], Any], waits: bool = False
) -> Process:
    """Drive what the server does by itself; it takes no simulated time, unless it ``waits``."""
    reply = None
    while True:
        try:
            request = protocol.send(reply)
        except StopIteration:
            return
        reply = None
        if isinstance(request, AtOnce):
            reply = answer(request)
        elif waits and isinstance(request, Wait):
            yield from wait(clock, request)
        else:
            raise SimulationError(
                f"{type(request).__name__} takes time; before and after a run a method may ask "
                "only for Measure, Assign, Note and Forecast, its server for Wait as well"
            )


def wait(clock: Clock, request: Wait) -> Generator[simpy.Event, Any, None]:
    """Let time pass, unless the time is past; what is no time is an error of the clock."""
    if not request.time_s <= clock.now:
        yield clock.at(request.time_s)


class Tasks:
    """Runs the protocols of :class:`All` as actors of their own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count: Counter[str] = Counter()

    def run(
        self, actor: str, cluster: str, request: All, drive: Drive
    ) -> Generator[simpy.Event, Any, list[Any]]:
        """Reply when all are done, or at the deadline; who is not done by then runs on."""
        deadline_s, left = request.deadline_s, len(request.tasks)
        if deadline_s is not None and not deadline_s >= 0.0:
            raise SimulationError(f"All: deadline_s is {deadline_s}; allowed is at least 0")
        at = (cluster,) * left if request.at is None else request.at
        if len(at) != left:
            raise SimulationError(f"All: at names {len(at)} clusters for {left} tasks")
        results: list[Any] = [None] * left
        if not left:
            return results
        over = self._clock.event()

        def child(number: int, name: str) -> Process:
            nonlocal left
            results[number] = yield from drive(at[number], name, request.tasks[number])
            left -= 1
            if not left and not over.triggered:
                over.succeed()

        first = actor.partition(":")[0]  # names of tasks of tasks of tasks would grow without end
        for number in range(left):
            self._count[first] += 1
            name = f"{first}:{self._count[first]}"  # no cluster is called so
            self._clock.start(name, child(number, name))

        def deadline(after_s: float) -> Process:
            yield self._clock.at(self._clock.now + after_s)
            if not over.triggered:
                over.succeed()

        if deadline_s is not None:
            self._clock.start(f"{actor}'s deadline", deadline(deadline_s))
        yield over
        return list(results)


# Barriers between actors, and who still waits at one when the run is over.


@dataclass(frozen=True)
class Waiting:
    """A meeting that never filled: the clusters whose actors were ``here``, by name.

    They waited for ``missing`` others, those of the ``awaited`` clusters where the method named
    them.
    """

    here: tuple[str, ...]
    missing: int
    awaited: tuple[str, ...]


@dataclass(frozen=True)
class _Meeting:
    """What fills a meeting, who is there with which value, from which clusters."""

    event: simpy.Event
    parties: int
    awaited: tuple[str, ...]
    brought: dict[str, Any]
    clusters: set[str]


class Meetings:
    """Actors that wait for each other by key. A meeting that is complete can be held again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[str, _Meeting] = {}

    def join(
        self, actor: str, cluster: str, meet: Meet
    ) -> Generator[simpy.Event, Any, dict[str, Any]]:
        """Wait until all parties are there; return what each brought, sorted by actor."""
        if meet.key not in self._open:
            event = self._clock.event()
            self._open[meet.key] = _Meeting(event, meet.parties, meet.awaits, {}, set())
        meeting = self._open[meet.key]
        event, brought = meeting.event, meeting.brought
        meeting.clusters.add(cluster)
        brought[actor] = meet.value
        if len(brought) < meet.parties:
            yield event
        else:
            # Forgotten before the others go on, so that their values are not kept alive here.
            del self._open[meet.key]
            event.succeed()
        return dict(sorted(brought.items()))

    def left(self) -> tuple[Waiting, ...]:
        """Return the meetings that never filled, in the order in which they began."""
        return tuple(
            Waiting(
                here=tuple(sorted(meeting.clusters)),
                missing=meeting.parties - len(meeting.brought),
                awaited=meeting.awaited,
            )
            for meeting in self._open.values()
        )

    def waiting(self, excused: Collection[str] = ()) -> str:
        """Describe the meetings that never filled, the first by name; empty if there are none.

        Those that one of the ``excused`` has not come to are left out.
        """
        found = [
            f"{some(sorted(meeting.brought), 3)} at {key!r} with {len(meeting.brought)} of "
            f"{meeting.parties}"
            for key, meeting in sorted(self._open.items())
            if meeting.brought.keys() >= set(excused)
        ]
        return some(found, 1, "; ")


# What the contact plan holds for a cluster next.


@dataclass(eq=False)
class Forecaster:
    """Looks into the planned sessions of one cluster."""

    _sessions: ClusterSessions
    _devices: Devices

    def answer(self, request: Forecast, now_s: float) -> Outlook | list[Outlook] | None:
        """Return what the session that is open, or the next one, can still carry; None at the end.

        With ``fresh`` it is one that begins now or later, with ``sessions`` a list of so many.
        The links of a session that is not open yet are let go again.
        """
        planned, wanted = self._sessions.planned, request.sessions
        places = range(len(planned))
        begin = bisect_right(places, now_s, key=planned.end_s)
        if request.fresh:
            begin = bisect_left(places, now_s, begin, key=planned.start_s)
        ahead = places[begin : begin + (1 if wanted is None else wanted)]
        left = len(planned) - begin
        outlooks = [self._of(planned[n], now_s, left - k) for k, n in enumerate(ahead)]
        return next(iter(outlooks), None) if wanted is None else outlooks

    def _of(self, session: PlannedSession, now_s: float, left: int) -> Outlook:
        start_s, k = max(session.start_s, now_s), self._devices.cluster.devices
        per_contact = self._devices.compute.per_contact
        round_s = self._devices.compute.round_s

        def carried() -> tuple[Floats, Floats]:
            curves = (
                None if way is None else way.curve for way in (session.uplink, session.downlink)
            )
            up, down = (
                np.inf if curve is None else curve.capacity_bits - curve.delivered_bits(start_s)
                for curve in curves
            )
            if session.start_s > now_s:
                session.close()
            return _bytes(up, k), _bytes(down, k)

        return Outlook(
            start_s=start_s,
            end_s=session.end_s,
            carried=carried,
            memory_bytes=self._devices.memory_bytes,
            round_s=lambda cost: np.broadcast_to(round_s(cost), (k,)).astype(float),
            rounds=1 if per_contact is None else per_contact,
            sessions=left,
        )


def _bytes(bits: Floats | float, devices: int) -> Floats:
    return np.broadcast_to(bits / 8, (devices,)).astype(float)
