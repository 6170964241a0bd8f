"""Edges: which contacts have opened and closed by now, read out of the plan.

They are told in the order of time, and those of one time in that of their numbers: so the order
does not depend on when somebody looks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask
from sim.facts.coded import Coded
from sim.facts.row import Gathered
from sim.facts.stream import Facts
from sim.facts.transfers import Connected, Disconnected
from sim.plan.contact_columns import ContactColumns


@dataclass(frozen=True, slots=True, eq=False)
class ContactEdges(Gathered):
    """Contacts of a plan, by number, that have ``opened`` and ``closed``, each in this order."""

    contacts: ContactColumns
    opened: Ints
    closed: Ints

    def contact_ids(self, numbers: Ints) -> Ints:
        """Return the ids of contacts, which are not their numbers where they are given."""
        if not self.contacts.given:
            return numbers
        return np.array([self.contacts.named(number)[0] for number in numbers.tolist()], np.int64)

    def rows(self) -> Iterator[Connected]:
        """Return the events of both."""
        contacts = self.contacts
        clusters = [cluster.name for cluster in contacts.clusters]
        satellites = [name for name, _ in contacts.satellites]
        for kind, numbers, time_s in (
            (Connected, self.opened, contacts.start_s),
            (Disconnected, self.closed, contacts.end_s),
        ):
            if len(numbers):
                yield kind(
                    time_s=time_s[numbers],
                    cluster=Coded(contacts.cluster[numbers], clusters),
                    contact_id=self.contact_ids(numbers),
                    satellite=Coded(contacts.satellite[numbers], satellites),
                )


class Edges:
    """Tells once of each contact that opens or closes, when it is asked what has happened by now.

    It follows the contacts of one plan, and from a fork on those of another.
    """

    def __init__(self, facts: Facts, contacts: ContactColumns) -> None:
        self._facts = facts
        self._contacts = contacts
        self._told_s = -math.inf

    def follow(self, contacts: ContactColumns, from_s: float) -> None:
        """Tell of what happens from now on by another plan."""
        self.tell(math.nextafter(from_s, -math.inf))
        self._contacts = contacts

    def tell(self, by_s: float) -> None:
        """Tell of what has happened by a time, and was not told of yet."""
        contacts = self._contacts
        opened, closed = (
            self._new(contacts.served, time_s, by_s)
            for time_s in (contacts.start_s, contacts.end_s)
        )
        self._told_s = by_s
        if len(opened) or len(closed):
            self._facts.emit(ContactEdges(contacts, opened, closed))

    def _new(self, served: Mask, time_s: Floats, by_s: float) -> Ints:
        """Return which contacts (N,) served have times (N,) by now that were not told of yet."""
        new = np.flatnonzero(served & (time_s > self._told_s) & (time_s <= by_s))
        return new[np.argsort(time_s[new], kind="stable")]
