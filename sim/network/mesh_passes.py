"""Passes by which satellites of a mesh reach the ground: those of clients, or over gateways.

Passes have numbers of their own, from 0. Delays of a search are the longest of each pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Protocol

from sim.links.plain_curve import PlainCurve
from sim.links.steady_way import SteadyWay
from sim.plan.contacts import PlannedSession
from sim.plan.feeder import FeederPlan
from sim.plan.plan import Plan
from sim.trace.directions import Topology, Way

Span = tuple[int, int, float, float]
"""The number of a pass, its satellite by index, and its begin and end."""


class MeshPasses(Protocol):
    """Passes of the satellites of a mesh over the ground, which is one node."""

    def spans(self) -> Iterator[Span]:
        """Yield the passes, those of each satellite in order of time."""
        ...

    def opens_s(self, number: int) -> float:
        """Return when a pass begins."""
        ...

    def contact_id(self, number: int) -> int | None:
        """Return the number of the contact that a pass is in tables; None of a feeder link."""
        ...

    def gateway(self, number: int) -> str | None:
        """Return the name of the station of a feeder link; None of a contact of a client."""
        ...

    def sent(self, number: int, way: Way, begin_s: float, bits: float) -> tuple[float, float]:
        """Return when bits have left in a pass, and are there; inf for never."""
        ...

    def delay_s(self, number: int, time_s: float) -> float:
        """Return how long a signal takes in a pass at a time."""
        ...


def passes_of(plan: Plan, satellites: Sequence[str]) -> MeshPasses:
    """Return the passes of a plan by which its ``satellites`` reach the ground."""
    if plan.feeder is not None:
        return GatewayPasses(plan.feeder)
    return ClientPasses(plan, satellites if plan.topology.clients_fly else ())


class ClientPasses:
    """Passes of satellites that are clients, over stations or another satellite."""

    def __init__(self, plan: Plan, satellites: Sequence[str]) -> None:
        self._contacts = plan.contacts
        self._satellites = satellites
        self._convex = plan.topology is Topology.SATELLITE_CLIENTS
        self._steady = cache(self._steady_of)
        self._curve = cache(self._curve_of)
        self._longest_delay_s = cache(self._longest_delay_of)

    def spans(self) -> Iterator[Span]:
        """Yield the passes, those of each satellite in order of time."""
        contacts = self._contacts
        for k, name in enumerate(self._satellites):
            for number in contacts.services(name).tolist():
                yield number, k, float(contacts.start_s[number]), float(contacts.end_s[number])

    def opens_s(self, number: int) -> float:
        """Return when a pass begins."""
        return float(self._contacts.start_s[number])

    def contact_id(self, number: int) -> int:
        """Return the number of a pass in tables."""
        return self._contacts.named(number)[0]

    def gateway(self, number: int) -> None:
        """Return None: passes are contacts of clients."""

    def sent(self, number: int, way: Way, begin_s: float, bits: float) -> tuple[float, float]:
        """Return when bits have left in a pass, and are there; inf for never."""
        sent_s = self._sent_s(number, way, begin_s, bits)
        if sent_s == math.inf:
            return sent_s, sent_s
        if self._convex:
            return sent_s, sent_s + self._longest_delay_s(number)
        return sent_s, sent_s + self.delay_s(number, sent_s)

    def delay_s(self, number: int, time_s: float) -> float:
        """Return how long a signal takes in a pass at a time."""
        return self._contacts[number].links.delay_of_one_s(time_s)

    def _sent_s(self, number: int, way: Way, begin_s: float, bits: float) -> float:
        if not bits:
            return begin_s
        steady = self._steady(number, way)
        if steady is not None:
            contact = self._contacts[number]
            sent_s = steady.sent_s((contact.start_s, contact.end_s), begin_s, bits)
            return math.inf if sent_s is None else sent_s
        curve = self._curve(number, way)
        # A neglected link takes no time.
        return begin_s if curve is None else curve.completion_time_s(bits, begin_s)

    def _curve_of(self, number: int, way: Way) -> PlainCurve | None:
        """One way of a pass, as long as it is served; None where that link is neglected."""
        contact = self._contacts[number]
        beam = PlannedSession(number, (contact,)).beam(way)
        contact.links.close()
        return None if beam is None else PlainCurve(beam.curve)

    def _steady_of(self, number: int, way: Way) -> SteadyWay | None:
        """One way of a pass, where its rate does not change; else None."""
        contact = self._contacts[number]
        steady = contact.links.steady(way)
        holds = steady is not None and steady.holds(contact.start_s, contact.end_s)
        return steady if holds else None

    def _longest_delay_of(self, number: int) -> float:
        """The range in a pass over a station is largest at one of its ends."""
        contact = self._contacts[number]
        return max(contact.links.delay_of_one_s(t) for t in (contact.start_s, contact.end_s))


class GatewayPasses:
    """Passes over the stations that are the server of devices."""

    def __init__(self, feeder: FeederPlan) -> None:
        self._feeder = feeder
        self._longest_delay_s = cache(feeder.longest_delay_s)

    def spans(self) -> Iterator[Span]:
        """Yield the passes, in order of time."""
        feeder = self._feeder
        columns = (feeder.satellite, feeder.start_s, feeder.end_s)
        each = zip(*(column.tolist() for column in columns), strict=True)
        for number, (satellite, start_s, end_s) in enumerate(each):
            yield number, satellite, start_s, end_s

    def opens_s(self, number: int) -> float:
        """Return when a pass begins."""
        return float(self._feeder.start_s[number])

    def contact_id(self, number: int) -> None:
        """Return None: clients have no contacts over feeder links."""

    def gateway(self, number: int) -> str:
        """Return the name of the station of a pass."""
        return self._feeder.ends(number)[1]

    def sent(self, number: int, way: Way, begin_s: float, bits: float) -> tuple[float, float]:
        """Return when bits have left in a pass, whichever way, and are there; inf for never."""
        sent_s = self._feeder.sent_s(number, begin_s, bits)
        return sent_s, sent_s + (self._longest_delay_s(number) if sent_s < math.inf else 0.0)

    def delay_s(self, number: int, time_s: float) -> float:
        """Return how long a signal takes in a pass at a time."""
        return self._feeder.delay_s(number, time_s)
