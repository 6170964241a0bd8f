"""The view of a scenario with satellites: windows by SGP4, shared out by its rules."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

import orbit
from learning.requests.cluster import Floats
from sim.faults import Before, outages_of
from sim.faults.outages import Look, cut
from sim.finding import Find, Sought, find
from sim.ground import cluster_sites
from sim.satellites import satellites_of
from sim.view import View, served

if TYPE_CHECKING:
    from scenarios import Scenario


def view_of(scenario: Scenario, find: Find = find, before: Before | None = None) -> View:
    """Return satellites, windows and service; raise InputError where the elements are wrong."""
    source: Any = scenario.orbit
    days = scenario.stop.days
    assert days is not None  # the schema asks for it on a real orbit
    satellites, sites = satellites_of(scenario), cluster_sites(scenario)
    start = scenario.start or max(satellite.epoch for satellite in satellites)
    end = start + timedelta(days=days)
    passes, failures = find(Sought(satellites, sites, start, end, source.min_elevation_deg))
    names = [satellite.name for satellite in satellites]
    span_s = (end - start).total_seconds()  # datetimes have whole microseconds
    out = outages_of(scenario, names, span_s, before)
    windows, of = cut(passes, out, _look(passes, satellites, sites, start))
    service, sessions = served(windows, source, _elevation(windows, satellites, sites, start))
    return View(
        satellite_names=names,
        norad_ids=[satellite.norad_id or None for satellite in satellites],
        sites=[site.name for site in sites],
        start=start,
        span_s=span_s,
        windows=windows,
        service=service,
        sessions=sessions,
        passes=passes,
        of=of,
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
    look = _look(windows, satellites, sites, start)

    def elevation_deg(window: int, time_s: float) -> float:
        return float(look(window, np.array([time_s]))[0, 0])

    return elevation_deg


def _look(
    windows: orbit.ContactWindows,
    satellites: list[orbit.Satellite],
    sites: list[orbit.Site],
    start: datetime,
) -> Look:
    """How the satellite of a window is seen from its site."""

    def look(window: int, time_s: Floats) -> Floats:
        satellite, site = windows.satellite[window], windows.site[window]
        seen = orbit.look_angles(satellites[satellite], sites[site], start, time_s)
        ranges = seen.slant_range_km, seen.range_rate_km_s
        return np.stack([seen.elevation_deg, seen.azimuth_deg, *ranges])[:, :, 0]

    return look
