"""Where bytes go: toward the server or a client, and in which direction by geometry.

A run speaks of the :class:`Way` of a transfer: who receives it. Tables, files and text name the
direction by geometry as well: ``uplink`` is from the ground to space, whoever is the client.
:class:`Topology` is the one place that knows how the two belong together.
"""

from __future__ import annotations

from enum import Enum, StrEnum

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


class Topology(Enum):
    """Where the clients are, and where their server is."""

    GROUND_CLIENTS = "clients on the ground, satellites as the server"
    SATELLITE_CLIENTS = "satellites as the clients, stations as the server"
    SATELLITE_SERVER = "satellites as the clients, another satellite as the server"

    def direction(self, way: Way) -> str:
        """Return the direction of a transfer that goes ``way``, as the transfers table has it."""
        return _DIRECTION[self, way]

    def toward(self, way: Way) -> str:
        """Return words for a ``way`` and its direction, like ``to the server (uplink)``."""
        receivers = "the server" if way is Way.TO_SERVER else "the clients"
        return f"to {receivers} ({DIRECTION_NAMES[self.direction(way)]})"

    @property
    def clients_fly(self) -> bool:
        """Whether satellites, or planes of them, are the clients."""
        return self is not Topology.GROUND_CLIENTS


_DIRECTION = {
    (Topology.GROUND_CLIENTS, Way.TO_SERVER): "uplink",
    (Topology.GROUND_CLIENTS, Way.TO_CLIENT): "downlink",
    (Topology.SATELLITE_CLIENTS, Way.TO_SERVER): "downlink",
    (Topology.SATELLITE_CLIENTS, Way.TO_CLIENT): "uplink",
    (Topology.SATELLITE_SERVER, Way.TO_SERVER): "isl",
    (Topology.SATELLITE_SERVER, Way.TO_CLIENT): "isl",
}
