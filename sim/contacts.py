"""Contacts as they happen: connect and disconnect, sessions served, complete cycles."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import simpy

from learning.method import Cluster
from learning.requests import Contact
from sim.clock import Clock, Process
from sim.plan import PlannedContact
from sim.trace import Trace


class Antenna:
    """The satellite's side of one cluster: which contact is open, and who waits for the next."""

    def __init__(self, clock: Clock, cluster: Cluster, contacts: list[PlannedContact]) -> None:
        self.cluster = cluster
        self.contacts = contacts
        self.open: PlannedContact | None = None
        self.last: PlannedContact | None = None
        self.sessions_served = 0
        self._clock = clock
        self._left = len(contacts)
        self._waiting: list[simpy.Event] = []
        self._handed_out: dict[str, PlannedContact] = {}

    def run(self, trace: Trace, served: Callable[[], None]) -> Process:
        """Open and close the cluster's contacts; call ``served`` when a session has ended."""
        for number, contact in enumerate(self.contacts):
            yield self._clock.at(contact.start_s)
            self.open, self._left = contact, self._left - 1
            self._emit(trace, "connect", contact)
            self._wake()
            yield self._clock.at(contact.end_s)
            self.open, self.last = None, contact
            self._emit(trace, "disconnect", contact)
            contact.links.close()
            following = self.contacts[number + 1 : number + 2]
            if not following or following[0].session != contact.session:
                self.sessions_served += 1
                served()
        self._wake()

    def parted_s(self, actor: str) -> float:
        """When the contact that ``actor`` had last ends or ended; now, if it had none."""
        had = self._handed_out.get(actor)
        return self._clock.now if had is None else had.end_s

    def at_hand(self) -> PlannedContact | None:
        """Return the contact that is open, or that ends at this very instant."""
        if self.open is None and self.last is not None and self.last.end_s == self._clock.now:
            return self.last
        return self.open

    def next_contact(
        self, actor: str, fresh: bool, cycle: Callable[[], int]
    ) -> Generator[simpy.Event, Any, Contact | None]:
        """Wait for a contact that ``actor`` has not had yet (or any open one)."""
        while True:
            now = self.open
            had = self._handed_out.get(actor)
            if now and not (fresh and had and had.session == now.session):
                self._handed_out[actor] = now
                return Contact(
                    contact_id=now.contact_id,
                    session=now.session,
                    satellite=now.satellite,
                    start_s=self._clock.now,
                    end_s=now.end_s,
                    cycle=cycle(),
                    capacity_bytes=now.capacity_in_service_bytes,
                )
            if self._left == 0:
                return None
            event = self._clock.event()
            self._waiting.append(event)
            yield event

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            event.succeed()

    def _emit(self, trace: Trace, kind: str, contact: PlannedContact) -> None:
        trace.add(
            "events",
            time_s=self._clock.now,
            kind=kind,
            cluster=self.cluster.name,
            contact_id=contact.contact_id,
            detail=contact.satellite,
        )
