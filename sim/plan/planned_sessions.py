"""The sessions of one cluster in a plan, made when they are asked for."""

from __future__ import annotations

import numpy as np

from learning.requests.cluster import Ints
from sim.plan.contact_columns import ContactColumns
from sim.plan.contacts import PlannedContact, PlannedSession


class PlannedSessions:
    """Sessions by their contacts' numbers, in order of time; made when they are first asked for.

    A run never asks for most of those of a constellation. ``spans_s`` are begin and end of each of
    their contacts in order; session ``n`` has those from ``edges[n]`` to before ``edges[n + 1]``.
    """

    def __init__(self, contacts: ContactColumns, numbers: Ints) -> None:
        session = contacts.session[numbers]
        new = np.flatnonzero(session[1:] != session[:-1]) + 1
        self.edges = [0, *new.tolist(), len(numbers)] if len(numbers) else [0]
        start_s = contacts.start_s[numbers].tolist()
        end_s = contacts.end_s[numbers].tolist()
        self.spans_s: list[tuple[float, float]] = list(zip(start_s, end_s, strict=True))
        self._contacts = contacts
        self._numbers = numbers
        self._made: dict[int, PlannedSession] = {}

    def __len__(self) -> int:
        """The number of sessions."""
        return len(self.edges) - 1

    def start_s(self, place: int) -> float:
        """When a session begins."""
        return self.spans_s[self.edges[place]][0]

    def end_s(self, place: int) -> float:
        """When a session ends."""
        return self.spans_s[self.edges[place + 1] - 1][1]

    def close(self, place: int) -> None:
        """Let the links of a session go, if they were asked for."""
        if place in self._made:
            self._made[place].close()

    def contact(self, place: int) -> PlannedContact:
        """Return one of the contacts of all sessions."""
        return self._contacts[int(self._numbers[place])]

    def named(self, place: int) -> tuple[int, str, int]:
        """Return number, satellite and session of a contact, without making it."""
        return self._contacts.named(int(self._numbers[place]))

    def __getitem__(self, place: int) -> PlannedSession:
        """Return a session, the same one each time."""
        place = range(len(self))[place]
        if place not in self._made:
            places = range(self.edges[place], self.edges[place + 1])
            contacts = tuple(map(self.contact, places))
            self._made[place] = PlannedSession(contacts[0].session, contacts)
        return self._made[place]
