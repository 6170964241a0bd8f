"""A plan that is one until some time, and another one from then on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence, Set
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from sim.errors import InputError
from sim.plan.contact_columns import ContactColumns
from sim.plan.contacts import PlannedContact
from sim.plan.plan import Plan
from statements import Code, Other, Statement


class ContactKey(NamedTuple):
    """What makes a contact the same in both plans; ``member`` is the satellite of a plane."""

    cluster: str
    member: str
    server: str
    rise_s: float


Session = tuple[str, int]
"""A cluster, and the number of one of its sessions."""


def spliced(early: Plan, late: Plan, at_s: float) -> Plan:
    """Return ``late`` with what has begun of ``early`` by ``at_s``.

    Sessions that have begun by then stay as they are, and so do contacts that have risen and are
    not served. Raises InputError where the later contacts of such a session would change.
    """
    begun = {_session(c) for c in early.contacts if c.served and c.start_s < at_s}
    contacts = _contacts(early, late, begun, at_s)
    # What rises at the same time is in the same order in both plans.
    places = {_key(c): c.contact_id for plan in (early, late) for c in plan.contacts}
    merged = sorted(contacts, key=lambda c: (c.rise_s, places[_key(c)]))
    columns = ContactColumns.of(_numbered(merged, early, begun))
    return replace(late, contacts=columns, span_before_s=early.shortest_span_s)


def _contacts(
    early: Plan, late: Plan, begun: Set[Session], at_s: float
) -> Collection[PlannedContact]:
    """Return those of either plan that there are, each as its own plan has it.

    What the early plan would have served in a session that has not begun is as the late plan has
    it, or not served.
    """
    later = {_key(contact): contact for contact in late.contacts}
    contacts: dict[ContactKey, PlannedContact] = {}
    for contact in early.contacts:
        key = _key(contact)
        in_begun = _session(contact) in begun
        if contact.served and not in_begun:
            if contact.rise_s < at_s:
                contacts[key] = later.get(key, _unserved(contact))
        elif contact.rise_s < at_s or in_begun:
            contacts[key] = contact
    for key, contact in later.items():
        if contact.rise_s >= at_s:
            contacts.setdefault(key, contact)
    return contacts.values()


def _numbered(
    merged: Sequence[PlannedContact], early: Plan, begun: Set[Session]
) -> list[PlannedContact]:
    """Number contacts by their places; those of the early plan have to have their numbers already.

    A cluster is not served otherwise while it is in a session that has begun.
    """
    kept = {id(contact) for contact in early.contacts}
    until_s = defaultdict[str, float](lambda: -np.inf)
    for contact in merged:
        if id(contact) in kept and contact.served:
            until_s[contact.cluster.name] = max(until_s[contact.cluster.name], contact.end_s)
    numbered: list[PlannedContact] = []
    for place, contact in enumerate(merged):
        if id(contact) not in kept:
            added = _added(contact, begun, until_s[contact.cluster.name])
            numbered.append(replace(added, contact_id=place))
            continue
        if contact.contact_id != place:
            raise InputError(
                Statement.of(
                    Code.WRONG_VALUE,
                    "",
                    "cluster {client!r} is then in a session whose later contacts would change",
                    Other(said="name another time"),
                    client=contact.cluster.name,
                )
            )
        numbered.append(contact)
    return numbered


def _added(contact: PlannedContact, begun: Set[Session], busy_until_s: float) -> PlannedContact:
    """Return a contact of the late plan for a cluster that is in a session until some time."""
    if not contact.served:
        return contact
    if contact.start_s < busy_until_s:
        return _unserved(contact)
    if _session(contact) in begun:  # a number that no session has
        return replace(contact, session=-2 - contact.session)
    return contact


def _session(contact: PlannedContact) -> Session:
    return contact.cluster.name, contact.session


def _key(contact: PlannedContact) -> ContactKey:
    return ContactKey(contact.cluster.name, contact.member, contact.satellite, contact.rise_s)


def _unserved(contact: PlannedContact) -> PlannedContact:
    return replace(contact, served=False, session=-1, start_s=np.nan, end_s=np.nan)
