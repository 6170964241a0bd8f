"""Barriers between actors, and who still waits at one when the run is over."""

from __future__ import annotations

from collections.abc import Collection, Generator
from typing import Any

import simpy

from learning.requests.cluster import Meet
from sim.clock import Clock


class Meetings:
    """Actors that wait for each other by key. A meeting that is complete can be held again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[str, tuple[simpy.Event, dict[str, Any], int]] = {}

    def join(self, actor: str, meet: Meet) -> Generator[simpy.Event, Any, dict[str, Any]]:
        """Wait until all parties are there; return what each brought, sorted by actor."""
        event, brought, _ = self._open.setdefault(meet.key, (self._clock.event(), {}, meet.parties))
        brought[actor] = meet.value
        if len(brought) < meet.parties:
            yield event
        else:
            # Forgotten before the others go on, so that their values are not kept alive here.
            del self._open[meet.key]
            event.succeed()
        return dict(sorted(brought.items()))

    def waiting(self, excused: Collection[str] = ()) -> str:
        """Describe the meetings that never filled; empty if there are none.

        Those that one of the ``excused`` has not come to are left out.
        """
        return "; ".join(
            f"{', '.join(sorted(brought))} at {key!r} with {len(brought)} of {parties}"
            for key, (_, brought, parties) in sorted(self._open.items())
            if brought.keys() >= set(excused)
        )
