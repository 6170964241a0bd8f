"""A transfer over a session, told contact by contact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from channel import LinkCurve
from learning.requests import Floats, Mask
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


def parts(
    session: PlannedSession, begin_s: Floats, end_s: Floats, curve: LinkCurve
) -> Iterator[Part]:
    """Split what goes over ``curve``, the session's, from ``begin_s`` to ``end_s`` (K,)."""
    alone = np.ones(len(end_s), bool)
    if len(session.contacts) == 1:
        # A device that sends nothing may lie outside; one that does is within its contact.
        yield Part(session.contacts[0], begin_s, end_s, np.full(len(end_s), np.inf), alone)
        return
    spans = [(np.clip(begin_s, *edges), np.clip(end_s, *edges)) for edges in session.edges_s]
    sent = [(curve.delivered_bits(b) - curve.delivered_bits(a)) / 8 for a, b in spans]
    final = _last_positive(np.array(sent))
    for number, contact in enumerate(session.contacts):
        a, b = spans[number]
        carried = np.where(number <= final, sent[number], 0.0)
        yield Part(contact, a, b, carried, final == number)


def _last_positive(sent: Floats) -> Floats:
    """Index (K,) of the last contact (rows of ``sent``) in which anything is carried."""
    last: Floats = len(sent) - 1 - np.argmax(sent[::-1] > 0, axis=0)
    return last
