"""Which devices reach each other directly, their distances, and their rates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import numpy as np

from channel import SPEED_OF_LIGHT_M_S, Sidelink
from channel.link_curve import ROUNDING
from learning.requests.peers import Node
from scenarios.presets import SIDELINK
from sim.world.sites import EARTH_RADIUS_KM, central_angle_rad, coordinates_deg
from sim.world.world import World
from statements.arrays import Floats, Mask

NEAREST_M = 1.0
"""Devices are taken to be at least so far apart where a rate follows from the distance."""


Sent = Callable[[float, float], tuple[float, float]]
"""Says of bits that leave from a time on when all have left (inf: not before the end of the
opening), and how many do leave."""


def share_sent(
    sent: Callable[[float], tuple[float, float]],
    begin_s: float,
    sent_s: float,
    bits: float,
    by_s: float,
) -> float:
    """Share of bits that has left by a time, of all that leave from ``begin_s`` to ``sent_s``.

    By the law ``sent`` of their link, which says when fewer bits would have left: exact but for
    rounding. A link of one rate sends evenly.
    """

    from scipy.optimize import brentq  # takes a while to import, and few runs end so

    def late_s(share: float) -> float:
        return min(sent(share * bits)[0], sent_s) - by_s

    even = (by_s - begin_s) / (sent_s - begin_s)
    if not bits or abs(late_s(even)) <= ROUNDING * max(abs(by_s), 1.0):
        return even
    return float(brentq(late_s, 0.0, 1.0, xtol=ROUNDING))


class Opening(NamedTuple):
    """A time in which one node can send to another.

    ``sent`` says of bits that leave from a time on when all have left (inf: not before the end),
    and how many do leave; ``delay_s`` how long the last one takes that leaves at a time.
    """

    start_s: float
    end_s: float
    sent: Sent
    delay_s: Callable[[float], float]


@dataclass(frozen=True, eq=False)
class Sidelinks:
    """The sidelinks of all devices: a band of its own for each pair and direction.

    ``places`` has latitudes and longitudes (K, 2) in degrees for each cluster, in canonical order;
    None where nobody knows them. ``distance_m`` stands for the distances within a cluster. A
    ``radio`` gives the rate by the distance, unless it is ``fixed_bps``. Without ``range_m`` only
    devices of the same cluster have a sidelink.
    """

    places: Mapping[str, Floats | None]
    devices: Mapping[str, int]
    radio: Sidelink | None = None
    fixed_bps: float | None = None
    distance_m: float | None = None
    range_m: float | None = None

    def apart_m(self, source: Node, target: Node) -> float:
        """Metres between two devices; inf where their places are not known."""
        one, other = (slice(node.device, node.device + 1) for node in (source, target))
        return float(self._apart_m(source.cluster, target.cluster, one, other)[0, 0])

    def exists(self, source: Node, target: Node) -> bool:
        """Whether the one can send to the other."""
        return bool(self._exists(source.cluster, target.cluster, self.apart_m(source, target)))

    def openings(self, source: Node, target: Node) -> Iterator[Opening]:
        """Yield the one time in which the one can send to the other: always."""
        apart_m = self.apart_m(source, target)
        rate_bps = self.rate_bps(apart_m)
        delay_s = self.delay_s(apart_m)
        yield Opening(0.0, inf, lambda t, bits: (t + bits / rate_bps, bits), lambda _: delay_s)

    def reach(self, cluster: str) -> Mask:
        """Whom each device of a cluster can send to (K, N), itself too."""
        rows = [self._exists(cluster, c, self._apart_m(cluster, c)) for c in self.devices]
        return np.concatenate(rows, axis=1)

    def rate_bps(self, apart_m: float) -> float:
        """Rate over a distance."""
        if self.fixed_bps is not None:
            return self.fixed_bps
        assert self.radio is not None  # one of the two is given
        return float(self.radio.rate_bps(max(apart_m, NEAREST_M)))

    @staticmethod
    def delay_s(apart_m: float) -> float:
        """Time that a signal takes over a distance."""
        return apart_m / SPEED_OF_LIGHT_M_S

    def _exists(self, cluster: str, other: str, apart_m: float | Floats) -> Mask:
        if self.range_m is None:
            return np.full(np.shape(apart_m), cluster == other)
        return np.asarray(apart_m <= self.range_m)

    def _apart_m(
        self, cluster: str, other: str, rows: slice = slice(None), columns: slice = slice(None)
    ) -> Floats:
        """Distances (K, K') between devices of two clusters."""
        devices = np.arange(self.devices[cluster])
        others = np.arange(self.devices[other])
        if cluster == other and self.distance_m is not None:
            return np.where(devices[rows, None] == others[None, columns], 0.0, self.distance_m)
        places = self.places[cluster]
        other_places = self.places[other]
        if places is None or other_places is None:
            return np.full((len(devices[rows]), len(others[columns])), np.inf)
        angle = central_angle_rad(places[rows, None, :], other_places[None, columns, :])
        return EARTH_RADIUS_KM * 1000.0 * angle


def sidelinks_of(world: World) -> Sidelinks | None:
    """Return the sidelinks of a scenario in SI units; None where devices do not talk directly."""
    if world.link.sidelink is None:
        return None
    given = world.link.sidelink
    clusters = world.sites.clusters
    return Sidelinks(
        places={c.name: _places(world, c.index) for c in clusters},
        devices={c.name: c.devices for c in clusters},
        radio=(
            Sidelink(**SIDELINK, tx_power_dbm=given.sent_dbm) if given.rate_mbps is None else None
        ),
        fixed_bps=None if given.rate_mbps is None else given.rate_mbps * 1e6,
        distance_m=None if given.distance_km is None else given.distance_km * 1e3,
        range_m=None if given.range_km is None else given.range_km * 1e3,
    )


def _places(world: World, index: int) -> Floats | None:
    if not world.orbit.has_geometry:
        return None
    return coordinates_deg(world.sites.devices_of(index))
