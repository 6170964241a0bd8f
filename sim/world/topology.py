"""Who the clients and the server are, and in which direction bytes go between them by geometry."""

from __future__ import annotations

from dataclasses import dataclass

from sim.facts.directions import DIRECTION_NAMES, Way


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
