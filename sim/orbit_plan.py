"""The contact plan on a real orbit: satellite, windows, service by its beams, links."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

import orbit
import scenarios
from channel import Link
from sim.errors import InputError
from sim.ground import cluster_sites, clusters_of, device_sites, scenario_links
from sim.links import contact_curve
from sim.plan import ContactLinks, Curves, Plan, PlannedContact

if TYPE_CHECKING:
    from scenarios import Scenario

GRID_S = 2.0
"""Spacing of a link curve's grid: its rate, linear in between, is then right to about 1e-5."""


@dataclass(frozen=True, eq=False)
class View:
    """What a scenario's satellite sees of its clusters over the scenario's span."""

    satellite: orbit.Satellite
    sites: list[orbit.Site]
    start: datetime
    days: float
    min_elevation_deg: float
    beams: int
    windows: orbit.ContactWindows
    elements_epoch: datetime | None

    @property
    def end(self) -> datetime:
        """End of the span."""
        return self.start + timedelta(days=self.days)

    @property
    def span_s(self) -> float:
        """Length of the span in seconds."""
        return self.days * 86400.0


def view_of(scenario: Scenario) -> View:
    """Return satellite and windows of a scenario on a real orbit."""
    source, days = scenario.orbit, scenario.stop.days
    assert source.source != "slots"  # callers have turned to slots_plan for those
    assert days is not None  # the schema asks for it on a real orbit
    satellite, sites = satellite_of(scenario), cluster_sites(scenario)
    start, mask = scenario.start or satellite.epoch, source.min_elevation_deg
    end = start + timedelta(days=days)
    windows = orbit.contact_windows([satellite], sites, start, end, mask, refine="sgp4")
    epoch = satellite.epoch if source.source == "tle" else None
    return View(satellite, sites, start, days, mask, source.beams, windows, epoch)


def satellite_of(scenario: Scenario) -> orbit.Satellite:
    """Return the satellite that serves; raise InputError where the elements are wrong."""
    source = scenario.orbit
    assert source.source != "slots"  # callers ask for a satellite of a real orbit only
    if source.source == "circular":
        assert scenario.start is not None  # the schema asks for it: there is no epoch
        return orbit.circular_satellite(
            "circular",
            source.altitude_km,
            source.inclination_deg,
            source.raan_deg,
            source.argument_of_latitude_deg,
            scenario.start,
        )
    if source.elements is not None:
        found = orbit.parse_tle(source.elements, "orbit.elements", source.checksum)
    else:
        found = orbit.read_satellites(scenarios.element_file(scenario), source.checksum)
    return _chosen(found, source.satellite)


def _chosen(found: list[orbit.Satellite], wanted: str | None) -> orbit.Satellite:
    names = ", ".join(f"{s.name} ({s.norad_id})" for s in found[:5])
    names += f" and {len(found) - 5} more" if len(found) > 5 else ""
    if wanted is None:
        if len(found) == 1:
            return found[0]
        raise InputError(f"orbit.satellite: name one of the {len(found)} satellites: {names}")
    for satellite in found:
        if wanted in (satellite.name, str(satellite.norad_id)):
            return satellite
    raise InputError(f"orbit.satellite: no {wanted!r} in the element file, which has {names}")


def orbit_plan(scenario: Scenario) -> Plan:
    """Return the plan; raise InputError for a cluster that is never seen or never served."""
    view, clusters = view_of(scenario), clusters_of(scenario)
    service = orbit.serve(view.windows, view.beams)
    _check_served(view, service)
    both = scenario_links(scenario)
    places = [device_sites(scenario, index) for index in range(len(clusters))]
    sessions = _sessions(view.windows.site, service.served)
    contacts = []
    for number in range(len(view.windows)):
        cluster = clusters[view.windows.site[number]]
        span = float(view.windows.rise_s[number]), float(view.windows.set_s[number])
        contacts.append(
            PlannedContact(
                contact_id=number,
                session=sessions[number],
                satellite=view.satellite.name,
                norad_id=view.satellite.norad_id or None,
                cluster=cluster,
                rise_s=span[0],
                culminate_s=float(view.windows.culminate_s[number]),
                set_s=span[1],
                max_elevation_deg=float(view.windows.max_elevation_deg[number]),
                min_slant_range_km=float(view.windows.min_slant_range_km[number]),
                served=bool(service.served[number]),
                start_s=float(service.start_s[number]),
                end_s=float(service.end_s[number]),
                links=ContactLinks(partial(_curves, view, places[cluster.index], span, both)),
            )
        )
    return Plan(view.start, view.span_s, clusters, tuple(contacts), view.elements_epoch)


def _curves(
    view: View,
    devices: tuple[orbit.Site, ...],
    span: tuple[float, float],
    both: tuple[Link, Link | None],
) -> Curves:
    geometry = orbit.contact_geometry(
        view.satellite, devices, view.start, *span, view.min_elevation_deg, GRID_S
    )
    uplink, downlink = both
    down = None if downlink is None else contact_curve(downlink, geometry)
    return contact_curve(uplink, geometry), down


def _sessions(site: np.ndarray, served: np.ndarray) -> list[int]:
    """Number the contacts of each site; with one satellite a session is one served contact."""
    counts = {int(s): 0 for s in np.unique(site)}
    numbers = []
    for s, is_served in zip(site.tolist(), served.tolist(), strict=True):
        numbers.append(counts[s])
        counts[s] += is_served
    return numbers


def _check_served(view: View, service: orbit.Service) -> None:
    gaps = orbit.longest_gap_s(view.windows, len(view.sites), view.span_s)
    for index, site in enumerate(view.sites):
        here = view.windows.site == index
        gap = f"longest gap {gaps[index] / 3600:.1f} h"
        if not here.any():
            raise InputError(
                f"ground.clusters {site.name!r}: the satellite never rises above "
                f"{view.min_elevation_deg:g} deg there in {view.days:g} days ({gap}); "
                "lower orbit.min_elevation_deg, simulate longer, or move the cluster"
            )
        if not service.served[here].any():
            raise InputError(
                f"ground.clusters {site.name!r}: seen {int(here.sum())} times, but the "
                f"satellite's {view.beams} beam(s) always serve another cluster ({gap}); "
                "raise orbit.beams"
            )
