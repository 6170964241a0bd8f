"""A planned contact: who is served when, over which link. All times in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from channel import LinkCurve
from learning.method import Cluster
from learning.requests import Floats

Curves = tuple[LinkCurve, LinkCurve | None]
"""Uplink and downlink of all devices in one contact; None for a neglected downlink."""


class ContactLinks:
    """The link curves of one contact, made when first asked for and let go when it is over.

    A plan of thousands of contacts and devices would not fit into memory with all its curves; what
    they carry, as a whole and while served from ``start_s`` to ``end_s``, is remembered.
    """

    def __init__(
        self, make: Callable[[], Curves], start_s: float = -np.inf, end_s: float = np.inf
    ) -> None:
        self._make = make
        self._span_s = start_s, end_s
        self._curves: Curves | None = None
        self._capacities: tuple[Floats, Floats] | None = None

    @property
    def curves(self) -> Curves:
        """Uplink and downlink curves, one row a device."""
        if self._curves is None:
            self._curves = self._made()
        return self._curves

    def _made(self) -> Curves:
        curves, (start_s, end_s) = self._make(), self._span_s
        whole = served = np.atleast_1d(curves[0].capacity_bits)
        if not np.isnan(start_s):
            served = curves[0].delivered_bits(end_s) - curves[0].delivered_bits(start_s)
        self._capacities = whole / 8.0, np.atleast_1d(served) / 8.0
        return curves

    @property
    def capacity_bytes(self) -> Floats:
        """Bytes (K,) that each device could upload between rise and set."""
        return self._capacity(0)

    @property
    def capacity_in_service_bytes(self) -> Floats:
        """Bytes (K,) that each device can upload while a beam serves the cluster."""
        return self._capacity(1)

    def _capacity(self, which: int) -> Floats:
        if self._capacities is None:
            self._made()
        assert self._capacities is not None
        return self._capacities[which]

    def close(self) -> None:
        """Let the curves go; they are made anew if somebody asks again."""
        self._curves = None


@dataclass(frozen=True, eq=False)
class PlannedContact:
    """A window of one satellite over one cluster, with its devices' links.

    ``start_s`` to ``end_s`` is when a beam serves the cluster (nan if never): to the set, or to
    when another cluster takes the beam over. ``wait_from_s`` is when it began to wait for one (nan
    if it did not). ``session`` is -1 for a contact that is not served.
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
    wait_from_s: float = np.nan

    @property
    def cut_short(self) -> bool:
        """Whether another cluster takes the beam over before the set."""
        return self.served and self.end_s < self.set_s

    @property
    def uplink(self) -> LinkCurve:
        """Uplink rates of the devices, one row a device."""
        return self.links.curves[0]

    @property
    def downlink(self) -> LinkCurve | None:
        """Downlink rates of the devices; None where the downlink is neglected."""
        return self.links.curves[1]
