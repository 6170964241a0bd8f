"""Satellites and devices of a scenario as such, for checks that do not trust the links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orbit
from sim.plan.contacts import PlannedContact


@dataclass(frozen=True, eq=False)
class Sky:
    """Satellites by name, and sites by place: the devices of each cluster, or each station.

    A site's own mask wins over ``min_elevation_deg``.
    """

    start: datetime
    satellites: Mapping[str, orbit.Satellite]
    places: Mapping[str, Sequence[orbit.Site]]
    min_elevation_deg: float

    def ends(self, contact: PlannedContact) -> tuple[str, str]:
        """Return the names of the satellite and of the place of a contact."""
        if contact.member:  # a client
            return contact.member, contact.satellite
        return contact.satellite, contact.cluster.name
