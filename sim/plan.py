"""The contact plan of a run: who is served when, over which link. All times in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from channel import LinkCurve
from learning.method import Cluster
from learning.requests import Floats


@dataclass(frozen=True, eq=False)
class PlannedContact:
    """A window of one satellite over one cluster, with its devices' links.

    ``start_s`` to ``end_s`` is when a beam serves the cluster (nan if never); ``uplink`` has one
    row a device. ``downlink`` is None where the downlink is neglected.
    """

    contact_id: int
    session: int
    satellite: str
    norad_id: int | None
    cluster: Cluster
    rise_s: float
    culminate_s: float
    set_s: float
    max_elevation_deg: float
    min_slant_range_km: float
    served: bool
    start_s: float
    end_s: float
    uplink: LinkCurve
    downlink: LinkCurve | None

    @property
    def uplink_capacity_bytes(self) -> Floats:
        """Bytes (K,) that each device could upload between rise and set."""
        return np.atleast_1d(np.asarray(self.uplink.capacity_bits, float)) / 8.0


@dataclass(frozen=True, eq=False)
class Plan:
    """All contacts of a run in the order of their numbers, and when it starts and ends."""

    start: datetime
    stop_s: float
    clusters: tuple[Cluster, ...]
    contacts: tuple[PlannedContact, ...]

    def served(self, cluster: Cluster) -> list[PlannedContact]:
        """Contacts in which ``cluster`` is served, in order of time."""
        mine = [c for c in self.contacts if c.served and c.cluster.name == cluster.name]
        return sorted(mine, key=lambda contact: contact.start_s)

    @property
    def cycles(self) -> int:
        """Complete cycles in the plan: sessions of the cluster that is served least often."""
        return min(len({c.session for c in self.served(cluster)}) for cluster in self.clusters)

    def utc(self, time_s: float) -> datetime:
        """Return the UTC time ``time_s`` seconds after the start."""
        return self.start + timedelta(seconds=time_s)
