"""Passes of a scenario: windows between access points of its server and its clients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

import orbit
from learning.requests.cluster import Ints
from sim.errors import InputError
from sim.trace.directions import Topology


@dataclass(frozen=True, eq=False, kw_only=True)
class Passes:
    """Windows between access points of the server and clusters, without regard to outages.

    ``servers`` are satellites, ``clients`` what lies on the ground; where ``turned``, satellites
    or planes are the clients of stations. In ``passes`` the columns ``satellite`` and ``site`` are
    indices into ``servers`` and ``clients``, whichever these are; ``flying`` is the satellite of
    each pass where satellites are clients. ``norad_ids`` are those of the servers.
    ``satellites`` and ``places`` (on the ground) are empty where there is no geometry. ``doubts``
    are lines for the user.
    """

    servers: list[str]
    norad_ids: list[int | None]
    clients: list[str]
    start: datetime
    span_s: float
    passes: orbit.ContactWindows
    satellites: tuple[orbit.Satellite, ...] = ()
    places: tuple[orbit.Site, ...] = ()
    min_elevation_deg: float = 0.0
    doubts: tuple[str, ...] = ()
    flying: Ints | None = None

    @property
    def turned(self) -> bool:
        """Whether satellites or planes are the clients."""
        return self.flying is not None

    @property
    def relayed(self) -> bool:
        """Whether one satellite serves the others, over links between them."""
        return self.turned and bool(self.satellites) and not self.places

    @property
    def topology(self) -> Topology:
        """Where clients and their server are."""
        if self.relayed:
            return Topology.SATELLITE_SERVER
        return Topology.SATELLITE_CLIENTS if self.turned else Topology.GROUND_CLIENTS

    @property
    def fleet(self) -> list[str]:
        """Names of the satellites: of the servers, or of the clients."""
        if self.satellites:
            return [satellite.name for satellite in self.satellites]
        return self.clients if self.turned else self.servers

    @property
    def pass_satellites(self) -> Ints:
        """Index in ``satellites`` of each pass."""
        return self.passes.satellite if self.flying is None else self.flying

    @property
    def pass_places(self) -> Ints:
        """Index in ``places`` of each pass."""
        return self.passes.site if self.flying is None else self.passes.satellite

    def with_satellites_as_clients(self, planes: Sequence[str] = ()) -> Passes:
        """Return the same passes with the stations as servers and the satellites as clients.

        With the ``planes`` of satellites each plane is one client, and has the passes of all its
        satellites. Raises InputError for a name that a station shares with a satellite or a plane.
        """
        for kind, names in (("satellite", self.servers), ("plane", planes)):
            if shared := sorted(set(names) & set(self.clients)):
                raise InputError(
                    f"ground.stations: {shared[0]!r} is a station and a {kind} too; rename the "
                    "station"
                )
        flying = self.passes.satellite
        clients = self.servers
        columns = vars(self.passes) | {"satellite": self.passes.site, "site": flying}
        if planes:
            clients = sorted(set(planes))
            columns["site"] = np.array([clients.index(plane) for plane in planes])[flying]
        order = np.lexsort((flying, columns["site"], columns["satellite"], columns["rise_s"]))
        return replace(
            self,
            servers=self.clients,
            norad_ids=[None] * len(self.clients),
            clients=clients,
            passes=orbit.ContactWindows(
                **{name: column[order] for name, column in columns.items()}
            ),
            flying=flying[order],
        )
