"""The contact plan of a run: all contacts, and the sessions that they make. Times in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from learning.requests.cluster import Cluster
from sim.faults import Faults
from sim.planned_contact import PlannedContact
from sim.planned_session import PlannedSession
from sim.sky import Sky


@dataclass(frozen=True, eq=False)
class Plan:
    """All contacts of a run in the order of their numbers, and when it starts and ends.

    ``doubts`` are lines for the user on what may be wrong with the contacts. What one satellite
    received the others know ``sync_delay_s`` later. A ``constellation`` serves with any of its
    satellites. ``sky`` is None where there is no geometry, ``faults`` where
    nothing can fail.
    """

    start: datetime
    stop_s: float
    clusters: tuple[Cluster, ...]
    contacts: tuple[PlannedContact, ...]
    doubts: tuple[str, ...] = ()
    sync_delay_s: float = 0.0
    constellation: bool = False
    sky: Sky | None = None
    faults: Faults | None = None

    def served(self, cluster: Cluster) -> list[PlannedContact]:
        """Contacts in which ``cluster`` is served, in order of time."""
        mine = [c for c in self.contacts if c.served and c.cluster.name == cluster.name]
        return sorted(mine, key=lambda contact: contact.start_s)

    def sessions(self, cluster: Cluster) -> list[PlannedSession]:
        """Sessions of ``cluster`` in order of time."""
        grouped = groupby(self.served(cluster), key=lambda contact: contact.session)
        return [PlannedSession(number, tuple(contacts)) for number, contacts in grouped]

    @property
    def cycles(self) -> int:
        """Complete cycles in the plan: sessions of the cluster that is served least often."""
        return min(len({c.session for c in self.served(cluster)}) for cluster in self.clusters)

    def utc(self, time_s: float) -> datetime:
        """Return the UTC time ``time_s`` seconds after the start."""
        return self.start + timedelta(seconds=time_s)
