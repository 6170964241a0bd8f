"""A plan that is one until some time, and another one from then on."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from sim.errors import InputError
from sim.plan.contact_columns import ContactColumns
from sim.plan.contacts import PlannedContact
from sim.plan.plan import Plan


class ContactKey(NamedTuple):
    """What makes a contact the same in both plans; ``member`` is the satellite of a plane."""

    cluster: str
    member: str
    server: str
    rise_s: float


def spliced(early: Plan, late: Plan, at_s: float) -> Plan:
    """Return ``late`` with what has begun of ``early`` by ``at_s``.

    Sessions that have begun by then stay as they are, and so do contacts that have risen and are
    not served. Raises InputError where the later contacts of such a session would change.
    """
    begun = {_session(c) for c in early.contacts if c.served and c.start_s < at_s}
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
    # What rises at the same time is in the same order in both plans.
    places = {_key(c): c.contact_id for plan in (early, late) for c in plan.contacts}
    merged = sorted(contacts.values(), key=lambda c: (c.rise_s, places[_key(c)]))
    kept = {id(contact) for contact in early.contacts}
    numbered: list[PlannedContact] = []
    until_s = defaultdict[str, float](lambda: -np.inf)
    for contact in merged:
        if id(contact) in kept and contact.served:
            until_s[contact.cluster.name] = max(until_s[contact.cluster.name], contact.end_s)
    for place, contact in enumerate(merged):
        spliced_in = contact
        if id(contact) not in kept:
            # A cluster may still be in a session that has begun before.
            busy = contact.served and contact.start_s < until_s[contact.cluster.name]
            if busy:
                spliced_in = _unserved(contact)
            elif contact.served and _session(contact) in begun:
                # A number that no session has.
                spliced_in = replace(contact, session=-2 - contact.session)
            spliced_in = replace(spliced_in, contact_id=place)
        elif contact.contact_id != place:
            raise InputError(
                f"cluster {contact.cluster.name!r} is then in a session whose later contacts "
                "would change; name another time"
            )
        numbered.append(spliced_in)
    return replace(late, contacts=ContactColumns.of(numbered))


def _session(contact: PlannedContact) -> tuple[str, int]:
    return contact.cluster.name, contact.session


def _key(contact: PlannedContact) -> ContactKey:
    return ContactKey(contact.cluster.name, contact.member, contact.satellite, contact.rise_s)


def _unserved(contact: PlannedContact) -> PlannedContact:
    return replace(contact, served=False, session=-1, start_s=np.nan, end_s=np.nan)
