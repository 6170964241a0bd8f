"""A plan that is one until some time, and another one from there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from sim.errors import InputError
from sim.plan.contacts import PlannedContact
from sim.plan.plan import Plan

Key = tuple[str, str, float]
"""Cluster, satellite and rise of a contact."""
Session = tuple[str, int]
"""Cluster and number of a session."""


def spliced(early: Plan, late: Plan, at_s: float) -> Plan:
    """Return ``late`` with what has begun of ``early`` by ``at_s``.

    Sessions that have begun by then stay as they are, and so do contacts that have risen and are
    not served. Raises InputError where the later contacts of such a session would change.
    """
    begun = {_session(c) for c in early.contacts if c.served and c.start_s < at_s}
    after = {_key(contact): contact for contact in late.contacts}
    contacts = {
        _key(c): after.get(_key(c), _unserved(c)) if _waits(c, begun) else c
        for c in early.contacts
        if c.rise_s < at_s or _session(c) in begun
    }
    for key, contact in after.items():
        if contact.rise_s >= at_s:
            contacts.setdefault(key, contact)
    # What rises at the same time is in the same order in both plans.
    places = {_key(c): c.contact_id for plan in (early, late) for c in plan.contacts}
    merged = sorted(contacts.values(), key=lambda c: (c.rise_s, places[_key(c)]))
    kept = {id(contact) for contact in early.contacts}
    return replace(late, contacts=tuple(_numbered(_apart(merged, kept, begun), kept, begun)))


def _session(contact: PlannedContact) -> Session:
    return contact.cluster.name, contact.session


def _key(contact: PlannedContact) -> Key:
    return contact.cluster.name, contact.satellite, contact.rise_s


def _waits(contact: PlannedContact, begun: set[Session]) -> bool:
    """Whether a contact is yet to be served."""
    return contact.served and _session(contact) not in begun


def _unserved(contact: PlannedContact) -> PlannedContact:
    return replace(contact, served=False, session=-1, start_s=np.nan, end_s=np.nan)


def _apart(
    contacts: Sequence[PlannedContact], kept: set[int], begun: set[Session]
) -> Iterator[PlannedContact]:
    """Leave out the services of clusters that are still in a session which has begun before."""
    until_s = defaultdict[str, float](lambda: -np.inf)
    for contact in contacts:
        if id(contact) in kept and contact.served:
            until_s[contact.cluster.name] = max(until_s[contact.cluster.name], contact.end_s)
    for contact in contacts:
        late = id(contact) not in kept and contact.served
        busy = late and contact.start_s < until_s[contact.cluster.name]
        yield _unserved(contact) if busy else contact


def _numbered(
    contacts: Iterator[PlannedContact], kept: set[int], begun: set[Session]
) -> Iterator[PlannedContact]:
    """Number contacts by their place, and sessions otherwise than those that have begun."""
    for place, contact in enumerate(contacts):
        if id(contact) in kept:
            if contact.contact_id != place:
                raise InputError(
                    f"cluster {contact.cluster.name!r} is then in a session whose later contacts "
                    "would change; name another time"
                )
            yield contact
            continue
        session = contact.session
        if contact.served and _session(contact) in begun:
            session = -2 - session  # a number that no session has
        if (place, session) != (contact.contact_id, contact.session):
            contact = replace(contact, contact_id=place, session=session)
        yield contact
