"""The contact plan of a scenario: its view, and the links of every contact."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from channel import CLEAR_PATH, Path, draw_paths
from learning import stream
from learning.requests.cluster import Cluster
from orbit import Site
from sim.contact_links import DeviceLinks, Pass, bare_links
from sim.faults import Before, faults_of
from sim.finding import Find, find
from sim.ground import clusters_of, device_sites, distance_km
from sim.link_doubts import link_doubts
from sim.links_ahead import LinksAhead
from sim.plan import Plan
from sim.planned_contact import ContactLinks, PlannedContact
from sim.radios import Radios, cluster_radios
from sim.sky import Sky
from sim.sources import view_of
from sim.view import View, check_in_service, check_served

if TYPE_CHECKING:
    from scenarios import Scenario


def make_plan(scenario: Scenario, find: Find = find, before: Before | None = None) -> Plan:
    """Return the plan; raise InputError for a cluster that is never seen or never served.

    ``before`` says what faults held until a fork.
    """
    view, clusters = view_of(scenario, find, before), clusters_of(scenario)
    if scenario.orbit.source == "slots":
        check_in_service(view)
    else:
        check_served(view, scenario.orbit)
    radios = cluster_radios(scenario)
    places = [device_sites(scenario, c.index) if view.places else () for c in clusters]
    spreads_km = [
        max((distance_km(view.places[c.index], device) for device in places[c.index]), default=0.0)
        for c in clusters
    ]
    source = scenario.orbit
    constellation = getattr(source, "serving", "single") == "any"
    ahead = [LinksAhead(radios[c.index], c.devices) for c in clusters]
    contacts = []
    for number, turn in enumerate(_turns(view)):
        site = view.windows.site[number]
        cluster = clusters[site]
        if view.places:
            luck = (
                partial(_luck, scenario.seed, turn, cluster) if _by_chance(radios[site]) else None
            )
            ground = view.places[site], places[site], spreads_km[site]
            # In a constellation most contacts are not served, and nobody asks for their links.
            wanted = bool(view.service.served[number]) or not constellation
            ahead[site].add(number, partial(_pass, view, number, *ground, luck), wanted)
            make = partial(ahead[site].links, number)
        else:
            span_s = float(view.windows.rise_s[number]), float(view.windows.set_s[number])
            make = partial(bare_links, radios[site], cluster.devices, *span_s)
        contacts.append(_contact(view, number, cluster, make))
    return Plan(
        view.start,
        view.span_s,
        clusters,
        tuple(contacts),
        (*view.doubts, *link_doubts(scenario, view, radios, places)),
        sync_delay_s=getattr(source, "sync_delay_s", None) or 0.0,
        constellation=constellation,
        sky=_sky(view, places),
        faults=faults_of(scenario, clusters, view.satellite_names, view.span_s, before),
    )


def _sky(view: View, devices: Sequence[Sequence[Site]]) -> Sky | None:
    if not view.places:
        return None
    satellites = dict(zip(view.satellite_names, view.satellites, strict=True))
    return Sky(view.start, satellites, devices, view.min_elevation_deg)


def _turns(view: View) -> list[int]:
    """The how-many-th pass of its satellite over its cluster each window is, or is a piece of."""
    passes: dict[tuple[int, int], count[int]] = {}
    pairs = zip(view.passes.satellite.tolist(), view.passes.site.tolist(), strict=True)
    turns = [next(passes.setdefault(pair, count())) for pair in pairs]
    return [turns[number] for number in view.of.tolist()]


def _contact(
    view: View, number: int, cluster: Cluster, make: Callable[[], DeviceLinks]
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


def _by_chance(radios: Radios) -> bool:
    """Whether chance decides about the links of a cluster's devices."""
    return radios[0].link.environment is not None


def _pass(
    view: View,
    number: int,
    centre: Site,
    devices: tuple[Site, ...],
    spread_km: float,
    luck: Callable[[str], Path] | None,
) -> Pass:
    """The pass of one window, once its links are asked for."""
    windows = view.windows
    satellite = windows.satellite[number]
    return Pass(
        view.satellites[satellite],
        centre,
        devices,
        view.start,
        float(windows.rise_s[number]),
        float(windows.set_s[number]),
        float(windows.min_slant_range_km[number]) - spread_km,
        view.min_elevation_deg,
        CLEAR_PATH if luck is None else luck(view.satellite_names[satellite]),
    )


def _luck(seed: int, turn: int, cluster: Cluster, satellite: str) -> Path:
    """Draw what chance decides for a cluster's devices in one pass of a satellite.

    Its stream is named by what it is for, so that another satellite or cluster changes nothing.
    """
    return draw_paths(cluster.devices, stream(seed, "path", cluster.name, satellite, turn))
