"""Rows of transfers, and of the events of training, transfers, waits, drops and faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from learning.requests.cluster import Cluster, Cost, Floats, Ints, Mask
from learning.requests.facts import Cause, injected_text
from learning.requests.facts import excluded as excluded_text
from learning.requests.peers import Send
from sim.clock import Clock, Process
from sim.devices.faults import Faults
from sim.formatting import data_size
from sim.network.leg_log import (
    CARRIED,
    DELIVERED,
    DROPPED,
    Dropped,
    LegLog,
    Moved,
    Trained,
)
from sim.network.steps import Part, Transfer
from sim.plan.contacts import PlannedContact, PlannedSession
from sim.plan.plan import Plan
from sim.trace.arrow import Coded
from sim.trace.directions import TOWARD_PEER, Topology
from sim.trace.recorder import Trace

if TYPE_CHECKING:
    from sim.devices.devices import Devices
    from sim.network.steps import Training


SHORTEST_WAIT_S = 1e-6
"""Waiting for less is rounding."""


class Rows:
    """Writes what a cluster's devices did into a trace; ``topology`` says where these are."""

    def __init__(self, trace: Trace, topology: Topology = Topology.GROUND_CLIENTS) -> None:
        self.topology = topology
        self.log = LegLog(trace, topology)
        self._trace = trace
        self._told: set[tuple[str, int]] = set()

    def training(
        self, leg: Training, done: Mask, cluster: Cluster, contact_id: int | None, now_s: float
    ) -> None:
        """When the devices in ``done`` began and ended their rounds."""
        if np.count_nonzero(done):
            self.log.add(
                Trained(
                    cluster.name,
                    contact_id,
                    who=done,
                    rounds=leg.rounds,
                    start_s=leg.begin_s,
                    end_s=leg.end_s,
                    now_s=now_s,
                )
            )

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

    def transfer(
        self,
        leg: Transfer,
        done: Mask,
        moved: Floats,
        part: Part,
        there_s: Floats,
        lost: str,
        cluster: Cluster,
        now_s: float,
        refused: Mask | None = None,
    ) -> None:
        """What moved in one contact, until it was there, and with which outcome.

        What is not through is carried over, unless ``lost`` says what becomes of it. What is
        ``refused`` (K,) was there and is dropped.
        """
        moves = leg.who & (moved > 0)
        some = np.count_nonzero(moves)
        if not some:
            return
        outcome: Ints | int = DELIVERED
        if np.count_nonzero(done) < some:
            given_up = np.full(len(done), bool(lost))
            if refused is not None:
                given_up = given_up | refused
            if part.last is not None:
                given_up = given_up & part.last
            outcome = np.where(done, DELIVERED, np.where(given_up, DROPPED, CARRIED))
        contact_id = part.contact.contact_id
        self.log.add(
            Moved(
                cluster.name,
                contact_id,
                way=leg.way,
                payload=leg.name,
                who=moves,
                version=leg.version,
                size=leg.size,
                bytes=moved,
                start_s=part.begin_s,
                end_s=there_s,
                outcome=outcome,
                now_s=now_s,
                at_once=leg.beam is None,
            )
        )
        if isinstance(outcome, int):
            return
        gone = moves & (outcome == DROPPED)
        if refused is not None:
            text = injected_text(Cause.CORRUPTED, leg.name)
            spoilt = gone & refused
            self._drop(leg, spoilt, there_s, cluster, contact_id, text, now_s, Cause.CORRUPTED)
            gone = gone & ~refused
        self._drop(leg, gone, there_s, cluster, contact_id, f"{leg.name} {lost}", now_s)

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
        if again:
            text = injected_text(Cause.RESENT, again, packets, send.payload.name)
            who = send.source.cluster
            fault_row(self._trace, time_s, text, cause=Cause.RESENT, cluster=who)

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

    def stale(
        self, leg: Transfer, forgotten: Mask, cluster: Cluster, contact_id: int, now_s: float
    ) -> None:
        """Which devices had a partial transfer of another version, now forgotten."""
        if not np.count_nonzero(forgotten):
            return
        # A device without a link in this contact forgets too, though it begins nothing.
        time_s = np.where(np.isfinite(leg.begin_s), leg.begin_s, leg.arrival_s)
        # One that is not ready before the session ends has forgotten when it was asked.
        time_s = np.where(np.isfinite(time_s), time_s, now_s)
        text = f"{leg.name} stale part forgotten"
        self._drop(leg, forgotten, time_s, cluster, contact_id, text, now_s)

    def _drop(
        self,
        leg: Transfer,
        who: Mask,
        time_s: Floats,
        cluster: Cluster,
        contact_id: int,
        detail: str,
        now_s: float,
        cause: Cause | None = None,
    ) -> None:
        rows = np.flatnonzero(who)
        if len(rows):
            self.log.add(
                Dropped(
                    cluster.name,
                    contact_id,
                    who=rows,
                    version=leg.version[rows],
                    time_s=time_s[rows],
                    detail=detail,
                    now_s=now_s,
                    cause=cause,
                )
            )

    def queue(self, leg: Transfer, session: PlannedSession, time_s: float) -> None:
        """How many devices of a leg wait for a sub-channel, and how long at most."""
        waited_s = leg.waited_s()
        if waited_s is None:
            return
        late = int((waited_s > SHORTEST_WAIT_S).sum())
        if late:
            most = f"{late} devices, up to {float(waited_s.max()):.3f} s"
            self.wait(session.at(time_s), time_s, f"sub-channel busy: {leg.name}: {most}")

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

    def faults_of(self, leg: Transfer, moved: Floats, time_s: float, **shared: Any) -> None:
        """How many packets of a leg were sent again while so many bytes of it moved (K,), and which
        uploads began late."""
        if leg.resent is not None and leg.packets is not None:
            left = leg.size - leg.before
            share = np.divide(moved, left, out=np.zeros_like(left), where=left > 0)
            again, sent = (int(np.rint(n * share).sum()) for n in (leg.resent, leg.packets))
            if again:
                text = injected_text(Cause.RESENT, again, sent, leg.name)
                fault_row(self._trace, time_s, text, cause=Cause.RESENT, **shared)
        if leg.late_s is not None:
            late = leg.who & (leg.late_s > 0) & (leg.ready_s <= time_s)
            rows = np.flatnonzero(late)
            each_s = leg.late_s[rows].tolist()
            texts = [injected_text(Cause.LATE, leg.name, late_s) for late_s in each_s]
            fault_row(
                self._trace,
                leg.ready_s[rows],
                Coded(np.arange(len(rows)), texts),
                len(rows),
                cause=Cause.LATE,
                device=rows,
                **shared,
            )

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
