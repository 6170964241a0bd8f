"""Whether a plan fits into memory, by its expected number of contacts."""

from __future__ import annotations

import numpy as np

from learning.hardware import free_bytes
from sim.errors import InputError
from sim.formatting import data_size
from sim.world.world import World
from statements import Code, Statement

CONTACT_BYTES = 3e3
"""Memory of a planned contact."""
WINDOW_BYTES = 250.0
"""Memory of a window before it is planned."""
DEVICE_BYTES = 1e3
"""Memory of a device's place."""
PASSES_A_DAY = 5
"""Passes of a satellite in a low orbit over a place, about."""


def check_plan(world: World, contact_bytes: float) -> None:
    """Raise InputError for a scenario whose contacts and devices do not fit into free memory.

    ``contact_bytes`` is the memory of each contact. The check precedes the search for contacts.
    """
    free = free_bytes("cpu")
    contacts, figures = _expected_contacts(world)
    devices = sum(cluster.devices or 0 for cluster in world.ground.clusters)
    needed = contact_bytes * contacts + DEVICE_BYTES * devices
    if free is not None and needed > free:
        raise InputError(
            Statement.of(
                Code.NO_MEMORY,
                "",
                "the plan of about {contacts:.3g} contacts ({figures}) and {devices} devices needs "
                f"{data_size(needed)} of memory and {data_size(free)} are free: simulate fewer "
                "cycles or days, satellites or devices",
                contacts=contacts,
                figures=figures,
                devices=devices,
                needed_bytes=needed,
                free_bytes=free,
            )
        )


def _expected_contacts(world: World) -> tuple[float, str]:
    """Return about how many contacts a scenario has, and the factors of that in words."""
    orbit = world.orbit
    stop = world.stop
    ground = world.ground
    clusters = len(ground.clusters or ground.stations or ())
    if world.link.feeder is not None:
        clusters += len(ground.stations or ())
    if (slots := world.slots) is not None:
        by_days = np.inf if stop.days is None else stop.days * 86400 / slots.cycles_s(1)
        cycles = min(by_days, np.inf if stop.cycles is None else stop.cycles)
        return cycles * clusters, f"{cycles:.3g} cycles of {clusters}"
    if not orbit.has_geometry:
        return 0.0, "of a file"
    satellites = orbit.satellites_used if orbit.source == "walker" else 1
    days = stop.days or 0.0
    kind = "clusters" if ground.clusters else "stations"
    kind = "clusters and stations" if world.link.feeder is not None else kind
    figures = f"{satellites} satellites over {clusters} {kind}, {days:g} days"
    return PASSES_A_DAY * satellites * clusters * days, figures
