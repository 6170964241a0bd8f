"""Edges: which contacts have opened and closed by now, read out of the plan.

They are told in the order of time, and those of one time in that of their numbers: so the order
does not depend on when somebody looks.
"""

from __future__ import annotations

import math

import numpy as np

from sim.facts.coded import Coded
from sim.facts.stream import Facts
from sim.facts.transfers import Connected, Disconnected
from sim.plan.contacts import ContactColumns


class Edges:
    """Tells once of each contact that opens or closes, when asked what has happened by now."""

    def __init__(self, facts: Facts, contacts: ContactColumns) -> None:
        self._facts = facts
        self._contacts = contacts
        self._told_s = -math.inf

    def tell(self, by_s: float) -> None:
        """Tell of what has happened by a time, and was not told of yet."""
        contacts = self._contacts
        clusters = [cluster.name for cluster in contacts.clusters]
        told_s = self._told_s
        self._told_s = by_s
        for kind, time_s in ((Connected, contacts.start_s), (Disconnected, contacts.end_s)):
            new = np.flatnonzero(contacts.served & (time_s > told_s) & (time_s <= by_s))
            new = new[np.argsort(time_s[new], kind="stable")]
            if len(new):
                self._facts.emit(
                    kind(
                        time_s=time_s[new],
                        cluster=Coded(contacts.cluster[new], clusters),
                        contact_id=new,
                        satellite=Coded(contacts.satellite[new], contacts.satellites),
                    )
                )
