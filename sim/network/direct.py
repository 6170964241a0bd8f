"""DirectTransfer: one device sends or gets a payload over a steady link that it has to itself.

What a :class:`~sim.network.transfer.Transfer` works out for any number of devices, with arrays, is
worked out here for one with plain numbers: to the last bit the same times, bytes and rows. Most
transfers of a constellation are of this kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from learning.requests.cluster import Download, Receipt, Step, Train, Upload
from learning.requests.reasons import Reason
from sim.facts.directions import Way
from sim.facts.transfers import Outcome
from sim.links.steady_way import SteadyWay
from sim.network.endpoint import Endpoint
from sim.network.legs import Moved
from sim.network.steps import way_of
from sim.plan.contacts import PlannedContact, PlannedSession


@dataclass(frozen=True, eq=False)
class DirectTransfer:
    """A transfer of one device in one contact, that begins anew and is through before it ends.

    The device begins at ``begin_s``; the last bit is sent at ``sent_s`` and there at ``end_s``.
    """

    step: Upload | Download
    contact: PlannedContact
    size: float
    begin_s: float
    sent_s: float
    end_s: float

    @classmethod
    def plan(
        cls,
        steps: Sequence[Step],
        endpoint: Endpoint,
        session: PlannedSession | None,
        ready_s: float,
    ) -> DirectTransfer | None:
        """Plan the only step of a chain for a device ready at ``ready_s``; None for what is not
        of this kind.
        """
        if len(steps) != 1 or session is None or len(session.contacts) > 1:
            return None
        step = steps[0]
        if isinstance(step, Train):
            return None
        way = way_of(step)
        if not endpoint.has_fast_path or endpoint.ledger.is_open(way, step.payload.name):
            return None
        if step.who is not None and not step.who[0]:
            return None
        contact = session.contacts[0]
        link = contact.links.steady(way)
        size = float(_of_one(step.payload.bytes))
        personal = isinstance(step, Download) and step.personal
        if link is None or not size > 0 or not link.is_alone(personal=personal):
            return None
        span_s = _span_s(link, session, ready_s, size * 8)
        if span_s is None:
            return None
        begin_s, sent_s = span_s
        end_s = sent_s + contact.links.delay_of_one_s(sent_s)
        return cls(step, contact, size, begin_s, sent_s, end_s)

    def settle(self, endpoint: Endpoint) -> Receipt:
        """Book it when it has ended, and write it down."""
        step = self.step
        way = way_of(step)
        name = step.payload.name
        everybody = np.array([True])
        size = np.array([self.size])
        endpoint.ledger.entry(way, name).settle_whole(self.size)
        endpoint.payloads.add(endpoint.topology.direction(way), way, step.payload, everybody)
        if way is Way.TO_SERVER:
            endpoint.sent_s = endpoint.sent_s + (self.sent_s - self.begin_s)
        endpoint.log.add(
            Moved(
                endpoint.cluster.name,
                self.contact.contact_id,
                way=way,
                payload=name,
                who=everybody,
                version=np.array([_of_one(step.payload.version)], np.int64),
                size=size,
                bytes=size,
                start_s=np.array([self.begin_s]),
                end_s=np.array([self.end_s]),
                outcome=Outcome.DELIVERED,
                now_s=self.end_s,
            )
        )
        # What is in the log is not given away: a method may change what it gets.
        return Receipt(
            np.array([True]),
            np.array([self.end_s]),
            np.array([self.size]),
            np.zeros(1),
            Reason.NONE,
            np.zeros(1, bool),
            np.array([self.contact.contact_id]),
        )


def _of_one(value: Any) -> Any:
    """A number for the only device."""
    return value[0] if isinstance(value, np.ndarray) and value.ndim else value


def _span_s(
    link: SteadyWay, session: PlannedSession, ready_s: float, bits: float
) -> tuple[float, float] | None:
    """When a device begins to send and the last bit is sent, as a `LinkCurve` has it.

    None where nothing goes, or bits remain when the session ends.
    """
    opens_s = session.start_s
    closes_s = session.end_s
    if not link.holds(opens_s, closes_s):
        return None
    # A curve that nobody cuts would begin at the rise.
    if session.is_whole and (link.rise_s < opens_s or closes_s < link.set_s):
        return None
    begin_s = max(ready_s, opens_s)
    if not begin_s < closes_s:
        return None
    sent_s = link.sent_s((opens_s, closes_s), begin_s, bits)
    return None if sent_s is None else (begin_s, sent_s)
