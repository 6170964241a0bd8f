"""`roles:` - who holds the data, and who the server's model."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from scenarios.errors import Problem
from scenarios.faults import Faults
from scenarios.ground import Compute, Ground
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
    if roles.stations_serve != (roles.clients != "devices"):
        text = f"got {roles.clients!r}; the clients of server 'stations' are 'satellites' or "
        yield Problem(("roles", "clients"), f"{text}'planes', and those of satellites 'devices'")
        return
    if roles.stations_serve:
        yield from _stations_serve(roles, orbit, ground, link)
        return
    if not ground.clusters:
        text = "is missing; list the clusters of devices"
        yield Problem(("ground", "clusters"), text)
    for key in ("stations", "stations_path", "stations_used"):
        if getattr(ground, key) is not None:
            text = f"is not used with roles.server {roles.server!r}; set roles.server: stations"
            yield Problem(("ground", key), f"{text} and roles.clients: satellites")
    if roles.server_satellite is not None and getattr(orbit, "satellite", None) is not None:
        text = f"cannot be combined with roles.server {roles.server!r}; remove one of the two"
        yield Problem(("orbit", "satellite"), text)


def battery_problems(
    roles: Roles, compute: Compute, faults: Faults, geometry: bool
) -> Iterator[Problem]:
    """Yield what a battery lacks, with paths from the scenario's top."""
    battery, path = compute.battery, ("compute", "battery")
    if battery is None:
        return
    if not (roles.clients == "satellites" and geometry):
        text = "is of satellites that are clients on an orbit; set roles.clients: satellites"
        yield Problem(path, f"{text}, or remove it")
    if compute.overridden_by(None).power_w is None:
        yield Problem(("compute", "power_w"), "is missing; compute.battery needs it, in W")
    if faults.churn is not None:
        text = "cannot be combined with compute.battery, which says when satellites compute; "
        yield Problem(("faults", "churn"), f"{text}remove one of the two")
    if battery.charge_w <= battery.idle_w:
        text = f"got {battery.charge_w:g}; never charges the battery: give more than idle_w, "
        yield Problem((*path, "charge_w"), f"{text}{battery.idle_w:g}")


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
