"""Where bytes go: toward the server or a client, and in which direction by geometry.

A run speaks of the :class:`Way` of a transfer: who receives it. Tables, files and text name the
direction by geometry as well: ``uplink`` is from the ground to space, whoever is the client.
:class:`Topology` is the one place that knows how the two belong together.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DIRECTIONS = ("uplink", "downlink", "sidelink", "isl")
"""Directions of the transfers table, in the order in which they are listed."""

DIRECTION_NAMES = {
    "uplink": "uplink",
    "downlink": "downlink",
    "sidelink": "sidelink",
    "isl": "ISL",
}
"""What directions are called in text."""


class Way(StrEnum):
    """Who receives a transfer between a client and its server: ``toward`` of the table."""

    TO_SERVER = "server"
    TO_CLIENT = "client"


TOWARD_PEER = "peer"
"""``toward`` of a message that one client sends to another."""


@dataclass(frozen=True)
class Topology:
    """Who the clients are, who their server is, and by which route they reach each other.

    ``clients`` are devices on the ground, satellites, or planes of these. The ``server`` is all
    satellites, one named ``satellite``, or stations. The ``route`` is direct where clients have
    contacts with their server, and mesh where messages take links between satellites.
    """

    clients: str = "devices"
    server: str = "satellites"
    route: str = "direct"

    @property
    def in_orbit(self) -> bool:
        """Whether satellites, or planes of them, are the clients."""
        return self.clients != "devices"

    @property
    def relay(self) -> bool:
        """Whether one satellite is the server of others."""
        return self.in_orbit and self.server == "satellite"

    @property
    def access(self) -> bool:
        """Whether devices reach their server over the mesh: satellites give them access to it."""
        return self.route == "mesh" and not self.in_orbit

    @property
    def gateways(self) -> bool:
        """Whether that server is the stations, behind the mesh."""
        return self.access and self.server == "stations"

    def direction(self, way: Way) -> str:
        """Return the direction of a transfer that goes ``way``, as the transfers table has it."""
        if self.relay:
            return "isl"
        is_up = (way is Way.TO_SERVER) != self.in_orbit
        return "uplink" if is_up else "downlink"

    def toward(self, way: Way) -> str:
        """Return words for a ``way`` and its direction, like ``to the server (uplink)``."""
        receivers = "the server" if way is Way.TO_SERVER else "the clients"
        return f"to {receivers} ({DIRECTION_NAMES[self.direction(way)]})"


GROUND_CLIENTS = Topology()
SATELLITE_CLIENTS = Topology("satellites", "stations")
SATELLITE_SERVER = Topology("satellites", "satellite")
