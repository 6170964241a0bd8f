"""What a cluster's chains of transfers and trainings came to, told as facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from learning.requests.cluster import Cluster, Cost, Floats, Ints, Mask
from learning.requests.facts import Cause, injected_text
from sim.facts.faults import MemoryLacks, PacketsResent, UploadsLate
from sim.facts.stream import Facts
from sim.facts.transfers import CARRIED, DELIVERED, DROPPED
from sim.facts.waits import ChainClosed, StateUnknown, SubChannelBusy
from sim.network.leg_log import LegLog
from sim.network.legs import ChainEnded, Dropped, Moved, Trained
from sim.network.steps import Part, Transfer
from sim.plan.contacts import PlannedContact, PlannedSession
from sim.trace.directions import Topology

if TYPE_CHECKING:
    from sim.devices.devices import Devices
    from sim.network.steps import Training


SHORTEST_WAIT_S = 1e-6
"""Waiting for less is rounding."""


class ChainFacts:
    """Tells what the devices of clusters did; ``topology`` says where these are."""

    def __init__(self, facts: Facts, topology: Topology = Topology.GROUND_CLIENTS) -> None:
        self.topology = topology
        self.log = LegLog(facts, topology)
        self._facts = facts
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
        """Which devices cannot hold what they were to train; each is told of once."""
        cluster = devices.cluster
        new = [k for k in np.flatnonzero(excluded).tolist() if (cluster.name, k) not in self._told]
        if not new:
            return
        self._told.update((cluster.name, k) for k in new)
        self._facts.emit(
            MemoryLacks(
                time_s=time_s,
                cluster=cluster.name,
                device=np.array(new, np.int64),
                needed_bytes=np.broadcast_to(cost.memory_bytes, excluded.shape)[new],
                held_bytes=np.broadcast_to(devices.memory_bytes, excluded.shape)[new],
            )
        )

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
            contact = session.at(time_s)
            self._facts.emit(
                SubChannelBusy(
                    time_s=time_s,
                    cluster=contact.cluster.name,
                    contact_id=contact.contact_id,
                    payload=leg.name,
                    devices=late,
                    longest_s=float(waited_s.max()),
                )
            )

    def waits_for_state(self, contact: PlannedContact, time_s: float, until_s: float) -> None:
        """A download waits until the satellite of a contact knows the server's state."""
        self._facts.emit(
            StateUnknown(
                time_s=time_s,
                cluster=contact.cluster.name,
                contact_id=contact.contact_id,
                until_s=until_s,
            )
        )

    def closed(self, contact: PlannedContact, time_s: float, reason: str, devices: int) -> None:
        """A chain was closed in a contact for a reason, and cut off so many devices."""
        self._facts.emit(
            ChainClosed(
                time_s=time_s,
                cluster=contact.cluster.name,
                contact_id=contact.contact_id,
                reason=reason,
                devices=devices,
            )
        )

    def ended(self, cluster: Cluster, steps: Sequence[Any], replies: Sequence[Any]) -> None:
        """A chain has ended for all devices of a cluster."""
        self._facts.emit(ChainEnded(cluster.name, steps, replies))

    def faults(
        self, leg: Transfer, moved: Floats, cluster: Cluster, contact_id: int | None, time_s: float
    ) -> None:
        """How many packets of a leg were sent again while so many bytes of it moved (K,), and which
        uploads began late."""
        if leg.resent is not None and leg.packets is not None:
            left = leg.size - leg.before
            share = np.divide(moved, left, out=np.zeros_like(left), where=left > 0)
            again = int(np.rint(leg.resent * share).sum())
            if again:
                self._facts.emit(
                    PacketsResent(
                        time_s=time_s,
                        cluster=cluster.name,
                        contact_id=contact_id,
                        payload=leg.name,
                        again=again,
                        packets=int(np.rint(leg.packets * share).sum()),
                    )
                )
        if leg.late_s is not None:
            late = leg.who & (leg.late_s > 0) & (leg.ready_s <= time_s)
            rows = np.flatnonzero(late)
            if not len(rows):
                return
            self._facts.emit(
                UploadsLate(
                    time_s=leg.ready_s[rows],
                    cluster=cluster.name,
                    device=rows,
                    contact_id=contact_id,
                    payload=leg.name,
                    late_s=leg.late_s[rows].tolist(),
                )
            )
