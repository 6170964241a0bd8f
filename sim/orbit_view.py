"""The view of a scenario with satellites: windows by SGP4, shared out by its rules."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

import orbit
from sim.finding import Find, Sought, find
from sim.ground import cluster_sites
from sim.satellites import satellites_of
from sim.view import View, served

if TYPE_CHECKING:
    from scenarios import Scenario


def view_of(scenario: Scenario, find: Find = find) -> View:
    """Return satellites, windows and service; raise InputError where the elements are wrong."""
    source: Any = scenario.orbit
    days = scenario.stop.days
    assert days is not None  # the schema asks for it on a real orbit
    satellites, sites = satellites_of(scenario), cluster_sites(scenario)
    start = scenario.start or max(satellite.epoch for satellite in satellites)
    end = start + timedelta(days=days)
    windows, failures = find(Sought(satellites, sites, start, end, source.min_elevation_deg))
    service, sessions = served(windows, source, _elevation(windows, satellites, sites, start))
    return View(
        satellite_names=[satellite.name for satellite in satellites],
        norad_ids=[satellite.norad_id or None for satellite in satellites],
        sites=[site.name for site in sites],
        start=start,
        span_s=(end - start).total_seconds(),  # datetimes have whole microseconds
        windows=windows,
        service=service,
        sessions=sessions,
        satellites=tuple(satellites),
        places=tuple(sites),
        min_elevation_deg=source.min_elevation_deg,
        doubts=(*orbit.doubts(satellites, start, end), *failures),
    )


def _elevation(
    windows: orbit.ContactWindows,
    satellites: list[orbit.Satellite],
    sites: list[orbit.Site],
    start: datetime,
) -> Callable[[int, float], float]:
    """Elevation of the satellite of a window over its site."""

    def elevation_deg(window: int, time_s: float) -> float:
        satellite, site = windows.satellite[window], windows.site[window]
        looks = orbit.look_angles(satellites[satellite], sites[site], start, np.array([time_s]))
        return float(looks.elevation_deg[0, 0])

    return elevation_deg
