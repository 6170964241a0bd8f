"""Feeder links: the passes in which satellites reach gateways with what devices have sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf

import numpy as np

from channel import SPEED_OF_LIGHT_M_S
from orbit import RangeFrom
from orbit.windows import groups
from sim.devices.outages import Outages
from sim.plan.contacts import ContactTable
from sim.plan.passes import Find, check_apart
from sim.plan.service import served_feeder_passes
from sim.world.world import World
from statements.arrays import Floats, Ints


@dataclass(frozen=True, eq=False, kw_only=True)
class FeederPlan:
    """Arrays (N,) over passes in which a satellite can send to a station, sorted by start.

    ``satellite`` and ``station`` are indices in ``satellites`` and ``stations``. In either
    direction bits leave from ``start_s`` to ``end_s`` at ``rate_bps``; those of one satellite do
    not overlap. ``range_km`` returns the range in a pass at a time. The stations are one server,
    linked on the ground. ``passes_seen`` are all that there
    are, served or not.
    """

    satellites: tuple[str, ...]
    stations: tuple[str, ...]
    satellite: Ints
    station: Ints
    start_s: Floats
    end_s: Floats
    max_elevation_deg: Floats
    min_range_km: Floats
    rate_bps: float
    range_km: Callable[[int, float], float]
    passes_seen: ContactTable

    def __len__(self) -> int:
        """The number of passes."""
        return len(self.satellite)

    def ends(self, number: int) -> tuple[str, str]:
        """Return the names of the satellite and the station of a pass."""
        return self.satellites[self.satellite[number]], self.stations[self.station[number]]

    def delay_s(self, number: int, time_s: float) -> float:
        """How long a signal takes in a pass that leaves at a time."""
        return self.range_km(number, time_s) * 1e3 / SPEED_OF_LIGHT_M_S

    def sent(self, number: int, begin_s: float, bits: float) -> tuple[float, float]:
        """Return when bits that leave in a pass have left (inf: never), and how many do.

        They leave from a time on, as in :meth:`IslPlan.sent`.
        """
        sent_s, end_s = begin_s + bits / self.rate_bps, float(self.end_s[number])
        return (sent_s, bits) if sent_s <= end_s else (inf, (end_s - begin_s) * self.rate_bps)

    def windows(self, satellite: int) -> tuple[list[float], list[float]]:
        """Return the begins and ends of the passes of a satellite, by index, over any station."""
        mine = self._of_each[satellite]
        return self.start_s[mine].tolist(), self.end_s[mine].tolist()

    def passes(self, satellite: str, station: str) -> Ints:
        """Return the numbers of a satellite's passes over a station; none for unknown names."""
        place = self._places.get(satellite)
        if place is None or station not in self.gateways:
            return np.zeros(0, np.int64)
        mine = self._of_each[place]
        return mine[self.station[mine] == self.gateways[station]]

    @cached_property
    def gateways(self) -> dict[str, int]:
        """The index of each station by its name."""
        return {name: place for place, name in enumerate(self.stations)}

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.satellites)}

    def longest_delay_s(self, number: int) -> float:
        """How long a signal takes at most in a pass: the range is largest at one of its ends."""
        span_s = float(self.start_s[number]), float(self.end_s[number])
        return max(self.delay_s(number, time_s) for time_s in span_s)

    @cached_property
    def _of_each(self) -> list[Ints]:
        return groups(self.satellite, len(self.satellites))


def feeder_plan(
    world: World, clusters: Sequence[str], outages: Outages, find: Find
) -> FeederPlan | None:
    """Return the passes over the stations that are the server of devices; None without any.

    ``find`` looks for them; there are none in ``outages`` of one of their ends. Raises InputError
    for a station that is called like one of the ``clusters`` or like a satellite.
    """
    feeder = world.link.feeder
    if feeder is None:
        return None
    served = served_feeder_passes(world, outages, find)
    check_apart("station", served.servers, "cluster", clusters)
    service = served.service
    numbers = np.flatnonzero(service.served)
    order = np.lexsort((served.windows.site[numbers], service.start_s[numbers]))
    numbers = numbers[order]
    return FeederPlan(
        satellites=tuple(served.clients),
        stations=tuple(served.servers),
        satellite=served.windows.site[numbers],
        station=served.windows.satellite[numbers],
        start_s=service.start_s[numbers],
        end_s=service.end_s[numbers],
        max_elevation_deg=served.windows.max_elevation_deg[numbers],
        min_range_km=served.windows.min_slant_range_km[numbers],
        rate_bps=feeder.rate_mbps * 1e6,
        range_km=_ranges(served, numbers),
        passes_seen=served,
    )


def _ranges(served: ContactTable, numbers: Ints) -> Callable[[int, float], float]:
    """Return what measures the range in a pass at a time; passes are windows by ``numbers``."""
    ranges = [RangeFrom(place, served.start) for place in served.places]

    def range_km(number: int, time_s: float) -> float:
        window = numbers[number]
        satellite = served.satellites[served.flyer[window]]
        return ranges[served.ground[window]].km(satellite, time_s)

    return range_km
