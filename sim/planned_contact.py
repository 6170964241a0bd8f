"""A planned contact: who is served when, over which link. All times in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from learning.requests.cluster import Cluster, Floats
from sim.beam import Beam
from sim.contact_links import DeviceLinks


class ContactLinks:
    """The links of one contact, made when first asked for and let go when it is over.

    A plan of thousands of contacts and devices would not fit into memory with all its curves, nor
    with what they carry for each device; of that only the least is remembered, as a whole and while
    served from ``start_s`` to ``end_s``.
    """

    def __init__(
        self, make: Callable[[], DeviceLinks], start_s: float = -np.inf, end_s: float = np.inf
    ) -> None:
        self._make = make
        self._span_s = start_s, end_s
        self._now: DeviceLinks | None = None
        self._capacities: tuple[Floats, Floats] | None = None
        self._least: tuple[float, float] | None = None
        self._doppler_hz: tuple[float, float] | None = None

    @property
    def devices(self) -> DeviceLinks:
        """Both directions, one row a device."""
        if self._now is None:
            self._now = self._made()
        return self._now

    def _made(self) -> DeviceLinks:
        links, (start_s, end_s) = self._make(), self._span_s
        uplink = links.uplink.curve
        whole = np.atleast_1d(uplink.capacity_bits)
        served = np.zeros_like(whole)
        if start_s <= uplink.time_s.min() and uplink.time_s.max() <= end_s:
            served = whole
        elif not np.isnan(start_s):
            served = uplink.delivered_bits(end_s) - uplink.delivered_bits(start_s)
        self._capacities = whole / 8.0, np.atleast_1d(served) / 8.0
        self._least = float(self._capacities[0].min()), float(self._capacities[1].min())
        self._doppler_hz = links.doppler_hz
        return links

    @property
    def capacity_bytes(self) -> Floats:
        """Bytes (K,) that each device could upload between rise and set."""
        return self._capacity(0)

    @property
    def capacity_in_service_bytes(self) -> Floats:
        """Bytes (K,) that each device can upload while a beam serves the cluster."""
        return self._capacity(1)

    @property
    def least_bytes(self) -> tuple[float, float]:
        """What the device with the poorest link could upload: of the whole, and while served."""
        if self._least is None:
            self._made()
        assert self._least is not None
        return self._least

    @property
    def doppler_hz(self) -> tuple[float, float] | None:
        """Largest Doppler shift, and what is left of it for a device; None without geometry."""
        if self._least is None:
            self._made()
        return self._doppler_hz

    def _capacity(self, which: int) -> Floats:
        if self._capacities is None:
            self._made()
        assert self._capacities is not None
        return self._capacities[which]

    def close(self) -> None:
        """Let the curves go; they are made anew if somebody asks again."""
        self._now = self._capacities = None


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
    def uplink(self) -> Beam:
        """Uplink of the devices, one row a device."""
        return self.links.devices.uplink

    @property
    def downlink(self) -> Beam | None:
        """Downlink of the devices; None where the downlink is neglected."""
        return self.links.devices.downlink
