"""The contact plan of a scenario: elements, windows, served windows, contacts, and their links."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

import orbit
from learning.requests.cluster import Cluster
from sim.devices.faults import Faults, faults_of
from sim.links.beam import Radios
from sim.plan.contacts import ContactColumns, LinkSource
from sim.plan.feeder import FeederPlan, feeder_plan
from sim.plan.isl import IslPlan
from sim.plan.isl_planning import isl_plan
from sim.plan.link_source import link_source
from sim.plan.radios import ground_radios
from sim.plan.service import ServedPasses, served_passes
from sim.plan.sessions import PlannedSessions, in_parts, sessions_of
from sim.plan.windows import Find, find_windows
from sim.world.topology import GROUND_CLIENTS, Topology
from sim.world.world import World
from statements import Statement


@dataclass(frozen=True, eq=False)
class Sky:
    """Satellites by name, and sites by place: the devices of each cluster, or each station.

    A site's own mask wins over ``min_elevation_deg``.
    """

    start: datetime
    satellites: Mapping[str, orbit.Satellite]
    places: Mapping[str, Sequence[orbit.Site]]
    min_elevation_deg: float


@dataclass(frozen=True, eq=False)
class Plan:
    """All contacts of a run in the order of their numbers, and when it starts and ends.

    ``doubts`` are on what may be wrong with the contacts. They are the windows that were
    ``served``, over the ``radios`` of each place. A ``constellation`` serves with any satellite.
    Where the clients of the ``topology`` fly, the ``satellite`` of a contact is one of the
    stations, or the satellite that serves the others over links between them. ``sky`` is None
    where there is no geometry, ``faults`` where nothing can fail, ``isls`` where satellites do not
    talk to each other. Where uploads and downloads travel over these links, ``mesh`` are the
    sessions of each client, by name, once they are searched for; of clients on the ground
    ``server`` is the satellite to which they travel, or "" where they do to stations, over the
    passes of the ``feeder``. A session lasts at
    most ``longest_session_s`` (None: unless it lasts all of the run, any time). Each of the
    servers, which are the ``satellites`` of the contacts, serves so many clients ``at_a_time``,
    None for any number.
    """

    start: datetime
    stop_s: float
    clusters: tuple[Cluster, ...]
    contacts: ContactColumns
    doubts: tuple[Statement, ...] = ()
    constellation: bool = False
    topology: Topology = GROUND_CLIENTS
    sky: Sky | None = None
    faults: Faults | None = None
    isls: IslPlan | None = None
    mesh: Mapping[str, PlannedSessions] | None = None
    server: str = ""
    feeder: FeederPlan | None = None
    longest_session_s: float | None = None
    at_a_time: tuple[int | None, ...] = ()
    served: ServedPasses | None = None
    radios: Sequence[Radios] = ()

    def sessions(self, cluster: Cluster) -> PlannedSessions:
        """Sessions of ``cluster`` in order of time: its own, or those that a mesh gives it.

        Its own that last too long are in parts, each of which is one.
        """
        if self.mesh is not None:
            return self.mesh[cluster.name]
        return in_parts(self.passes(cluster), self.longest_session_s, self.stop_s)

    @property
    def longest_gap_s(self) -> float:
        """The longest time in which a cluster has no contact, from the start to the plan's end."""
        longest_s = 0.0
        for cluster in self.clusters:
            own = self.sessions(cluster)
            ends_s = [0.0, *own.ends_s]
            starts_s = [*own.starts_s, self.stop_s]
            gaps_s = (start - end for start, end in zip(starts_s, ends_s, strict=True))
            longest_s = max(longest_s, *gaps_s)
        return longest_s

    def passes(self, cluster: Cluster) -> PlannedSessions:
        """Sessions of ``cluster`` by its own contacts with the server."""
        return sessions_of(self.contacts, self.contacts.services(cluster.name))

    @property
    def cycles(self) -> int:
        """Complete cycles in the plan: sessions of the cluster that is served least often."""
        if self.mesh is not None:
            return min(map(len, self.mesh.values()))
        return min(len(self.sessions(cluster)) for cluster in self.clusters)


def make_plan(world: World, find: Find = find_windows) -> Plan:
    """Return the plan, in which some clusters may never be served; ``find`` looks for windows.

    Raises InputError for a source that is wrong.
    """
    served = served_passes(world, find)
    clusters = world.sites.clusters
    isls = isl_plan(world, served.satellites, served.start, served.span_s, served.outages)
    radios = ground_radios(world)
    devices = _devices(world, served)
    links = link_source(world, served, clusters, radios, devices)
    contacts = _contacts(served, clusters, links)
    feeder = feeder_plan(world, served.clients, served.outages, find)
    return Plan(
        start=served.start,
        stop_s=served.span_s,
        clusters=clusters,
        contacts=contacts,
        doubts=(
            *served.doubts,
            *served.outages.doubts,
            *(() if isls is None else isls.doubts),
            *world.sites.left_out,
        ),
        constellation=served.constellation,
        topology=served.topology,
        sky=_sky(served, devices),
        faults=faults_of(world, clusters, served.outages, served.span_s),
        isls=isls,
        server=_server(world),
        feeder=feeder,
        # A slot is not in parts, even if it is the only one.
        longest_session_s=getattr(world.orbit, "max_session_s", math.inf),
        at_a_time=served.at_a_time,
        served=served,
        radios=radios,
    )


def _server(world: World) -> str:
    """Return the name of the satellite that serves devices over links, "" where none does."""
    alone = world.topology.access and not world.topology.gateways
    return world.fleet.server.name if alone else ""


def _devices(world: World, served: ServedPasses) -> list[tuple[orbit.Site, ...]]:
    """Sites of the devices at each place, a station's own; none where there is no geometry."""
    if not served.places:
        return [()] * len(served.clients)
    if served.topology.in_orbit:
        return [(station,) for station in served.places]
    return [world.sites.devices_of(index) for index in range(len(served.places))]


def links_of_passes(world: World, served: ServedPasses) -> LinkSource:
    """Return the links of all passes, each as if it were served from its rise to its set."""
    whole = replace(served, service=orbit.serve(served.windows, None))
    radios, devices = ground_radios(world), _devices(world, served)
    return link_source(world, whole, world.sites.clusters, radios, devices)


def _contacts(
    served: ServedPasses, clusters: Sequence[Cluster], links: LinkSource
) -> ContactColumns:
    """Return the windows, each with its service, as contacts of clusters."""
    windows = served.windows
    known = served.satellites if served.places else ()
    return ContactColumns(
        satellites=served.servers,
        clusters=clusters,
        satellite=windows.satellite,
        cluster=windows.site,
        session=served.sessions,
        rise_s=windows.rise_s,
        culminate_s=windows.culminate_s,
        set_s=windows.set_s,
        max_elevation_deg=windows.max_elevation_deg,
        min_slant_range_km=windows.min_slant_range_km,
        served=served.service.served,
        start_s=served.service.start_s,
        end_s=served.service.end_s,
        wait_from_s=served.service.wait_from_s,
        setup_s=served.service.setup_s,
        link_source=links,
        norad_ids=np.array([one.norad_id for one in known] or [0] * len(served.flyers.names)),
        cut_by_stop=served.whole.set_s > windows.set_s,
        flyers=served.flyers._replace(which=served.window_satellites),
        grounded=served.grounded._replace(which=served.window_places),
    )


def _sky(served: ServedPasses, devices: Sequence[Sequence[orbit.Site]]) -> Sky | None:
    """Return satellites and places by name; None where there is no geometry."""
    if not served.places:
        return None
    return Sky(
        start=served.start,
        satellites=dict(zip(served.flyers.names, served.satellites, strict=True)),
        places=dict(zip((place.name for place in served.places), devices, strict=True)),
        min_elevation_deg=served.min_elevation_deg,
    )
