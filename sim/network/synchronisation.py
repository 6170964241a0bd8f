"""Synchronisation: when satellites that serve as one server know what each of them has received."""

from __future__ import annotations

import math

from learning.requests.cluster import Floats
from sim.facts.stream import Facts
from sim.facts.waits import StateUnknown
from sim.plan.contacts import PlannedSession


class Synchronisation:
    """Access points of one server, whose state takes ``delay_s`` from one satellite to another.

    With no delay, the ideal, every satellite always has the newest state. Otherwise a download
    from one waits until it knows every upload that another one had received by then.
    """

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._received_s: dict[str, float] = {}

    @property
    def is_immediate(self) -> bool:
        """Whether every satellite always knows the server's state."""
        return not self._delay_s

    def received(self, satellite: str, time_s: float) -> None:
        """Note that an upload to ``satellite`` was through at ``time_s``."""
        self._received_s[satellite] = max(self._received_s.get(satellite, -math.inf), time_s)

    def known_part(
        self, session: PlannedSession | None, ready_s: Floats, now_s: float, facts: Facts
    ) -> PlannedSession | None:
        """Return what downloads to devices that are ready (R,) can use of a session.

        That is each contact from when its satellite knows the server's state. Tells of devices that
        have to wait for that.
        """
        if session is None or not ready_s.size:
            return session
        usable = session.knowing(self._known_s)
        if usable is session:
            return session
        first_s = float(session.in_service_s(ready_s).min())
        if usable is None or float(usable.in_service_s(ready_s).min()) > first_s:
            contact = session.at(first_s)
            facts.emit(
                StateUnknown(
                    time_s=now_s,
                    cluster=contact.cluster.name,
                    contact_id=contact.contact_id,
                    until_s=self._known_s(contact.satellite),
                )
            )
        return usable

    def _known_s(self, satellite: str) -> float:
        """When ``satellite`` knows all that others have received so far; -inf for always."""
        if not self._delay_s:
            return -math.inf
        others = [t for name, t in self._received_s.items() if name != satellite]
        return max(others, default=-math.inf) + self._delay_s
