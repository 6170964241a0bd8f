"""How much there will be of everything in a run, counted from its plan before it begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sim.build import Build

ROWS_A_SERVICE = 12
"""Rows that a device adds to the traces in one service: three transfers, and both ends of each of
them and of two trainings. Methods differ by a factor of two."""
GRID_POINTS = 1000
"""Most points of a device's link curve in one pass."""


@dataclass(frozen=True)
class Counts:
    """What a run is made of, up to its end.

    ``services`` are contacts that are served, ``device_services`` the same times their devices;
    ``rows`` is an estimate. ``end_s`` is when the run ends at the latest, seconds since its start.
    """

    satellites: int
    clusters: int
    devices: int
    largest_cluster: int
    contacts: int
    services: int
    device_services: int
    rows: int
    end_s: float


def counts_of(built: Build) -> Counts:
    """Count what a built scenario will come to; a stop at an accuracy may end it earlier."""
    plan, end_s = built.plan, end_of(built)
    served = [c for c in plan.contacts if c.served and c.start_s < end_s]
    device_services = sum(contact.cluster.devices for contact in served)
    sizes = [cluster.devices for cluster in plan.clusters]
    return Counts(
        satellites=len({contact.satellite for contact in plan.contacts}),
        clusters=len(sizes),
        devices=sum(sizes),
        largest_cluster=max(sizes),
        contacts=len(plan.contacts),
        services=len(served),
        device_services=device_services,
        rows=ROWS_A_SERVICE * device_services,
        end_s=end_s,
    )


def end_of(built: Build) -> float:
    """When the last cycle that is asked for is complete, or the plan ends: seconds."""
    cycles = built.scenario.stop.cycles
    if cycles is None or cycles > built.plan.cycles:
        return built.plan.stop_s
    ends: dict[str, dict[int, float]] = {cluster.name: {} for cluster in built.plan.clusters}
    for contact in built.plan.contacts:
        if contact.served:
            mine = ends[contact.cluster.name]
            mine[contact.session] = max(mine.get(contact.session, -np.inf), contact.end_s)
    last = max(sorted(sessions.values())[cycles - 1] for sessions in ends.values())
    return min(float(last), built.plan.stop_s)
