"""The contact plan of a scenario: all contacts with their links, and plans spliced in time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import numpy as np

import orbit
from channel import CLEAR_PATH, doppler_hz, draw_paths
from learning import stream
from learning.hardware import free_bytes
from learning.requests.cluster import Cluster, Floats, Ints
from orbit import Site
from orbit.windows import groups
from scenarios import Scenario
from sim.devices.faults import Faults, FaultsUntilFork, faults_of, outages_of
from sim.devices.satellites import relay_of
from sim.devices.sites import antennas_of, clusters_of, device_sites, distance_km
from sim.errors import InputError
from sim.formatting import data_size
from sim.links.beam import PassFigures, Radios, bare_links, fixed_rate_bps, is_steady
from sim.links.link_table import PlanLinks
from sim.links.pass_geometry import Pass, Place
from sim.plan.contacts import ContactColumns, ContactLinks, PlannedContact, PlannedSession
from sim.plan.isl import IslPlan, isl_plan, relayed_links
from sim.plan.radios import ground_radios, link_doubts
from sim.plan.service import View, check_served, served, turned
from sim.plan.windows import (
    Find,
    find_windows,
    passes_of_file,
    passes_of_orbit,
    passes_of_relay,
    passes_of_slots,
)
from sim.trace.directions import Topology

CONTACT_BYTES, WINDOW_BYTES, DEVICE_BYTES = 3e3, 250.0, 1e3
"""A planned contact, its window before it is planned, and where a device is."""
PASSES_A_DAY = 5
"""Passes of a satellite in a low orbit over a place, about."""


def check_plan(scenario: Scenario, contact_bytes: float) -> None:
    """Raise InputError for a scenario whose contacts or devices alone are too many to be listed.

    ``contact_bytes`` is what each takes. The check comes before any of them is searched for.
    """
    free = free_bytes("cpu")
    contacts, figures = _expected_contacts(scenario)
    devices = sum(cluster.devices or 0 for cluster in scenario.ground.clusters)
    needed = contact_bytes * contacts + DEVICE_BYTES * devices
    if free is not None and needed > free:
        raise InputError(
            f"the plan of about {contacts:.3g} contacts ({figures}) and {devices} devices needs "
            f"{data_size(needed)} of memory and {data_size(free)} are free: simulate fewer cycles "
            "or days, satellites or devices"
        )


def _expected_contacts(scenario: Scenario) -> tuple[float, str]:
    """Return about how many contacts a scenario has, and what they are the product of."""
    orbit, stop, ground = scenario.orbit, scenario.stop, scenario.ground
    clusters = len(ground.clusters or ground.stations or ())
    if orbit.source == "contacts":
        return 0.0, "of a file"
    if orbit.source == "slots":
        cycle_s = orbit.slots.seconds * (clusters + orbit.slots.idle)
        by_days = np.inf if stop.days is None else stop.days * 86400 / cycle_s
        cycles = min(by_days, np.inf if stop.cycles is None else stop.cycles)
        return cycles * clusters, f"{cycles:.3g} cycles of {clusters}"
    satellites = orbit.satellites_used if orbit.source == "walker" else 1
    days = stop.days or 0.0
    kind = "clusters" if ground.clusters else "stations"
    figures = f"{satellites} satellites over {clusters} {kind}, {days:g} days"
    return PASSES_A_DAY * satellites * clusters * days, figures


# Satellites and devices of a scenario as such, for who looks at them apart from all links.


@dataclass(frozen=True, eq=False)
class Sky:
    """Satellites by name, and what they come over: the devices of each cluster, or each station.

    A site's own mask wins over ``min_elevation_deg``.
    """

    start: datetime
    satellites: Mapping[str, orbit.Satellite]
    places: Mapping[str, Sequence[orbit.Site]]
    min_elevation_deg: float

    def ends(self, contact: PlannedContact) -> tuple[str, str]:
        """Names of the satellite and of the place of a contact."""
        if contact.member:  # a client
            return contact.member, contact.satellite
        return contact.satellite, contact.cluster.name


class PlannedSessions:
    """Sessions by their contacts' numbers, in order of time; made when they are first asked for.

    A run never asks for most of those of a constellation. Of their contacts, one behind the other,
    ``spans_s`` are the begins and ends, ``edges`` where each session begins and the last one ends.
    """

    def __init__(self, contacts: ContactColumns, numbers: Ints) -> None:
        session = contacts.session[numbers]
        new = np.flatnonzero(session[1:] != session[:-1]) + 1
        self.edges = [0, *new.tolist(), len(numbers)] if len(numbers) else [0]
        start_s, end_s = contacts.start_s[numbers].tolist(), contacts.end_s[numbers].tolist()
        self.spans_s: list[tuple[float, float]] = list(zip(start_s, end_s, strict=True))
        self._contacts, self._numbers = contacts, numbers
        self._made: dict[int, PlannedSession] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self.edges) - 1

    def start_s(self, place: int) -> float:
        """When a session begins."""
        return self.spans_s[self.edges[place]][0]

    def end_s(self, place: int) -> float:
        """When a session ends."""
        return self.spans_s[self.edges[place + 1] - 1][1]

    def close(self, place: int) -> None:
        """Let the links of a session go, if they were asked for."""
        if place in self._made:
            self._made[place].close()

    def contact(self, place: int) -> PlannedContact:
        """Return one of the contacts of all sessions."""
        return self._contacts[int(self._numbers[place])]

    def named(self, place: int) -> tuple[int, str, int]:
        """Number, satellite and session of a contact, without making it."""
        return self._contacts.named(int(self._numbers[place]))

    def __getitem__(self, place: int) -> PlannedSession:
        """Return a session, the same one each time."""
        place = range(len(self))[place]
        if place not in self._made:
            mine = tuple(map(self.contact, range(*self.edges[place : place + 2])))
            self._made[place] = PlannedSession(mine[0].session, mine)
        return self._made[place]


@dataclass(frozen=True, eq=False)
class Plan:
    """All contacts of a run in the order of their numbers, and when it starts and ends.

    ``doubts`` are lines for the user on what may be wrong with the contacts. What one satellite
    received the others know ``sync_delay_s`` later. A ``constellation`` serves with any of its
    satellites. Where the clients of the ``topology`` fly, what contacts call a satellite is one of
    the stations, or the satellite that serves the others over links between them. ``sky`` is None
    where there is no geometry, ``faults`` where nothing can fail, ``isls`` where satellites do not
    talk to each other.
    """

    start: datetime
    stop_s: float
    clusters: tuple[Cluster, ...]
    contacts: ContactColumns
    doubts: tuple[str, ...] = ()
    sync_delay_s: float = 0.0
    constellation: bool = False
    topology: Topology = Topology.GROUND_CLIENTS
    sky: Sky | None = None
    faults: Faults | None = None
    isls: IslPlan | None = None

    def sessions(self, cluster: Cluster) -> PlannedSessions:
        """Sessions of ``cluster`` in order of time."""
        return PlannedSessions(self.contacts, self.contacts.services(cluster.name))

    @property
    def cycles(self) -> int:
        """Complete cycles in the plan: sessions of the cluster that is served least often."""
        served = (self.contacts.services(cluster.name) for cluster in self.clusters)
        return min(len(set(self.contacts.session[mine].tolist())) for mine in served)


# The contact plan of a scenario: its view, and the links of every contact.


def make_plan(
    scenario: Scenario,
    find: Find = find_windows,
    before: FaultsUntilFork | None = None,
    needs_isl: Sequence[str] = (),
) -> Plan:
    """Return the plan; raise InputError for a cluster that is never seen or never served.

    ``before`` says what faults held until a fork. Of planes whose rings the method needs
    (``needs_isl``) one satellite has to be served, and none where it needs links between planes.
    """
    view, clusters = view_of(scenario, find, before), clusters_of(scenario)
    isls = isl_plan(scenario, view.satellites, view.start, view.span_s, view.out)
    if "between_planes" not in needs_isl:
        check_served(view, scenario.orbit, isls.rings if needs_isl and isls is not None else ())
    radios, places = ground_radios(scenario), _places(scenario, view)
    source, satellites = scenario.orbit, [satellite.name for satellite in view.satellites]
    satellites = satellites or (view.clients if view.turned else view.servers)
    outages = dict(zip(satellites, view.out, strict=True))
    constellation = view.turned or getattr(source, "serving", "single") == "any"
    links_of, figures_of = _links(scenario, view, clusters, radios, places, not constellation)
    contacts = ContactColumns(
        satellites=list(zip(view.servers, view.norad_ids, strict=True)),
        clusters=clusters,
        **{name: getattr(view.windows, name) for name in _OF_WINDOWS},
        cluster=view.windows.site,
        fleet=satellites,
        flying=view.window_ends[0] if view.turned else None,
        session=view.sessions,
        served=view.service.served,
        start_s=view.service.start_s,
        end_s=view.service.end_s,
        wait_from_s=view.service.wait_from_s,
        links_of=links_of,
        figures_of=figures_of,
    )
    sky = None
    if view.places:
        flying = dict(zip(satellites, view.satellites, strict=True))
        named = dict(zip((place.name for place in view.places), places, strict=True))
        sky = Sky(view.start, flying, named, view.min_elevation_deg)
    return Plan(
        view.start,
        view.span_s,
        clusters,
        contacts,
        (*view.doubts, *link_doubts(scenario, view, radios, places)),
        sync_delay_s=getattr(source, "sync_delay_s", None) or 0.0,
        constellation=constellation,
        topology=view.topology,
        sky=sky,
        faults=faults_of(scenario, clusters, outages, view.span_s, before),
        isls=isls,
    )


def _places(scenario: Scenario, view: View) -> list[tuple[Site, ...]]:
    """Sites of the devices of each cluster, or each station; none where there is no geometry."""
    if not view.places:
        return [()] * len(view.clients)
    if view.turned:
        return [(station,) for station in view.places]
    return [device_sites(scenario, index) for index in range(len(view.places))]


_OF_WINDOWS = (
    *("satellite", "rise_s", "culminate_s", "set_s"),
    *("max_elevation_deg", "min_slant_range_km"),
)


def _links(
    scenario: Scenario,
    view: View,
    clusters: Sequence[Cluster],
    radios: Sequence[Radios],
    places: Sequence[tuple[Site, ...]],
    all_wanted: bool,
) -> tuple[Callable[[int], ContactLinks], Callable[[Ints], Floats] | None]:
    """Return what makes the links of a contact by its number, and the figures of many at once.

    In a constellation most contacts are not served, and nobody asks for their links.
    """
    windows, service = view.windows, view.service

    def spans_s(number: int) -> tuple[float, float]:
        return float(service.start_s[number]), float(service.end_s[number])

    def windows_s(number: int) -> tuple[float, float]:
        return float(windows.rise_s[number]), float(windows.set_s[number])

    satellites, sites = view.window_ends

    def bare(
        number: int,
        range_m: Callable[[Floats], Floats] | None = None,
        figures: Callable[[], PassFigures] | None = None,
    ) -> ContactLinks:
        devices = clusters[windows.site[number]].devices
        make = partial(bare_links, radios[sites[number]], devices, *windows_s(number), range_m)
        return ContactLinks(make, *spans_s(number), figures)

    def steady(number: int) -> ContactLinks:
        """Of a client alone under a fixed rate: what the geometry gives is how far it is."""
        satellite, place = view.satellites[satellites[number]], view.places[sites[number]]

        def range_m(time_s: Floats) -> Floats:
            each = [orbit.slant_range_km(satellite, place, view.start, t) for t in time_s.tolist()]
            return np.array(each) * 1e3

        def figures() -> PassFigures:
            least, in_service, shift_hz, _ = steady_figures(np.array([number]))[:, 0].tolist()
            return PassFigures(least, in_service, (shift_hz, 0.0))

        return bare(number, range_m, figures)

    def steady_figures(numbers: Ints) -> Floats:
        """What contacts carry as a whole and in service, and both Doppler shifts (4, N)."""
        site = sites[numbers]
        links = [own.link for own, _ in radios]
        frequency_hz = np.array([link.frequency_hz for link in links])[site]
        bytes_s = np.array([fixed_rate_bps(link) / 8.0 for link in links])[site]
        edges_km_s = windows.rise_range_rate_km_s[numbers], windows.set_range_rate_km_s[numbers]
        shift_hz = doppler_hz(-np.maximum(*map(np.abs, edges_km_s)), frequency_hz)
        whole_s = windows.set_s[numbers] - windows.rise_s[numbers]
        served_s = service.end_s[numbers] - service.start_s[numbers]
        served = np.where(np.isnan(served_s), 0.0, bytes_s * served_s)
        return np.stack([bytes_s * whole_s, served, shift_hz, np.zeros(len(numbers))])

    if scenario.link.isl is not None and view.relayed:
        between = partial(relayed_links, scenario.link.isl, relay_of(scenario))

        def relayed(number: int) -> ContactLinks:
            one = view.satellites[satellites[number]]
            make = partial(between, one, view.start, *windows_s(number))
            return ContactLinks(make, *spans_s(number))

        return relayed, None
    if not view.places:
        return bare, None
    if view.turned and all(map(is_steady, radios)):
        return steady, steady_figures
    spreads_km = [
        max((distance_km(centre, device) for device in devices), default=0.0)
        for centre, devices in zip(view.places, places, strict=True)
    ]
    grounds = [
        Place(centre, devices, view.min_elevation_deg, both)
        for centre, devices, both in zip(view.places, places, radios, strict=True)
    ]
    # The how-many-th pass of its satellite over its place each pass is.
    turns, (flying, place) = np.empty(len(view.passes), np.int64), view.ends
    for mine in groups(flying * len(view.places) + place):
        turns[mine] = np.arange(len(mine))

    def a_pass(number: int) -> Pass:
        site, turn = sites[number], int(turns[view.of[number]])
        cluster, name = clusters[windows.site[number]], view.servers[windows.satellite[number]]
        flying = view.satellites[satellites[number]]
        client, path = flying.name if view.turned else cluster.name, CLEAR_PATH
        if radios[site][0].link.environment is not None:
            # Drawn from a stream of both ends: another satellite or cluster changes nothing.
            path = draw_paths(cluster.devices, stream(scenario.seed, "path", client, name, turn))
        return Pass(
            flying,
            grounds[site],
            float(windows.rise_s[number]),
            float(windows.set_s[number]),
            float(windows.min_slant_range_km[number]) - spreads_km[site],
            path,
        )

    soon = np.flatnonzero(service.served | all_wanted)
    links = PlanLinks(view.start, a_pass, spans_s, soon)

    def of_pass(number: int) -> ContactLinks:
        figures = partial(links.figures, number)
        return ContactLinks(partial(links.links, number), *spans_s(number), figures)

    return of_pass, None


# Where contacts come from: windows of every ``orbit.source``.


_SOURCES = {"contacts": passes_of_file, "slots": passes_of_slots}


def view_of(
    scenario: Scenario, find: Find = find_windows, before: FaultsUntilFork | None = None
) -> View:
    """Return who sees and who serves whom in any scenario; ``find`` looks for the windows.

    ``before`` says what faults held until a fork.
    """
    check_plan(scenario, WINDOW_BYTES)
    source = scenario.orbit
    passes_of = passes_of_relay if scenario.roles.relay else _SOURCES.get(source.source)
    seen = (passes_of or passes_of_orbit)(scenario, find)
    out = outages_of(scenario, seen.servers, seen.span_s, before)
    if scenario.roles.satellites_learn:
        planes = [satellite.plane for satellite in seen.satellites]
        by_plane = turned(seen, planes if scenario.roles.clients == "planes" else ())
        return served(by_plane, source, out, antennas_of(scenario))
    return served(seen, source, out)


# A plan that is one until some time, and another one from there.


Key = tuple[str, str, str, float]
"""Cluster, which satellite of it if it is a plane, server and rise of a contact."""


def spliced(early: Plan, late: Plan, at_s: float) -> Plan:
    """Return ``late`` with what has begun of ``early`` by ``at_s``.

    Sessions that have begun by then stay as they are, and so do contacts that have risen and are
    not served. Raises InputError where the later contacts of such a session would change.
    """
    begun = {_session(c) for c in early.contacts if c.served and c.start_s < at_s}
    after = {_key(contact): contact for contact in late.contacts}
    contacts = {
        _key(c): after.get(_key(c), _unserved(c)) if c.served and _session(c) not in begun else c
        for c in early.contacts
        if c.rise_s < at_s or _session(c) in begun
    }
    for key, contact in after.items():
        if contact.rise_s >= at_s:
            contacts.setdefault(key, contact)
    # What rises at the same time is in the same order in both plans.
    places = {_key(c): c.contact_id for plan in (early, late) for c in plan.contacts}
    merged = sorted(contacts.values(), key=lambda c: (c.rise_s, places[_key(c)]))
    kept, numbered = {id(contact) for contact in early.contacts}, list[PlannedContact]()
    until_s = defaultdict[str, float](lambda: -np.inf)
    for contact in merged:
        if id(contact) in kept and contact.served:
            until_s[contact.cluster.name] = max(until_s[contact.cluster.name], contact.end_s)
    for place, contact in enumerate(merged):
        new = contact
        if id(contact) not in kept:
            # A cluster may still be in a session that has begun before.
            busy = contact.served and contact.start_s < until_s[contact.cluster.name]
            new = _unserved(contact) if busy else contact
            if new.served and _session(new) in begun:
                new = replace(new, session=-2 - new.session)  # a number that no session has
            new = replace(new, contact_id=place)
        elif contact.contact_id != place:
            raise InputError(
                f"cluster {contact.cluster.name!r} is then in a session whose later contacts "
                "would change; name another time"
            )
        numbered.append(new)
    return replace(late, contacts=ContactColumns.of(numbered))


def _session(contact: PlannedContact) -> tuple[str, int]:
    return contact.cluster.name, contact.session


def _key(contact: PlannedContact) -> Key:
    return contact.cluster.name, contact.member, contact.satellite, contact.rise_s


def _unserved(contact: PlannedContact) -> PlannedContact:
    return replace(contact, served=False, session=-1, start_s=np.nan, end_s=np.nan)
