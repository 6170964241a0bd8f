"""The contact plan of a run: who is served when, over which link. All times in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from channel import LinkCurve
from learning.method import Cluster
from learning.requests import Floats

Curves = tuple[LinkCurve, LinkCurve | None]
"""Uplink and downlink of all devices in one contact; None for a neglected downlink."""


class ContactLinks:
    """The link curves of one contact, made when first asked for and let go when it is over.

    A plan of thousands of contacts and devices would not fit into memory with all its curves.
    """

    def __init__(self, make: Callable[[], Curves]) -> None:
        self._make = make
        self._curves: Curves | None = None
        self._capacity_bytes: Floats | None = None

    @property
    def curves(self) -> Curves:
        """Uplink and downlink curves, one row a device."""
        if self._curves is None:
            self._curves = self._make()
            self._capacity_bytes = np.atleast_1d(self._curves[0].capacity_bits) / 8.0
        return self._curves

    @property
    def capacity_bytes(self) -> Floats:
        """Bytes (K,) that each device could upload between rise and set."""
        if self._capacity_bytes is None:
            self._capacity_bytes = np.atleast_1d(self.curves[0].capacity_bits) / 8.0
            self.close()
        return self._capacity_bytes

    def close(self) -> None:
        """Let the curves go; they are made anew if somebody asks again."""
        self._curves = None


@dataclass(frozen=True, eq=False)
class PlannedContact:
    """A window of one satellite over one cluster, with its devices' links.

    ``start_s`` to ``end_s`` is when a beam serves the cluster (nan if never).
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
    links: ContactLinks

    @property
    def uplink(self) -> LinkCurve:
        """Uplink rates of the devices, one row a device."""
        return self.links.curves[0]

    @property
    def downlink(self) -> LinkCurve | None:
        """Downlink rates of the devices; None where the downlink is neglected."""
        return self.links.curves[1]

    @property
    def capacity_in_service_bytes(self) -> float:
        """Bytes that the device with the poorest link can upload while a beam serves it."""
        missed = self.uplink.delivered_bits(self.start_s)
        return float((self.uplink.capacity_bits - missed).min()) / 8.0


@dataclass(frozen=True, eq=False)
class Plan:
    """All contacts of a run in the order of their numbers, and when it starts and ends.

    ``elements_epoch`` is that of published elements; None where the orbit or the slots are ideal.
    """

    start: datetime
    stop_s: float
    clusters: tuple[Cluster, ...]
    contacts: tuple[PlannedContact, ...]
    elements_epoch: datetime | None = None

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
