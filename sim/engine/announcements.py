"""What a plan says will happen, told when it does: contacts, waits for beams, and faults."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from sim.clock import Clock, Process
from sim.devices.faults import Faults
from sim.facts.coded import Coded
from sim.facts.faults import DeviceAway, DeviceSlow, Fault, OutAsPlanned, SatelliteOut
from sim.facts.stream import Facts
from sim.facts.transfers import BeamBusy, BeamTakenOver, Connected, Disconnected, Waited
from sim.plan.contacts import ContactTable
from sim.plan.plan import Plan


def announce(plan: Plan, clock: Clock, facts: Facts) -> None:
    """Tell what the plan says will happen, when it does: waits for beams, and faults."""
    clock.start("waits", tell_waits(plan, clock, facts))
    if plan.faults is not None:
        clock.start("faults", tell_faults(plan.faults, clock, facts))


def tell_waits(plan: Plan, clock: Clock, facts: Facts) -> Process:
    """Tell of every contact that waits for a beam, or gives it up to a cluster that waited."""
    contacts = plan.contacts
    lost = contacts.taken_over
    wait_from_s = contacts.service.wait_from_s
    waiting = np.flatnonzero(~np.isnan(wait_from_s)).tolist()
    waits = [(float(wait_from_s[number]), number, False) for number in waiting]
    waits += [
        (float(contacts.end_s[number]), number, True) for number in np.flatnonzero(lost).tolist()
    ]
    for time_s, number, taken_over in sorted(waits):
        yield clock.at(time_s)
        facts.emit(_wait(plan, number, time_s, taken_over=taken_over))


def _wait(plan: Plan, number: int, time_s: float, *, taken_over: bool) -> Waited:
    contact = plan.contacts[number]
    cluster = contact.cluster.name
    contact_id = contact.contact_id
    if taken_over:
        return BeamTakenOver(time_s=time_s, cluster=cluster, contact_id=contact_id)
    served = bool(plan.contacts.served[number])
    return BeamBusy(
        time_s=time_s,
        cluster=cluster,
        contact_id=contact_id,
        served_from_s=float(plan.contacts.start_s[number]) if served else None,
    )


class Announced(NamedTuple):
    """A fault that is known beforehand; ``cluster`` is empty where it is of none."""

    time_s: float
    cluster: str
    device: int
    fault: Fault


def tell_faults(faults: Faults, clock: Clock, facts: Facts) -> Process:
    """Tell of every outage, absence and slow device when it begins."""
    # Those that begin together by cluster, device and text.
    for known in sorted(_announced(faults), key=lambda one: (*one[:3], one.fault.text())):
        yield clock.at(known.time_s)
        facts.emit(known.fault)


def _announced(faults: Faults) -> Iterator[Announced]:
    for name, out in faults.outages.drawn.items():
        for begin_s, end_s in out.spans():
            outage = SatelliteOut(time_s=begin_s, satellite=name, end_s=end_s)
            yield Announced(begin_s, "", 0, outage)
    for who, out in faults.outages.planned.items():
        cluster = who.names[0] if who.kind == "cluster" else None
        for begin_s, end_s in out.spans():
            planned = OutAsPlanned(time_s=begin_s, cluster=cluster, who=str(who), end_s=end_s)
            yield Announced(begin_s, cluster or "", 0, planned)
    for name, presence in faults.churn.items():
        for k, away in enumerate(presence.away):
            for begin_s, end_s in away.spans():
                absence = DeviceAway(time_s=begin_s, cluster=name, device=k, end_s=end_s)
                yield Announced(begin_s, name, k, absence)
    for name, times in faults.slowdown.items():
        for k in np.flatnonzero(times > 1.0).tolist():
            slow = DeviceSlow(time_s=0.0, cluster=name, device=k, times=float(times[k]))
            yield Announced(0.0, name, k, slow)


class Edges:
    """Tells once of each contact that opens or closes, when asked what has happened by now.

    They are told in the order of time, and those of one time in that of their numbers: so the order
    does not depend on when somebody looks.
    """

    def __init__(self, facts: Facts, contacts: ContactTable) -> None:
        self._facts = facts
        self._contacts = contacts
        self._told_s = -math.inf

    def tell(self, by_s: float) -> None:
        """Tell of what has happened by a time, and was not told of yet."""
        contacts = self._contacts
        told_s = self._told_s
        self._told_s = by_s
        for kind, time_s in ((Connected, contacts.start_s), (Disconnected, contacts.end_s)):
            new = np.flatnonzero(contacts.served & (time_s > told_s) & (time_s <= by_s))
            new = new[np.argsort(time_s[new], kind="stable")]
            if len(new):
                self._facts.emit(
                    kind(
                        time_s=time_s[new],
                        cluster=Coded(contacts.client[new], contacts.clients),
                        contact_id=new,
                        satellite=Coded(contacts.server[new], contacts.servers),
                    )
                )
