"""Messages over the mesh: hop by hop, from where they set off to where they are wanted."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from math import inf

import numpy as np

from learning.requests.cluster import Download, Receipt, Train
from sim.checks.timing import Contacts
from sim.errors import violated
from sim.facts.row import single
from sim.facts.transfers import TransferRow
from sim.network.legs import ChainEnded
from sim.plan.contacts import LAST_BITS_S
from sim.plan.feeder import FeederPlan
from sim.plan.isl import IslPlan
from sim.plan.plan import Plan
from sim.trace.directions import Way

HOPS = "messages conserved hop by hop"

ROUNDING = 1e-9
"""Relative rounding of times and bytes."""

SERVER = ""
"""Stands for the server where the others are satellites, by their names."""


@dataclass(frozen=True)
class Hop:
    """A row: whole bytes from one node to another, between two times."""

    source: str
    target: str
    bytes: float
    start_s: float
    end_s: float

    @classmethod
    def of(cls, row: TransferRow) -> Hop:
        """Return what a row tells of a message between satellites, or to or from the server."""
        flying = str(row.cluster)
        if row.contact_id is None:
            source, target = flying, str(row.peer).rpartition("/")[0]
        elif row.toward == Way.TO_SERVER:
            source, target = flying, SERVER
        else:
            source, target = SERVER, flying
        size = single(row.payload_bytes)
        return cls(source, target, size, single(row.start_s), single(row.end_s))


class OpenLinks:
    """Looks at the link or pass of each hop: it is open, and carries nothing else that way."""

    def __init__(self, plan: Plan, contacts: Contacts) -> None:
        self._isls = plan.isls
        self._feeder = plan.feeder
        self._contacts = contacts
        self._free_s: dict[tuple[str, str], float] = {}
        self._windows: dict[
            tuple[str, str], tuple[IslPlan | FeederPlan, list[int], list[float]]
        ] = {}

    def look(self, row: TransferRow, hop: Hop, name: str) -> None:
        """Look at a hop, which ``name`` tells in errors."""
        slack_s = ROUNDING * max(hop.end_s, 1.0)
        if row.contact_id is None:
            sent_s = self._sent_s(hop)
            if sent_s == inf or not sent_s <= hop.end_s + slack_s:
                raise violated(HOPS, f"{name} to {hop.target} at {hop.start_s} s: no link holds it")
        else:
            contact = self._contacts.of(int(row.contact_id))
            if contact.cluster.name != row.cluster:
                raise violated(HOPS, f"{name} names a contact of {contact.cluster.name}")
            opens_s = contact.start_s - slack_s
            closes_s = contact.end_s + LAST_BITS_S + slack_s
            if not opens_s <= hop.start_s <= hop.end_s <= closes_s:
                raise violated(HOPS, f"{name} at {hop.start_s} s is outside of its contact")
            sent_s = hop.start_s
        link = hop.source, hop.target
        if hop.start_s < self._free_s.get(link, 0.0) - slack_s:
            raise violated(HOPS, f"{name} to {hop.target} at {hop.start_s} s: another is sent then")
        self._free_s[link] = max(sent_s, self._free_s.get(link, 0.0))

    def _sent_s(self, hop: Hop) -> float:
        """When the last bit of a hop has left over a window that is open; inf for no window."""
        link = hop.source, hop.target
        if link not in self._windows:
            self._windows[link] = self._windows_of(hop)
        links, numbers, ends_s = self._windows[link]
        slack_s = ROUNDING * max(hop.end_s, 1.0)
        place = bisect_left(ends_s, hop.start_s)
        if place == len(numbers) or links.start_s[numbers[place]] - slack_s > hop.start_s:
            return inf
        return links.sent(numbers[place], hop.start_s, 8.0 * hop.bytes)[0]

    def _windows_of(self, hop: Hop) -> tuple[IslPlan | FeederPlan, list[int], list[float]]:
        """Return the links that a hop is one of, and numbers and ends of the windows of its pair.

        These are in order of time, and do not overlap.
        """
        links: IslPlan | FeederPlan
        if self._feeder is not None and hop.source in self._feeder.gateways:
            links = self._feeder
            windows = links.passes(hop.target, hop.source)
        elif self._feeder is not None and hop.target in self._feeder.gateways:
            links = self._feeder
            windows = links.passes(hop.source, hop.target)
        else:
            assert self._isls is not None  # the plan of a mesh has links
            links = self._isls
            windows = links.windows(hop.source, hop.target)
        return links, windows.tolist(), links.end_s[windows].tolist()


class Hops:
    """Follows each message over the mesh, row by row.

    A hop begins where and not before the last one ended, with all bytes, while its link or pass is
    open; two messages never share a link one way. What a client is told to have been sent, or to
    have come, has done so over such hops, at that time.
    """

    def __init__(self, plan: Plan, contacts: Contacts) -> None:
        self._links = OpenLinks(plan, contacts)
        self._last: dict[int, Hop] = {}
        self._arrived: dict[tuple[str, str, str, float], Hop] = {}
        self._origins: dict[int, str] = {}

    def moved(self, row: TransferRow) -> None:
        """Look at a hop."""
        number = row.message
        assert isinstance(number, int)  # else it is no row of the mesh
        hop = Hop.of(row)
        name = f"message {number}, {row.payload} from {hop.source or 'the server'}"
        before = self._last.get(number)
        if before is not None:
            late = hop.start_s < before.end_s * (1 - ROUNDING)
            if hop.source != before.target or hop.bytes != before.bytes or late:
                came = f"{before.bytes} bytes at {before.target} at {before.end_s} s"
                sent = f"sent {hop.bytes} bytes at {hop.start_s} s"
                raise violated(HOPS, f"{name} {sent}, of {came}")
        if row.outcome != "delivered":
            return
        if single(row.delivered_bytes) != hop.bytes:
            raise violated(HOPS, f"{name} moved {row.delivered_bytes} bytes of {hop.bytes}")
        self._links.look(row, hop, name)
        self._last[number] = hop
        origin = self._origins.setdefault(number, hop.source)
        payload = str(row.payload)
        if hop.target == SERVER:
            self._arrived[origin, Way.TO_SERVER, payload, hop.end_s] = hop
            del self._last[number], self._origins[number]
        elif origin == SERVER:  # it may end here; who wanted it will say so
            if before is not None:
                self._arrived.pop((before.target, Way.TO_CLIENT, payload, before.end_s), None)
            self._arrived[hop.target, Way.TO_CLIENT, payload, hop.end_s] = hop

    def ended(self, chain: ChainEnded) -> None:
        """Hold what a client is told of its transfers against the hops."""
        for step, reply in zip(chain.steps, chain.replies, strict=True):
            if isinstance(step, Train) or not isinstance(reply, Receipt):
                continue
            size = float(np.asarray(reply.delivered_bytes)[0])
            if not (reply.done[0] and size > 0.0):
                continue
            way = Way.TO_CLIENT if isinstance(step, Download) else Way.TO_SERVER
            end_s = float(reply.end_s[0])
            hop = self._arrived.pop((chain.cluster, way, step.payload.name, end_s), None)
            if hop is None or hop.bytes != size:
                told = f"{step.payload.name} of {chain.cluster} to the {way}, {size} bytes by"
                raise violated(HOPS, f"{told} {end_s} s: no hop has brought that")
