"""The largest message that gets through a mesh: in one piece over each link and each pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from math import inf
from typing import NamedTuple

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask
from sim.facts.directions import Way
from sim.plan.contacts import PlannedContact, PlannedSession
from sim.plan.feeder import FeederPlan
from sim.plan.isl import IslPlan
from sim.plan.joined import joined_parts
from sim.plan.plan import Plan

ABOUT = 0.1
"""A table of windows may tell their ranges so wrongly: bounds of rates allow for it."""

LONGEST = 4
"""Passes of a client that are looked at first: nearly always one of the longest carries most."""


class TooLarge(NamedTuple):
    """The client for which a message is too large first, and the most that one may have there."""

    client: str
    most_bytes: float


def too_large(
    plan: Plan, way: Way, size_bytes: float, *, in_parts: bool = False
) -> TooLarge | None:
    """Return for whom a message that goes one way is too large at any time; None where it is not.

    A message goes in one piece over each link and pass; ``in_parts``, devices on the ground send
    and get it over several passes. Whether those of a path come one after the other is not looked
    at: what is larger never gets through. Nearly always one pass is looked at; all of them only
    before a message is found to be too large.
    """
    assert plan.isls is not None  # the plan of a mesh has links
    links = WindowBytes(plan.isls)
    if plan.topology.in_orbit:
        return _of_satellites(plan, way, size_bytes, links)
    return _of_devices(plan, way, size_bytes, links, in_parts=in_parts)


class WindowBytes:
    """What windows of links hold: ``least`` and ``most`` (M,) are bounds, in bytes.

    Rates that follow the range are only worked out for windows for which these do not do.
    """

    def __init__(self, isls: IslPlan) -> None:
        self._isls = isls
        self._exact: dict[int, float] = {}
        lasts_s = isls.end_s - isls.start_s
        if isls.budget is None:
            self.least = self.most = lasts_s * (isls.fixed_bps or 0.0) / 8.0
        else:
            rate_bps = isls.budget.rate_bps
            self.least = lasts_s * rate_bps(isls.max_range_km * (1.0 + ABOUT)) / 8.0
            self.most = lasts_s * rate_bps(isls.min_range_km * (1.0 - ABOUT)) / 8.0

    def of(self, window: int) -> float:
        """Return what a window holds."""
        if self._isls.budget is None:
            return float(self.most[window])
        if window not in self._exact:
            span_s = np.array([self._isls.start_s[window], self._isls.end_s[window]])
            self._exact[window] = float(self._isls.carried_bits(window, span_s)[0]) / 8.0
        return self._exact[window]

    def hold(self, size_bytes: float) -> bool:
        """Return whether any window holds a message."""
        return bool((self.least >= size_bytes).any()) or self.largest >= size_bytes

    @property
    def largest(self) -> float:
        """What the window that holds most does."""
        found = 0.0
        for window in np.argsort(-self.most).tolist():
            if self.most[window] <= found:
                break
            found = max(found, self.of(window))
        return found

    def parts(self, size_bytes: float) -> Ints:
        """Return the part of each satellite (N,): those that windows join that hold a message."""
        isls = self._isls
        wide = self.least >= size_bytes
        part = joined_parts(len(isls.names), isls.a[wide], isls.b[wide])
        for window in np.flatnonzero(~wide & (self.most >= size_bytes)).tolist():
            one, other = part[isls.a[window]], part[isls.b[window]]
            if one != other and self.of(window) >= size_bytes:
                part[part == other] = one
        return part

    def widest(self, begins: Mapping[int, float]) -> Floats:
        """Return the most that a message to each satellite may have (N,), from any of ``begins``.

        These are indices, each with what a message has there at most. It is 0 where no path leads.
        """
        isls = self._isls
        ends = np.stack([isls.a, isls.b])
        order = np.argsort(ends.ravel(), kind="stable")
        edges = np.searchsorted(ends.ravel()[order], np.arange(len(isls.names) + 1)).tolist()
        windows, others = (order % len(isls)).tolist(), ends[::-1].ravel()[order].tolist()
        widest: Floats = np.zeros(len(isls.names))
        settled = set[int]()
        # The widest first. With a window, what is known is a bound: it is worked out in its turn.
        ahead = [(-most, -1, node, node) for node, most in begins.items()]
        heapify(ahead)
        while ahead:
            minus, window, node, before = heappop(ahead)
            if node in settled:
                continue
            if window >= 0:
                exact = min(float(widest[before]), self.of(window))
                heappush(ahead, (-exact, -1, node, before))
                continue
            settled.add(node)
            widest[node] = -minus
            for place in range(edges[node], edges[node + 1]):
                if others[place] not in settled:
                    bound = min(-minus, float(self.most[windows[place]]))
                    heappush(ahead, (-bound, windows[place], others[place], node))
        return widest


def pass_bytes(contact: PlannedContact, way: Way) -> Floats:
    """Return what each device (K,) can send one way while a pass is served, if it is alone.

    What is neglected carries anything: inf. The contact's links are left open.
    """
    steady = contact.links.steady(way)
    if steady is not None and steady.holds(contact.start_s, contact.end_s):
        return np.array([steady.rate_bps * (contact.end_s - contact.start_s) / 8.0])
    beam = PlannedSession(contact.contact_id, (contact,)).beam(way)
    if beam is None:
        return np.full(contact.cluster.devices, inf)
    carried: Floats = beam.curve.capacity_bits / 8.0
    return carried


def _looked_at(contact: PlannedContact, way: Way) -> Floats:
    """Return the bytes of a pass, and let its links go."""
    carried = pass_bytes(contact, way)
    contact.links.close()
    return carried


def _of_satellites(plan: Plan, way: Way, size_bytes: float, links: WindowBytes) -> TooLarge | None:
    """Return the satellite for which a message is too large that may take any of their passes."""
    assert plan.isls is not None  # the plan of a mesh has links
    contacts = plan.contacts
    part = links.parts(size_bytes)
    index_of = {name: index for index, name in enumerate(plan.isls.names)}
    clients = [index_of[cluster.name] for cluster in plan.clusters]
    own = [contacts.services(cluster.name) for cluster in plan.clusters]
    number = np.concatenate(own)
    client = np.repeat(clients, [len(numbers) for numbers in own])
    unreached = set(part[clients].tolist())
    most = dict.fromkeys(clients, 0.0)
    for place in _likely_first(client, contacts.start_s[number], contacts.end_s[number]):
        here = int(client[place])
        if part[here] not in unreached:
            continue
        carried = float(_looked_at(contacts[int(number[place])], way)[0])
        most[here] = max(most[here], carried)
        if carried >= size_bytes:
            unreached.remove(part[here])
            if not unreached:
                return None
    # What others have is as good as anything: links between them and these hold less.
    begins = {here: most[here] if part[here] in unreached else inf for here in clients}
    widest = links.widest(begins)
    least = min(clients, key=widest.__getitem__)
    return TooLarge(plan.isls.names[least], float(widest[least]))


def _likely_first(client: Ints, start_s: Floats, end_s: Floats) -> Iterator[int]:
    """Yield the places of passes (P,): some of the longest of each client, then by their start.

    Links are made quickest together with those that begin next.
    """
    order = np.lexsort((start_s - end_s, client))
    first_of_client = np.searchsorted(client[order], client[order])
    rank = np.arange(len(order)) - first_of_client
    longest = order[rank < LONGEST]
    longest = longest[np.argsort(rank[rank < LONGEST], kind="stable")]
    yield from longest.tolist()
    others = order[rank >= LONGEST]
    yield from others[np.argsort(start_s[others], kind="stable")].tolist()


def _of_devices(
    plan: Plan, way: Way, size_bytes: float, links: WindowBytes, *, in_parts: bool
) -> TooLarge | None:
    """Return the cluster on the ground for which a message is too large, or too large first."""
    assert plan.isls is not None  # the plan of a mesh has links
    index_of = {name: index for index, name in enumerate(plan.isls.names)}
    begins = (
        {index_of[plan.server]: inf} if plan.feeder is None else _gateways(plan.feeder, index_of)
    )
    part = links.parts(size_bytes)
    ends = [here for here, most_bytes in begins.items() if most_bytes >= size_bytes]
    linked: Mask = np.isin(part, part[ends])
    narrow: list[TooLarge] = []
    for cluster in plan.clusters:
        # Any pass brings what goes down, and up those by which messages set off.
        own = plan.sessions(cluster) if way is Way.TO_SERVER else plan.passes(cluster)
        passes = [own.contact(place) for place in range(len(own))]
        over = np.array([index_of[one.satellite] for one in passes])
        if in_parts:
            if not linked[over].any():
                narrow.append(TooLarge(cluster.name, float(links.widest(begins)[over].max())))
        elif not _is_carried([passes[k] for k in np.flatnonzero(linked[over])], way, size_bytes):
            widest = links.widest(begins)[over].tolist()
            each = [
                np.minimum(_looked_at(one, way), most_bytes)
                for one, most_bytes in zip(passes, widest, strict=True)
            ]
            narrow.append(TooLarge(cluster.name, float(np.max(each, axis=0).min())))
    return min(narrow, key=lambda one: one.most_bytes, default=None)


def _is_carried(passes: Sequence[PlannedContact], way: Way, size_bytes: float) -> bool:
    """Return whether each device of a cluster can send a message in one of its passes."""
    if not passes:
        return False
    lacking: Mask = np.ones(passes[0].cluster.devices, bool)
    start_s, end_s = np.array([(one.start_s, one.end_s) for one in passes]).T
    for place in _likely_first(np.zeros(len(passes), np.int64), start_s, end_s):
        lacking &= _looked_at(passes[place], way) < size_bytes
        if not lacking.any():
            return True
    return False


def _gateways(feeder: FeederPlan, index_of: Mapping[str, int]) -> dict[int, float]:
    """Return what the longest pass over a station carries of each satellite that has one."""
    found: dict[int, float] = {}
    for number, name in enumerate(feeder.satellites):
        starts_s, ends_s = map(np.array, feeder.windows(number))
        if len(starts_s):
            found[index_of[name]] = float((ends_s - starts_s).max()) * feeder.rate_bps / 8.0
    return found
