"""A transfer over a session, told contact by contact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from learning.requests.cluster import Floats, Mask
from sim.legs import Transfer
from sim.planned_contact import PlannedContact
from sim.planned_session import PlannedSession


@dataclass(frozen=True, eq=False)
class Part:
    """What the link carries for each device (K,) in one contact, between two times.

    ``last`` marks the devices for which nothing of the transfer lies in a later contact.
    """

    contact: PlannedContact
    begin_s: Floats
    end_s: Floats
    bytes: Floats
    last: Mask


def parts(session: PlannedSession, leg: Transfer, end_s: Floats) -> Iterator[Part]:
    """Split what a leg has sent by ``end_s`` (K,)."""
    if len(session.contacts) == 1:
        # A device that sends nothing may lie outside; one that does is within its contact.
        alone = np.ones(len(end_s), bool)
        yield Part(session.contacts[0], leg.begin_s, end_s, np.full(len(end_s), np.inf), alone)
    elif leg.beam is None or leg.curve is None:
        yield from _at_once(session, leg, end_s)
    else:
        yield from _over_contacts(session, leg, end_s)


def _at_once(session: PlannedSession, leg: Transfer, end_s: Floats) -> Iterator[Part]:
    """All of it at one time, in the contact that has begun by then."""
    here = np.full(len(end_s), -1)
    for number, contact in enumerate(session.contacts):
        here = np.where(leg.begin_s >= contact.start_s, number, here)
    for number, contact in enumerate(session.contacts):
        all_or_nothing = np.where(here == number, np.inf, 0.0)
        yield Part(contact, leg.begin_s, end_s, all_or_nothing, here == number)


def _over_contacts(session: PlannedSession, leg: Transfer, end_s: Floats) -> Iterator[Part]:
    """What the curve carries inside each contact."""
    assert leg.beam is not None  # callers have turned to others for the rest
    assert leg.curve is not None
    begin_s = np.minimum(leg.begin_s, end_s)  # the run may end before a device begins
    spans = [(np.clip(begin_s, *edges), np.clip(end_s, *edges)) for edges in leg.beam.edges_s]
    curve = leg.curve
    bits = [curve.delivered_bits(b) - curve.delivered_bits(a) for a, b in spans]
    sent = [leg.useful_bytes(part) for part in bits]
    final = _last_positive(np.array(sent))
    for number, contact in enumerate(session.contacts):
        a, b = spans[number]
        yield Part(contact, a, b, sent[number], final == number)


def _last_positive(sent: Floats) -> Floats:
    """Index (K,) of the last contact (rows of ``sent``) in which anything is carried."""
    last: Floats = len(sent) - 1 - np.argmax(sent[::-1] > 0, axis=0)
    return last
