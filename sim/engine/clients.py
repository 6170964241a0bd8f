"""Clients: all clients of a run, and the links between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from learning.requests.cluster import Cost, Forecast, Outlook, Signal
from learning.requests.decide import Observation, Situation
from sim.clock import Clock
from sim.devices.battery import Battery
from sim.devices.devices import Devices
from sim.devices.energy import energy_of
from sim.engine.announcements import Edges
from sim.engine.client import Client
from sim.facts.stream import Facts
from sim.mesh.links import AccessLink, MeshLink
from sim.mesh.messages import Mesh
from sim.network.books import Books
from sim.network.chains import ServiceLink
from sim.network.endpoint import Shared
from sim.network.legs import LegLog
from sim.network.peers import Peers
from sim.network.sessions import ClusterSessions
from sim.plan.contacts import PlannedSessions
from sim.plan.plan import Plan

if TYPE_CHECKING:
    from sim.engine.setup import Build


class Clients:
    """The clients of a run, ``by_name`` of their clusters, and the ``peers`` that they are.

    The ``edges`` are those of contacts, and the ``books`` have what any client has sent or got.
    ``news`` is to be given when the server's model is another one.
    """

    def __init__(
        self,
        build: Build,
        clock: Clock,
        facts: Facts,
        log: LegLog,
    ) -> None:
        plan = build.plan
        self.books = Books([cluster.name for cluster in plan.clusters])
        shared = Shared(
            clock=clock,
            topology=plan.topology,
            facts=facts,
            log=log,
            books=self.books,
            closing=build.known.closing,
            cut_transfers=build.world.link.cut_transfers,
            faults=plan.faults,
        )
        churn = {} if plan.faults is None else plan.faults.churn
        self.news = Signal()
        devices: dict[str, Devices] = {}
        for cluster, compute in zip(plan.clusters, build.compute, strict=True):
            name = cluster.name
            battery = Battery(*build.supplies[name]) if name in build.supplies else None
            devices[name] = Devices(cluster, compute, churn.get(name), battery)
        self._mesh = None
        if plan.mesh is not None:
            exact = build.method.traits.sends_over_mesh
            self._mesh = Mesh(plan, shared, devices, exact_delays=exact)
        self.by_name: dict[str, Client] = {}
        for cluster in plan.clusters:
            sessions = ClusterSessions(clock, cluster, plan.sessions(cluster), self.news)
            link = _link_of(plan, sessions, devices[cluster.name], shared, self._mesh)
            self.by_name[cluster.name] = Client(link)
        self._transmitter = build.transmitter
        self.edges = Edges(facts, plan.contacts)
        self.peers = Peers(
            plan,
            shared,
            {name: client.link for name, client in self.by_name.items()},
            relaying=build.world.link.relay,
            sidelinks=build.sidelinks,
            mesh=self._mesh,
        )

    def observed(self, situation: Situation, now_s: float) -> Observation:
        """Return what who decides is shown: what the server and the contact plan know."""
        rows = [_outlook(client, situation.cost, now_s) for client in self.by_name.values()]
        wait_s, contact_s, uplink_bytes, downlink_bytes, round_s, charge = np.array(rows).T
        return Observation(
            **vars(situation),
            time_s=now_s,
            wait_s=wait_s,
            contact_s=contact_s,
            uplink_bytes=uplink_bytes,
            downlink_bytes=downlink_bytes,
            round_s=round_s,
            charge=charge,
        )

    def open_sessions(self) -> None:
        """Let the sessions that are open at the start begin in the order of contacts."""
        begun = [client.sessions for client in self.by_name.values() if client.sessions.open == 0]
        for sessions in sorted(begun, key=lambda own: own.planned.contact_id(0)):
            sessions.begin_of(0)

    @property
    def planned(self) -> list[PlannedSessions]:
        """The sessions of each client."""
        return [client.sessions.planned for client in self.by_name.values()]

    def settle(self, end_s: float) -> None:
        """Write what is still under way as far as it got by ``end_s``, when the run has ended."""
        for client in self.by_name.values():
            client.link.settle_all(end_s)
        if self._mesh is not None:
            self._mesh.settle_all(end_s)
        self.peers.settle_all(end_s)
        for client in self.by_name.values():
            client.settle_phases(end_s)

    @property
    def without_contacts(self) -> list[str]:
        """Names of the clusters that have asked for a contact when the plan had none left."""
        return [name for name, client in self.by_name.items() if client.sessions.exhausted]

    def energy(self, by_s: float) -> list[dict[str, Any]]:
        """Time and energy that each cluster's devices have spent by a time, now or the end."""
        spent = []
        for name, client in self.by_name.items():
            # First that of peers: it writes down what went over a mesh.
            use = client.use(by_s, self.peers.use(name, by_s))
            power_w = client.devices.compute.power_w
            spent.append(energy_of(client.cluster, use, power_w, self._transmitter))
        return spent


def _link_of(
    plan: Plan,
    sessions: ClusterSessions,
    devices: Devices,
    shared: Shared,
    mesh: Mesh | None,
) -> ServiceLink:
    """Return a client's link to the server: by contacts with it, or over the mesh."""
    if mesh is None:
        return ServiceLink(sessions, devices, shared)
    if plan.topology.over_mesh:
        return MeshLink(sessions, devices, shared, mesh)
    passes = plan.passes(sessions.cluster)
    return AccessLink(sessions, devices, shared, passes=passes, mesh=mesh, server=plan.server)


def _outlook(client: Client, cost: Cost, now_s: float) -> tuple[float, ...]:
    """Return the figures of one client, in the order of :class:`Observation`."""
    device = float(np.max(client.devices.compute.round_s(cost))), client.charge()
    ahead = client.forecast(Forecast(client.cluster.name))
    if not isinstance(ahead, Outlook):
        return np.inf, 0.0, 0.0, 0.0, *device
    carried = float(ahead.uplink_bytes.min()), float(ahead.downlink_bytes.min())
    return ahead.start_s - now_s, ahead.end_s - ahead.start_s, *carried, *device
