"""Meetings: barriers between actors, and who still waits at one when the run is over."""

from __future__ import annotations

from collections.abc import Collection, Generator
from dataclasses import dataclass
from typing import Any

import simpy

from learning.requests.cluster import Meet
from sim.clock import Clock
from sim.formatting import some


@dataclass(frozen=True)
class _Meeting:
    """What fills a meeting, and who is there with which value."""

    event: simpy.Event
    parties: int
    brought: dict[str, Any]


class Meetings:
    """Actors that wait for each other by key. A meeting that is complete can be held again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[str, _Meeting] = {}

    def join(self, actor: str, meet: Meet) -> Generator[simpy.Event, Any, dict[str, Any]]:
        """Wait until all parties are there; return what each brought, sorted by actor."""
        if meet.key not in self._open:
            event = self._clock.event()
            self._open[meet.key] = _Meeting(event, meet.parties, {})
        meeting = self._open[meet.key]
        event = meeting.event
        brought = meeting.brought
        brought[actor] = meet.value
        if len(brought) < meet.parties:
            yield event
        else:
            # Forgotten before the others go on, so that their values are not kept alive here.
            del self._open[meet.key]
            event.succeed()
        return dict(sorted(brought.items()))

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
