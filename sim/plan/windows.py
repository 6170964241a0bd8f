"""Contact windows of every source: SGP4, slots, or a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

import orbit
import scenarios
from learning.requests.cluster import Floats
from sim.devices.faults import Before, outages_of
from sim.devices.sites import cluster_sites
from sim.errors import InputError
from sim.plan.satellites import chosen, satellites_of
from sim.plan.service import Look, View, cut, served

if TYPE_CHECKING:
    from scenarios import Scenario


# What contact windows are found from, and what comes of it.


Found = tuple[orbit.ContactWindows, tuple[str, ...]]
"""Windows, and a line about each satellite whose elements fail at times."""


@dataclass(frozen=True)
class Sought:
    """Windows of ``satellites`` over ``sites``, exact by SGP4, between two aware datetimes."""

    satellites: Sequence[orbit.Satellite]
    sites: Sequence[orbit.Site]
    start: datetime
    end: datetime
    min_elevation_deg: float


Find = Callable[[Sought], Found]


def find(sought: Sought) -> Found:
    """Find windows. Raises ElementError for elements that SGP4 cannot use at all."""
    failures: list[orbit.Failure] = []
    windows = orbit.contact_windows(
        sought.satellites,
        sought.sites,
        sought.start,
        sought.end,
        sought.min_elevation_deg,
        "sgp4",
        failures.append,
    )
    whole = next((failure for failure in failures if failure.whole), None)
    if whole is not None:
        raise orbit.ElementError(str(whole))
    return windows, tuple(map(str, failures))


def view_of_orbit(scenario: Scenario, find: Find = find, before: Before | None = None) -> View:
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


# The view of the EMS-FL paper's idealised cycle: a slot a cluster, then idle ones.


SLOTS_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""Start of a scenario in slots that names none: there is no orbit that could give one."""


SATELLITE = "slots"
"""What the one satellite is called."""


def view_of_slots(scenario: Scenario, before: Before | None = None) -> View:
    """Return when each slot is; every cluster is served once a cycle, a session each time.

    What an outage leaves of a slot, in pieces or whole, is one session.
    """
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
    windows, of = cut(passes, outages_of(scenario, [SATELLITE], span_s, before))
    return View(
        satellite_names=[SATELLITE],
        norad_ids=[None],
        sites=[cluster.name for cluster in clusters],
        start=scenario.start or SLOTS_EPOCH,
        span_s=span_s,
        windows=windows,
        service=orbit.serve(windows),
        sessions=of // len(clusters),
        passes=passes,
        of=of,
    )


# The view of ready contact windows: our own export, or another tool's.


@dataclass(frozen=True)
class _Satellite:
    """A satellite of the file: its name and place in the file's list."""

    name: str
    index: int
    norad_id: int = 0


def view_of_windows(scenario: Scenario, before: Before | None = None) -> View:
    """Return windows and service; raise InputError (or the room's error) for a bad file."""
    source: Any = scenario.orbit
    table = _table(scenario)
    names = [cluster.name for cluster in scenario.ground.clusters]
    found = [_Satellite(name, index) for index, name in enumerate(table.satellites)]
    kept = chosen(found, source.serving, source.satellite)
    windows = _renumbered(table, kept, names)
    days = scenario.stop.days
    span_s = float(windows.set_s.max(initial=0.0)) if days is None else days * 86400.0
    passes = _within(windows, span_s)
    if not len(passes):
        raise InputError(
            f"orbit: no window is left for the clusters {', '.join(names)} in the first "
            f"{span_s / 86400:g} days from {table.start:%Y-%m-%dT%H:%M:%SZ}; the sites there are "
            f"{', '.join(table.sites)}"
        )
    kept_names = [satellite.name for satellite in kept]
    windows, of = cut(passes, outages_of(scenario, kept_names, span_s, before))
    service, sessions = served(windows, source)
    return View(
        satellite_names=kept_names,
        norad_ids=[None] * len(kept),
        sites=names,
        start=table.start,
        span_s=span_s,
        windows=windows,
        service=service,
        sessions=sessions,
        passes=passes,
        of=of,
        doubts=tuple(_strangers(table, names)),
    )


def _table(scenario: Scenario) -> orbit.WindowFile:
    source: Any = scenario.orbit
    columns = source.columns.model_dump(exclude_none=True)
    if source.windows is not None:
        return orbit.parse_windows(source.windows, "orbit.windows", scenario.start, columns)
    return orbit.read_windows(scenarios.windows_file(scenario), scenario.start, columns)


def _strangers(table: orbit.WindowFile, names: list[str]) -> Iterator[str]:
    strangers = sorted(set(table.sites) - set(names))
    if strangers:
        yield f"windows of {', '.join(strangers)} are not used: no cluster is called so"


def _renumbered(
    table: orbit.WindowFile, kept: list[_Satellite], names: list[str]
) -> orbit.ContactWindows:
    """Windows of the satellites that serve and of the clusters, numbered as these are."""
    satellite = {column.index: number for number, column in enumerate(kept)}
    site = {table.sites.index(name): n for n, name in enumerate(names) if name in table.sites}
    windows = table.windows
    mine = [
        a in satellite and b in site
        for a, b in zip(windows.satellite.tolist(), windows.site.tolist(), strict=True)
    ]
    windows = windows.where(np.array(mine, bool))
    numbers = {
        "satellite": np.array([satellite[a] for a in windows.satellite.tolist()], np.int64),
        "site": np.array([site[b] for b in windows.site.tolist()], np.int64),
    }
    order = np.lexsort((numbers["site"], numbers["satellite"], windows.rise_s))
    columns = vars(windows) | numbers
    return orbit.ContactWindows(**{key: values[order] for key, values in columns.items()})


def _within(windows: orbit.ContactWindows, span_s: float) -> orbit.ContactWindows:
    """Windows that open before the end of the span, clipped there."""
    windows = windows.where(windows.rise_s < span_s)
    late = windows.set_s > span_s
    return replace(
        windows,
        set_s=np.minimum(windows.set_s, span_s),
        culminate_s=np.minimum(windows.culminate_s, span_s),
        clipped_end=windows.clipped_end | late,
    )
