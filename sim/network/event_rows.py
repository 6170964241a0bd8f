"""Rows of transfers, and of the events of training, transfers, waits, drops and faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from learning.requests.cluster import Cost, Floats, Ints, Mask
from learning.requests.facts import Cause, injected_text
from learning.requests.facts import excluded as excluded_text
from learning.requests.peers import Send
from sim.clock import Clock, Process
from sim.devices.faults import Faults
from sim.formatting import data_size
from sim.network.leg_log import (
    LegLog,
)
from sim.plan.contacts import PlannedContact
from sim.plan.plan import Plan
from sim.trace.arrow import Coded
from sim.trace.directions import TOWARD_PEER, Topology
from sim.trace.recorder import Trace

if TYPE_CHECKING:
    from sim.devices.devices import Devices


class Rows:
    """Writes what a cluster's devices did into a trace; ``topology`` says where these are."""

    def __init__(self, trace: Trace, topology: Topology = Topology.GROUND_CLIENTS) -> None:
        self.topology = topology
        self.log = LegLog(trace, topology)
        self._trace = trace
        self._told: set[tuple[str, int]] = set()

    def excluded(self, excluded: Mask, devices: Devices, cost: Cost, time_s: float) -> None:
        """Which devices cannot hold what they were to train; each is recorded once."""
        cluster = devices.cluster
        new = [k for k in np.flatnonzero(excluded).tolist() if (cluster.name, k) not in self._told]
        if not new:
            return
        self._told.update((cluster.name, k) for k in new)
        needs = np.broadcast_to(cost.memory_bytes, excluded.shape)
        both = np.stack([needs, devices.memory_bytes])[:, new]
        figures, which = np.unique(both, axis=1, return_inverse=True)
        why = [excluded_text(*map(data_size, row)) for row in figures.T.tolist()]
        who = {"cluster": cluster.name, "device": np.array(new, np.int64)}
        fault_row(self._trace, time_s, Coded(which, why), len(new), cause=Cause.MEMORY, **who)

    def message(
        self, send: Send, direction: str, moved: float, begin_s: float, end_s: float, outcome: str
    ) -> None:
        """What moved of a message, until it was there, or its window or the run was over."""
        self._trace.add(
            "transfers",
            cluster=send.source.cluster,
            device=send.source.device,
            peer=str(send.target),
            direction=direction,
            toward=TOWARD_PEER,
            payload=send.payload.name,
            version=int(send.payload.version),
            payload_bytes=float(send.payload.bytes),
            delivered_bytes=moved,
            start_s=begin_s,
            end_s=end_s,
            outcome=outcome,
        )

    def packets(self, send: Send, again: int, packets: int, time_s: float) -> None:
        """How many packets of a message are sent again, if any are."""
        self.resent(send.payload.name, again, packets, time_s, send.source.cluster)

    def resent(
        self,
        payload: str,
        again: int,
        packets: int,
        time_s: float,
        cluster: str,
        contact_id: int | None = None,
    ) -> None:
        """How many packets of so many were sent again, if any were."""
        if again:
            text = injected_text(Cause.RESENT, again, packets, payload)
            shared: dict[str, Any] = {"cluster": cluster, "contact_id": contact_id}
            fault_row(self._trace, time_s, text, cause=Cause.RESENT, **shared)

    def late(
        self,
        payload: str,
        ready_s: Floats,
        devices: Ints,
        late_s: Floats,
        cluster: str,
        contact_id: int | None,
    ) -> None:
        """Which devices (R,) began an upload so much later than they were ready (R,)."""
        texts = [injected_text(Cause.LATE, payload, each_s) for each_s in late_s.tolist()]
        fault_row(
            self._trace,
            ready_s,
            Coded(np.arange(len(devices)), texts),
            len(devices),
            cause=Cause.LATE,
            device=devices,
            cluster=cluster,
            contact_id=contact_id,
        )

    def lost(self, send: Send, time_s: float, why: str) -> None:
        """A message that will never arrive."""
        self._trace.add(
            "events",
            time_s=time_s,
            kind="drop",
            cluster=send.source.cluster,
            device=send.source.device,
            version=int(send.payload.version),
            detail=f"{send.payload.name} to {send.target}: {why}",
        )

    def waits(self, plan: Plan, clock: Clock) -> Process:
        """Record every contact that waits for a beam, or gives it up to a cluster that waited."""
        found: list[tuple[float, int, str]] = []
        contacts = plan.contacts
        waited = ~np.isnan(contacts.wait_from_s)
        for number in np.flatnonzero(waited).tolist():
            start_s, served = contacts.start_s[number], contacts.served[number]
            until = f"served from {start_s:.3f} s" if served else "not served"
            found.append((float(contacts.wait_from_s[number]), number, f"beam busy: {until}"))
        lost = contacts.cut_short
        # A satellite that another station serves from now on waits for nothing.
        if self.topology.clients_fly:
            lost &= ~contacts.turned_away
        numbers = np.flatnonzero(lost).tolist()
        lent = "beam taken over by a cluster that waited"
        found += [(float(contacts.end_s[number]), number, lent) for number in numbers]
        for time_s, number, why in sorted(found):
            if time_s < clock.now:  # before the run has turned to this plan
                continue
            yield clock.at(time_s)
            self.wait(contacts[number], time_s, why, cause=Cause.WAITS_FOR_BEAM)

    def wait(
        self,
        contact: PlannedContact,
        time_s: float,
        detail: str,
        *,
        cause: Cause | None = None,
        until_s: float | None = None,
    ) -> None:
        """What a cluster has waited for in a contact, or what was cut off there."""
        self._trace.add(
            "events",
            time_s=time_s,
            kind="wait",
            cluster=contact.cluster.name,
            contact_id=contact.contact_id,
            detail=detail,
            cause=cause,
            until_s=until_s,
        )


# Rows about faults that the scenario asks for.


def record_faults(faults: Faults, clock: Clock, trace: Trace) -> Process:
    """Record every outage, absence and slow device when it begins."""
    for time_s, cluster, device, detail, cause in sorted(_announced(faults)):
        if time_s < clock.now:  # before the run has turned to these faults
            continue
        yield clock.at(time_s)
        whose: dict[str, Any] = {"cluster": cluster, "device": device} if cluster else {}
        fault_row(trace, time_s, detail, cause=cause, **whose)


Announced = tuple[float, str, int, str, Cause]
"""Time, cluster (empty for a satellite), device, detail and cause of what is known beforehand."""


def _announced(faults: Faults) -> Iterator[Announced]:
    for name, out in faults.outages.items():
        for begin_s, end_s in zip(out.begin_s.tolist(), out.end_s.tolist(), strict=True):
            yield begin_s, "", 0, injected_text(Cause.OUTAGE, name, end_s), Cause.OUTAGE
    for name, presence in faults.churn.items():
        for k, away in enumerate(presence.away):
            for begin_s, end_s in zip(away.begin_s.tolist(), away.end_s.tolist(), strict=True):
                yield begin_s, name, k, injected_text(Cause.ABSENCE, end_s), Cause.ABSENCE
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
            yield from_s, name, k, injected_text(Cause.SLOW, times[k]), Cause.SLOW


def fault_row(
    trace: Trace,
    time_s: Any,
    detail: Any,
    rows: int = 1,
    *,
    cause: Cause | None = None,
    **columns: Any,
) -> None:
    """Add a row of a fault to the events, or so many."""
    trace.add("events", rows, time_s=time_s, kind="fault", detail=detail, cause=cause, **columns)
