"""Contact windows of every source: SGP4, slots, or a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

import orbit
from scenarios import Scenario
from sim.devices.satellites import (
    SatelliteOfFile,
    flying_of,
    satellites_of,
    satellites_of_file,
    windows_of,
)
from sim.devices.sites import ground_nodes, ground_sites
from sim.errors import InputError
from sim.plan.isl import find_isls
from sim.plan.service import Passes

# Windows by SGP4.


Windows = tuple[orbit.ContactWindows, tuple[str, ...]]
"""Windows, and a line about each satellite whose elements fail at times."""


@dataclass(frozen=True)
class WindowQuery:
    """Windows of ``satellites`` over ``sites``, exact by SGP4, between two aware datetimes."""

    satellites: Sequence[orbit.Satellite]
    sites: Sequence[orbit.Site]
    start: datetime
    end: datetime
    min_elevation_deg: float


Find = Callable[[WindowQuery], Windows]


def find_windows(query: WindowQuery) -> Windows:
    """Find windows. Raises ElementError for elements that SGP4 cannot use at all."""
    failures: list[orbit.Failure] = []
    limits = query.start, query.end, query.min_elevation_deg
    windows = orbit.contact_windows(query.satellites, query.sites, *limits, "sgp4", failures.append)
    whole = next((failure for failure in failures if failure.whole), None)
    if whole is not None:
        raise orbit.ElementError(str(whole))
    return windows, tuple(map(str, failures))


def passes_of_orbit(scenario: Scenario, find: Find) -> Passes:
    """Return satellites and windows by SGP4; raise InputError where the elements are wrong."""
    source: Any = scenario.orbit
    days = scenario.stop.days
    assert days is not None  # the schema asks for it on a real orbit
    satellites, sites = satellites_of(scenario), ground_sites(scenario)
    start = scenario.start or max(satellite.epoch for satellite in satellites)
    end = start + timedelta(days=days)
    passes, failures = find(WindowQuery(satellites, sites, start, end, source.min_elevation_deg))
    return Passes(
        servers=[satellite.name for satellite in satellites],
        norad_ids=[satellite.norad_id or None for satellite in satellites],
        clients=[site.name for site in sites],
        start=start,
        span_s=(end - start).total_seconds(),  # datetimes have whole microseconds
        passes=passes,
        satellites=tuple(satellites),
        places=tuple(sites),
        min_elevation_deg=source.min_elevation_deg,
        doubts=(*orbit.doubts(satellites, start, end), *failures),
    )


def passes_of_relay(scenario: Scenario, find: Find) -> Passes:
    """Return when satellites see the one that serves them, which has the place of a site.

    Links that are acquired open so much later. Raises InputError as `find_isls`.
    """
    isl, days = scenario.link.isl, scenario.stop.days
    assert isl is not None  # the schema asks for both
    assert days is not None
    *satellites, server = flying = flying_of(scenario)
    last = len(satellites)
    start = scenario.start or max(satellite.epoch for satellite in flying)
    pairs = np.array([(n, last) for n in range(last)])
    found = find_isls(scenario, isl, start, days * 86400.0, pairs)
    rise_s = found.start_s + np.where(found.clipped_start, 0.0, isl.acquisition_s)
    kept = np.flatnonzero(rise_s < found.end_s)
    kept = kept[np.lexsort((found.a[kept], rise_s[kept]))]
    passes = orbit.bare_windows(
        satellite=found.a[kept],
        site=np.zeros(len(kept), np.int64),
        rise_s=rise_s[kept],
        culminate_s=(rise_s[kept] + found.end_s[kept]) / 2,
        set_s=found.end_s[kept],
        min_slant_range_km=found.min_range_km[kept],
        clipped_start=found.clipped_start[kept],
        clipped_end=found.clipped_end[kept],
    )
    return Passes(
        servers=[satellite.name for satellite in satellites],
        norad_ids=[satellite.norad_id or None for satellite in satellites],
        clients=[server.name],
        start=start,
        span_s=days * 86400.0,
        passes=passes,
        satellites=tuple(satellites),
        doubts=tuple(orbit.doubts(flying, start, start + timedelta(days=days))),
    )


# The EMS-FL paper's idealised cycle: one slot for each cluster, then idle ones.


SLOTS_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""Start of a scenario in slots that names none: there is no orbit that could give one."""
SATELLITE = "slots"
"""What the one satellite is called."""


def passes_of_slots(scenario: Scenario, find: Find) -> Passes:
    """Return when each slot is."""
    source, cycles = scenario.orbit, scenario.stop.cycles
    assert source.source == "slots"  # callers have turned to others for the rest
    assert cycles is not None  # the schema asks for it in slots
    slots, clusters = source.slots, scenario.ground.clusters
    passes = orbit.slot_windows(len(clusters), slots.seconds, slots.idle, cycles)
    span_s = cycles * (len(clusters) + slots.idle) * slots.seconds
    if scenario.stop.days is not None:
        span_s = min(span_s, scenario.stop.days * 86400.0)
        passes = passes.where(passes.set_s <= span_s)
        if not len(passes):
            raise InputError(f"stop.days: {span_s / 86400:g} days do not hold a single slot")
    names = [cluster.name for cluster in clusters]
    return Passes([SATELLITE], [None], names, scenario.start or SLOTS_EPOCH, span_s, passes)


# Ready contact windows: our own export, or another tool's.


def passes_of_file(scenario: Scenario, find: Find) -> Passes:
    """Return the windows of a file; raise InputError (or the error of ``orbit``) for a bad one."""
    table, serve = windows_of(scenario), scenario.roles.satellites_learn
    names = [node.name for node in ground_nodes(scenario)]
    kept = satellites_of_file(table, scenario)
    windows = _renumbered(table, kept, names)
    days = scenario.stop.days
    span_s = float(windows.set_s.max(initial=0.0)) if days is None else days * 86400.0
    passes, kind = windows.where(windows.rise_s < span_s), "station" if serve else "cluster"
    if not len(passes):
        raise InputError(
            f"orbit: no window is left for the {kind}s {', '.join(names)} in the first "
            f"{span_s / 86400:g} days from {table.start:%Y-%m-%dT%H:%M:%SZ}; the sites there are "
            f"{', '.join(table.sites)}"
        )
    passes = replace(
        passes,
        set_s=np.minimum(passes.set_s, span_s),
        culminate_s=np.minimum(passes.culminate_s, span_s),
        clipped_end=passes.clipped_end | (passes.set_s > span_s),
    )
    others = ", ".join(sorted(set(table.sites) - set(names)))
    return Passes(
        [satellite.name for satellite in kept],
        [None] * len(kept),
        names,
        table.start,
        span_s,
        passes,
        doubts=(f"windows of {others} are not used: no {kind} is called so",) if others else (),
    )


def _renumbered(
    table: orbit.WindowFile, kept: Sequence[SatelliteOfFile], names: list[str]
) -> orbit.ContactWindows:
    """Windows of the satellites that serve and of the clusters, numbered as these are."""
    number = np.full(len(table.satellites), -1)
    number[[satellite.index for satellite in kept]] = np.arange(len(kept))
    place = {name: place for place, name in enumerate(names)}
    sites = np.array([place.get(name, -1) for name in table.sites], np.int64)
    satellite, site = number[table.windows.satellite], sites[table.windows.site]
    windows = replace(table.windows, satellite=satellite, site=site)
    windows = windows.where((satellite >= 0) & (site >= 0))
    return windows.where(np.lexsort((windows.site, windows.satellite, windows.rise_s)))
