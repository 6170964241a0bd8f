"""Who serves whom, over what, and in which direction bytes go between them by geometry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from sim.facts.directions import Way

T = TypeVar("T")


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
    def mesh(self) -> bool:
        """Whether what clients and server send each other takes links between satellites."""
        return self.route == "mesh"

    @property
    def over_mesh(self) -> bool:
        """Whether the clients themselves are nodes of the mesh."""
        return self.mesh and self.client == "satellite"

    @property
    def access(self) -> bool:
        """Whether devices reach their server over the mesh: satellites give them access to it."""
        return self.mesh and self.client == "cluster"

    @property
    def client(self) -> str:
        """The kind of a client, as tables and sentences call it."""
        return "cluster" if self.clients == "devices" else "satellite"

    @property
    def grounded(self) -> str:
        """The kind of what satellites fly over, or of the satellite that serves the others."""
        if self.client == "cluster":
            return "cluster"
        return "relay" if self.server == "satellite" else "station"

    @property
    def clients_key(self) -> str:
        """The key of a scenario that says who the clients are."""
        return "ground.clusters" if self.client == "cluster" else "roles.clients"

    @property
    def service_key(self) -> str:
        """The key of a scenario that says how many clients a server serves at a time."""
        if self.grounded == "relay":
            return "link.isl.terminals"
        return "orbit.beams" if self.client == "cluster" else "ground.antennas"

    @property
    def directions(self) -> tuple[str, str]:
        """The directions of transfers to the server, and to the clients."""
        return self.direction(Way.TO_SERVER), self.direction(Way.TO_CLIENT)

    def direction(self, way: Way) -> str:
        """Return the direction of a transfer that goes ``way``, as the transfers table has it."""
        if self.grounded == "relay":
            return "isl"
        is_up = (way is Way.TO_SERVER) == (self.client == "cluster")
        return "uplink" if is_up else "downlink"

    def client_and_server(self, flying: T, grounded: T) -> tuple[T, T]:
        """Tell what belongs to the client of a contact from what belongs to its server."""
        return (grounded, flying) if self.grounded == "cluster" else (flying, grounded)

    def is_down(self, way: Way) -> bool:
        """Whether bits go down: to the ground, or from a satellite that serves others to these."""
        return (way is Way.TO_SERVER) == (self.grounded == "station")
