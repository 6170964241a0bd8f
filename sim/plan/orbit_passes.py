"""Passes of satellites over clusters or stations by their orbits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orbit
from scenarios import Scenario
from sim.devices.satellites import satellites_of
from sim.devices.sites import ground_sites
from sim.plan.passes import Passes
from sim.plan.windows import Find, WindowQuery


@dataclass(frozen=True, eq=False)
class OrbitPasses:
    """Passes by SGP4 or secular J2; ``find`` looks for their windows."""

    scenario: Scenario
    find: Find

    def passes(self) -> Passes:
        """Return satellites and windows; raise InputError where the elements are wrong."""
        source: Any = self.scenario.orbit
        days = self.scenario.stop.days
        assert days is not None  # the schema asks for it on a real orbit
        satellites = satellites_of(self.scenario)
        sites = ground_sites(self.scenario)
        start = self.scenario.start or max(satellite.epoch for satellite in satellites)
        end = start + timedelta(days=days)
        mask_deg = source.min_elevation_deg
        windows, failures = self.find(WindowQuery(satellites, sites, start, end, mask_deg))
        return Passes(
            servers=[satellite.name for satellite in satellites],
            norad_ids=[satellite.norad_id or None for satellite in satellites],
            clients=[site.name for site in sites],
            start=start,
            span_s=(end - start).total_seconds(),  # datetimes have whole microseconds
            passes=windows,
            satellites=tuple(satellites),
            places=tuple(sites),
            min_elevation_deg=mask_deg,
            doubts=(*orbit.doubts(satellites, start, end), *failures),
        )
