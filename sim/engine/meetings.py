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
        event = meeting.event
        brought = meeting.brought
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
