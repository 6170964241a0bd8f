"""Stages of a run, one and one more for each fork, and what is known to happen in each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from learning.requests.cluster import Floats
from sim.clock import Clock, Process
from sim.devices.faults import Faults
from sim.engine.progress import Progress
from sim.facts.faults import DeviceAway, DeviceSlow, Fault, OutAsPlanned, SatelliteOut
from sim.facts.stream import Facts
from sim.facts.waits import BeamBusy, BeamTakenOver, Waited
from sim.plan.plan import Plan

if TYPE_CHECKING:
    from sim.engine.setup import Build


@dataclass(frozen=True, eq=False)
class Stage:
    """Which build a run follows from ``from_s`` on; ``until_s`` is that of the next fork, or inf.

    What happens at ``until_s`` itself belongs to the next stage.
    """

    build: Build
    from_s: float
    until_s: float

    def announce(self, clock: Clock, facts: Facts) -> None:
        """Tell what the plan says will happen, when it does: waits for beams, and faults."""
        plan = self.build.plan
        self._start(clock, "waits", tell_waits(plan, clock, facts))
        if plan.faults is not None:
            self._start(clock, "faults", tell_faults(plan.faults, clock, facts))

    def evaluate_periodically(self, clock: Clock, progress: Progress) -> None:
        """Evaluate every so many hours, if the scenario asks for it."""
        if self.build.scenario.learning.evaluate_every_hours:
            self._start(clock, "evaluation", progress.periodic(self.build.plan.stop_s))

    def _start(self, clock: Clock, name: str, process: Process) -> None:
        """Run a process that waits for times and acts at each of them, until the stage is over."""

        def within() -> Process:
            for event in process:
                yield event
                if clock.now >= self.until_s:
                    return

        clock.start(name, within())


def stages_of(build: Build, switches: Sequence[tuple[float, Build]]) -> list[Stage]:
    """Return the stages of a run, the first from its start; ``switches`` are times and builds."""
    begins = [(0.0, build), *switches]
    ends_s = [from_s for from_s, _ in switches] + [math.inf]
    return [
        Stage(of_stage, from_s, until_s)
        for (from_s, of_stage), until_s in zip(begins, ends_s, strict=True)
    ]


# Processes that pass over what lies before the time at which they begin.


def tell_waits(plan: Plan, clock: Clock, facts: Facts) -> Process:
    """Tell of every contact that waits for a beam, or gives it up to a cluster that waited."""
    contacts = plan.contacts
    lost = contacts.cut_short
    # A satellite that another station serves from now on waits for nothing.
    if plan.topology.in_orbit:
        lost &= ~contacts.turned_away
    waiting = np.flatnonzero(~np.isnan(contacts.wait_from_s)).tolist()
    waits = [(float(contacts.wait_from_s[number]), number, False) for number in waiting]
    waits += [
        (float(contacts.end_s[number]), number, True) for number in np.flatnonzero(lost).tolist()
    ]
    for time_s, number, taken_over in sorted(waits):
        if time_s < clock.now:  # before the run has turned to this plan
            continue
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
        if known.time_s < clock.now:  # before the run has turned to these faults
            continue
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
    first = faults.at(0.0)
    yield from _slow(first.slowdown, {}, 0.0)
    if faults is not first:
        yield from _slow(faults.slowdown, first.slowdown, faults.from_s)


def _slow(
    slowdown: Mapping[str, Floats], before: Mapping[str, Floats], from_s: float
) -> Iterator[Announced]:
    """Devices that are slow from a time on, and were not so slow before."""
    for name, times in slowdown.items():
        new = (times > 1.0) & (times != before.get(name, np.ones_like(times)))
        for k in np.flatnonzero(new).tolist():
            slow = DeviceSlow(time_s=from_s, cluster=name, device=k, times=float(times[k]))
            yield Announced(from_s, name, k, slow)
