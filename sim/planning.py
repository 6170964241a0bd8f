"""The contact plan of a scenario: its view, and the links of every contact."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import orbit
from channel import Link
from learning.method import Cluster
from sim.ground import clusters_of, device_sites, scenario_links
from sim.links import contact_curve, slot_curve
from sim.plan import Plan
from sim.planned_contact import ContactLinks, Curves, PlannedContact
from sim.sources import view_of
from sim.view import View, check_served

if TYPE_CHECKING:
    from scenarios import Scenario

GRID_S = 2.0
"""Spacing of a link curve's grid: its rate, linear in between, is then right to about 1e-5."""
GRID_POINTS = 2000
"""Points that a contact of more than about an hour has: a high orbit changes that much slower."""

Links = tuple[Link, Link | None]


def make_plan(scenario: Scenario) -> Plan:
    """Return the plan; raise InputError for a cluster that is never seen or never served."""
    view, clusters = view_of(scenario), clusters_of(scenario)
    if scenario.orbit.source != "slots":
        check_served(view, scenario.orbit)
    both = scenario_links(scenario)
    places = [device_sites(scenario, c.index) if view.places else () for c in clusters]
    contacts = []
    for number in range(len(view.windows)):
        cluster = clusters[view.windows.site[number]]
        if view.places:
            make = partial(_orbit_curves, view, number, places[cluster.index], both)
        else:
            make = partial(_bare_curves, view, number, cluster.devices, both)
        contacts.append(_contact(view, number, cluster, make))
    source = scenario.orbit
    return Plan(
        view.start,
        view.span_s,
        clusters,
        tuple(contacts),
        view.doubts,
        sync_delay_s=getattr(source, "sync_delay_s", None) or 0.0,
        constellation=getattr(source, "serving", "single") == "any",
    )


def _contact(
    view: View, number: int, cluster: Cluster, make: Callable[[], Curves]
) -> PlannedContact:
    windows, service = view.windows, view.service
    satellite = windows.satellite[number]
    return PlannedContact(
        contact_id=number,
        session=int(view.sessions[number]),
        satellite=view.satellite_names[satellite],
        norad_id=view.norad_ids[satellite],
        cluster=cluster,
        rise_s=float(windows.rise_s[number]),
        culminate_s=float(windows.culminate_s[number]),
        set_s=float(windows.set_s[number]),
        max_elevation_deg=float(windows.max_elevation_deg[number]),
        min_slant_range_km=float(windows.min_slant_range_km[number]),
        served=bool(service.served[number]),
        start_s=float(service.start_s[number]),
        end_s=float(service.end_s[number]),
        links=ContactLinks(make, float(service.start_s[number]), float(service.end_s[number])),
        wait_from_s=float(service.wait_from_s[number]),
    )


def _span_s(view: View, number: int) -> tuple[float, float]:
    return float(view.windows.rise_s[number]), float(view.windows.set_s[number])


def _orbit_curves(view: View, number: int, devices: tuple[orbit.Site, ...], both: Links) -> Curves:
    """Links of devices from their own AOS to their own LOS."""
    rise_s, set_s = _span_s(view, number)
    geometry = orbit.contact_geometry(
        view.satellites[view.windows.satellite[number]],
        devices,
        view.start,
        rise_s,
        set_s,
        view.min_elevation_deg,
        max(GRID_S, (set_s - rise_s) / GRID_POINTS),
    )
    uplink, downlink = both
    down = None if downlink is None else contact_curve(downlink, geometry)
    return contact_curve(uplink, geometry), down


def _bare_curves(view: View, number: int, devices: int, both: Links) -> Curves:
    """Links without geometry: one rate from rise to set."""
    uplink, downlink = both
    span_s = _span_s(view, number)
    down = None if downlink is None else slot_curve(downlink, devices, *span_s)
    return slot_curve(uplink, devices, *span_s), down
