"""`roles:` - who holds the data, and who the server's model."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from scenarios.errors import Problem
from scenarios.ground import Ground
from scenarios.link import Link
from scenarios.link_rules import link_directions
from scenarios.section import Section, setting

if TYPE_CHECKING:
    from scenarios.orbit import Orbit

ONE = "satellite:"
"""What stands before the name of the one satellite that is the server."""


class Roles(Section):
    """Who the server is and who the clients are; a server of several nodes has one model."""

    server: Annotated[str, Field(pattern=rf"^(satellites|stations|{ONE}.+)$")] = setting(
        "satellites", "who holds the model: satellites, stations or satellite:NAME"
    )
    clients: Literal["devices", "satellites", "planes"] = setting(
        "devices", "who holds the data; planes: the satellites of each are one client"
    )

    def problems(self) -> Iterator[Problem]:
        """Clients that the server cannot have."""
        if self.stations_serve != (self.clients != "devices"):
            text = f"got {self.clients!r}; the clients of server 'stations' are 'satellites' or "
            yield Problem(("clients",), f"{text}'planes', and those of satellites 'devices'")

    @property
    def stations_serve(self) -> bool:
        """Tell whether stations are the server, and satellites or their planes the clients."""
        return self.server == "stations"

    @property
    def server_satellite(self) -> str | None:
        """The one satellite that is the server, if one is named."""
        return self.server.removeprefix(ONE) if self.server.startswith(ONE) else None


def roles_problems(roles: Roles, orbit: "Orbit", ground: Ground, link: Link) -> Iterator[Problem]:
    """Yield what does not fit together, with paths from the scenario's top."""
    if roles.stations_serve:
        yield from _stations_serve(roles, orbit, ground, link)
        return
    if not ground.clusters:
        yield Problem(("ground", "clusters"), "is missing; list the clusters of devices")
    for key in ("stations", "stations_path", "stations_used"):
        if getattr(ground, key) is not None:
            text = f"is not used with roles.server {roles.server!r}; set roles.server: stations"
            yield Problem(("ground", key), f"{text} and roles.clients: satellites")
    if roles.server_satellite is not None and getattr(orbit, "satellite", None) is not None:
        text = f"cannot be combined with roles.server {roles.server!r}; remove one of the two"
        yield Problem(("orbit", "satellite"), text)


def _stations_serve(roles: Roles, orbit: "Orbit", ground: Ground, link: Link) -> Iterator[Problem]:
    source, unused = orbit.source, f"is not used with roles.clients {roles.clients!r}; "
    if source == "slots":
        text = f"got {source!r}, which has no satellites that could be clients"
        yield Problem(("orbit", "source"), f"{text}; use another source, like walker")
    if source == "contacts" and roles.clients == "planes":
        text = "got 'planes', which windows of a file do not tell; use another orbit.source"
        yield Problem(("roles", "clients"), f"{text}, or set satellites")
    if (ground.stations is None) == (ground.stations_path is None):
        text = "is missing; roles.server 'stations' needs it, or ground.stations_path (not both)"
        yield Problem(("ground", "stations"), text)
    if ground.clusters:
        text = f"{unused}remove it, or list the places as ground.stations"
        yield Problem(("ground", "clusters"), text)
    if ground.stations is not None and (ground.stations_used or 0) > len(ground.stations):
        text = f"got {ground.stations_used}; there are {len(ground.stations)} stations"
        yield Problem(("ground", "stations_used"), text)
    if getattr(orbit, "beams", 1) != 1:
        yield Problem(("orbit", "beams"), f"{unused}set ground.antennas")
    if link.sidelink is not None:
        yield Problem(("link", "sidelink"), f"{unused}remove it")
    if "downlink" not in link_directions(link, source, orbit.has_geometry):
        text = "is neglected, but carries the updates of clients in orbit; give its keys, like "
        yield Problem(("link", "downlink"), text + "{rate: fixed, fixed_rate_mbps: 10}")
