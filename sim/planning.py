"""From a scenario to its contact plan: satellite, windows, service and links."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

import orbit
import scenarios
from channel import Link
from learning import stream
from learning.method import Cluster
from sim.errors import InputError
from sim.links import check_sub_channels, contact_curve, si_link, slot_curve
from sim.plan import Plan, PlannedContact

if TYPE_CHECKING:
    from scenarios import Scenario

GRID_S = 2.0
"""Spacing of a link curve's grid: its rate, linear in between, is then right to about 1e-5."""

SLOTS_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""Start of a scenario in slots that names none: there is no orbit that could give one."""


def make_plan(scenario: Scenario) -> Plan:
    """Return the contact plan; raise InputError for a cluster that is never served."""
    if scenario.orbit.source == "slots":
        return _slots_plan(scenario)
    return _orbit_plan(scenario)


def clusters_of(scenario: Scenario) -> tuple[Cluster, ...]:
    """Clusters in canonical order (by name, as the scenario was loaded)."""
    named = enumerate(scenario.ground.clusters)
    return tuple(Cluster(cluster.name, index, cluster.devices) for index, cluster in named)


def cluster_sites(scenario: Scenario) -> list[orbit.Site]:
    """Centres of the clusters."""
    return [
        orbit.Site(c.name, c.latitude_deg, c.longitude_deg, c.altitude_m)
        for c in scenario.ground.clusters
    ]


def satellite_of(scenario: Scenario) -> orbit.Satellite:
    """Return the satellite that serves; raise InputError where the elements are wrong."""
    source = scenario.orbit
    if source.source == "circular":
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


def scenario_links(scenario: Scenario) -> tuple[Link, Link | None]:
    """Return uplink and downlink in SI units; None for a neglected downlink."""
    values = scenarios.resolved_link(scenario)
    mask = getattr(scenario.orbit, "min_elevation_deg", 0.0)
    for cluster in scenario.ground.clusters:
        check_sub_channels(values["uplink"], cluster.name, cluster.devices)
    down = values["downlink"]
    downlink = None if isinstance(down, str) else si_link(down, mask)
    return si_link(values["uplink"], mask), downlink


def _orbit_plan(scenario: Scenario) -> Plan:
    satellite = satellite_of(scenario)
    start = scenario.start or satellite.epoch
    days, mask = scenario.stop.days, scenario.orbit.min_elevation_deg
    stop_s = days * 86400.0
    end = start + (datetime.fromtimestamp(stop_s, UTC) - datetime.fromtimestamp(0, UTC))
    sites = cluster_sites(scenario)
    windows = orbit.contact_windows([satellite], sites, start, end, mask, refine="sgp4")
    service = orbit.serve(windows, scenario.orbit.beams)
    clusters = clusters_of(scenario)
    _check_served(scenario, windows, service, stop_s)
    places = [_places(scenario, index) for index in range(len(clusters))]
    uplink, downlink = scenario_links(scenario)
    sessions = _sessions(windows.site, service.served)
    contacts = []
    for number in range(len(windows)):
        cluster = clusters[windows.site[number]]
        rise_s, set_s = float(windows.rise_s[number]), float(windows.set_s[number])
        geometry = orbit.contact_geometry(
            satellite, places[cluster.index], start, rise_s, set_s, mask, GRID_S
        )
        contacts.append(
            PlannedContact(
                contact_id=number,
                session=sessions[number],
                satellite=satellite.name,
                norad_id=satellite.norad_id or None,
                cluster=cluster,
                rise_s=rise_s,
                culminate_s=float(windows.culminate_s[number]),
                set_s=set_s,
                max_elevation_deg=float(windows.max_elevation_deg[number]),
                min_slant_range_km=float(windows.min_slant_range_km[number]),
                served=bool(service.served[number]),
                start_s=float(service.start_s[number]),
                end_s=float(service.end_s[number]),
                uplink=contact_curve(uplink, geometry),
                downlink=None if downlink is None else contact_curve(downlink, geometry),
            )
        )
    return Plan(start, stop_s, clusters, tuple(contacts))


def _slots_plan(scenario: Scenario) -> Plan:
    clusters, slots = clusters_of(scenario), scenario.orbit.slots
    cycles = scenario.stop.cycles
    windows = orbit.slot_windows(len(clusters), slots.seconds, slots.idle, cycles)
    uplink, downlink = scenario_links(scenario)
    contacts = []
    for number in range(len(windows)):
        cluster = clusters[windows.site[number]]
        span = float(windows.rise_s[number]), float(windows.set_s[number])
        contacts.append(
            PlannedContact(
                contact_id=number,
                session=number // len(clusters),
                satellite="slots",
                norad_id=None,
                cluster=cluster,
                rise_s=span[0],
                culminate_s=float(windows.culminate_s[number]),
                set_s=span[1],
                max_elevation_deg=float(windows.max_elevation_deg[number]),
                min_slant_range_km=float(windows.min_slant_range_km[number]),
                served=True,
                start_s=span[0],
                end_s=span[1],
                uplink=slot_curve(uplink, cluster.devices, *span),
                downlink=None
                if downlink is None
                else slot_curve(downlink, cluster.devices, *span),
            )
        )
    stop_s = cycles * (len(clusters) + slots.idle) * slots.seconds
    start = scenario.start or SLOTS_EPOCH
    return Plan(start, stop_s, clusters, tuple(contacts), slot_s=slots.seconds)


def _places(scenario: Scenario, index: int) -> tuple[orbit.Site, ...]:
    """Where the devices of a cluster are, from a random stream of the cluster's own name."""
    cluster = scenario.ground.clusters[index]
    centre = cluster_sites(scenario)[index]
    generator = stream(scenario.seed, "place", cluster.name)
    return orbit.place_devices(centre, cluster.devices, cluster.radius_km, generator)


def _sessions(site: np.ndarray, served: np.ndarray) -> list[int]:
    """Number the contacts of each site; with one satellite a session is one served contact."""
    counts = {int(s): 0 for s in np.unique(site)}
    numbers = []
    for s, is_served in zip(site.tolist(), served.tolist(), strict=True):
        numbers.append(counts[s])
        counts[s] += is_served
    return numbers


def _check_served(
    scenario: Scenario, windows: orbit.ContactWindows, service: orbit.Service, span_s: float
) -> None:
    gaps = orbit.longest_gap_s(windows, len(scenario.ground.clusters), span_s)
    for index, cluster in enumerate(scenario.ground.clusters):
        here = windows.site == index
        gap = f"longest gap {gaps[index] / 3600:.1f} h"
        if not here.any():
            raise InputError(
                f"ground.clusters {cluster.name!r}: the satellite never rises above "
                f"{scenario.orbit.min_elevation_deg:g} deg there in {scenario.stop.days:g} days "
                f"({gap}); lower orbit.min_elevation_deg, simulate longer, or move the cluster"
            )
        if not service.served[here].any():
            raise InputError(
                f"ground.clusters {cluster.name!r}: seen {int(here.sum())} times, but the "
                f"satellite's {scenario.orbit.beams} beam(s) always serve another cluster ({gap}); "
                "raise orbit.beams"
            )
