"""The contact plan of a scenario: elements, windows, served windows, contacts, and their links."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from learning.requests.cluster import Cluster
from sim.devices.faults import Faults, faults_of
from sim.plan.contacts import ContactTable, PlannedSessions, in_parts, sessions_of
from sim.plan.feeder import FeederPlan, feeder_plan
from sim.plan.isl import IslPlan
from sim.plan.isl_planning import isl_plan
from sim.plan.link_source import with_links
from sim.plan.passes import Find, find_windows
from sim.plan.service import served_passes
from sim.world.topology import Topology
from sim.world.world import World
from statements import Statement


@dataclass(frozen=True, eq=False)
class Plan:
    """All ``contacts`` of a run, with their links, and what else is known beforehand.

    ``doubts`` are on what may be wrong with the contacts. ``faults`` are None where nothing can
    fail, ``isls`` where satellites do not talk to each other. Where uploads and downloads travel
    over these links, ``mesh`` are the sessions of each client, by name, once they are searched for;
    of clients on the ground ``server`` is the satellite to which they travel, or "" where they do
    to stations, over the passes of the ``feeder``. A session lasts at most ``longest_session_s``
    (None: unless it lasts all of the run, any time).
    """

    contacts: ContactTable
    doubts: tuple[Statement, ...] = ()
    faults: Faults | None = None
    isls: IslPlan | None = None
    mesh: Mapping[str, PlannedSessions] | None = None
    server: str = ""
    feeder: FeederPlan | None = None
    longest_session_s: float | None = None

    @property
    def start(self) -> datetime:
        """When the run starts."""
        return self.contacts.start

    @property
    def stop_s(self) -> float:
        """When the plan ends."""
        return self.contacts.span_s

    @property
    def clusters(self) -> tuple[Cluster, ...]:
        """The clients."""
        return self.contacts.clusters

    @property
    def topology(self) -> Topology:
        """Who serves whom, over what."""
        return self.contacts.topology

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
    start, span_s, outages = served.start, served.span_s, served.outages
    isls = isl_plan(world, served.satellites, start, span_s, outages)
    contacts = with_links(world, served)
    return Plan(
        contacts=contacts,
        doubts=(
            *contacts.doubts,
            *outages.doubts,
            *(() if isls is None else isls.doubts),
            *world.sites.left_out,
        ),
        faults=faults_of(world, contacts.clusters, outages, span_s),
        isls=isls,
        server=_server(world),
        feeder=feeder_plan(world, contacts.clients, outages, find),
        # A slot is not in parts, even if it is the only one.
        longest_session_s=math.inf if world.slots is not None else world.service.max_session_s,
    )


def _server(world: World) -> str:
    """Return the name of the satellite that serves devices over links, "" where none does."""
    alone = world.topology.access and world.topology.server == "satellite"
    return world.fleet.server.name if alone else ""
