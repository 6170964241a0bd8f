"""Peers: which device can send to which, and what single devices compute."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from typing import Any, Protocol

import numpy as np
import simpy

from learning.requests.cluster import Cluster
from learning.requests.peers import (
    SERVER,
    Arrival,
    LinkWindow,
    NextLink,
    Reach,
    Send,
)
from learning.requests.reasons import Reason
from sim.devices.energy import Use
from sim.errors import SimulationError
from sim.facts.transfers import MessageLost
from sim.links.sidelinks import Sidelinks
from sim.network.chains import ServiceLink
from sim.network.endpoint import Shared
from sim.network.link_queue import LinkQueue
from sim.network.nodes import Nodes
from sim.network.relay import Relay, Relaying
from sim.plan.plan import Plan
from statements.arrays import Mask


class Carrier(Protocol):
    """Carries the messages of satellites from link to link, by store and forward."""

    def exchange(self, send: Send) -> Generator[simpy.Event, Any, Arrival]:
        """Carry a message from one client to another, or between one and the server."""

    def reach(self, cluster: str, asked: Reach) -> Mask:
        """Whom a message of a cluster can get to (N,) within limits, itself too."""

    def sending_s(self, client: str) -> float:
        """Seconds in which a satellite has sent over links by now."""


class Peers:
    """Answers to whom devices can send, and carries what they send.

    The ``links`` are those of the clients with their server, ``sidelinks`` those between devices
    (None for none); the ``plan`` has those between satellites. Each kind has its queue, and
    ``relaying`` says whom others reach over the satellites. Where there is a ``mesh``, it carries
    all messages of satellites.
    """

    def __init__(
        self,
        plan: Plan,
        shared: Shared,
        links: Mapping[str, ServiceLink],
        *,
        relaying: Relaying,
        sidelinks: Sidelinks | None = None,
        mesh: Carrier | None = None,
    ) -> None:
        self._clock = shared.clock
        self._facts = shared.facts
        self._clusters = plan.clusters
        self._isls = plan.isls
        self._sidelinks = sidelinks
        self._mesh = mesh
        self.nodes = Nodes(shared.clock, links)
        self._over_sidelinks = LinkQueue("sidelink", shared, links)
        self._over_isls = LinkQueue("isl", shared, links)
        self._relay = Relay(shared.clock, links, relaying)

    def send(self, send: Send) -> Generator[simpy.Event, Any, Arrival]:
        """Carry a message; what is for its source itself is there at once.

        Raises SimulationError for an unknown device and for a size that is not a number of bytes.
        """
        self._check(send)
        if send.source == send.target:
            return Arrival(delivered=True, time_s=self._clock.now)
        if any(node != SERVER and self.nodes.away(node) for node in (send.source, send.target)):
            arrival = Arrival(delivered=False, time_s=self._clock.now, reason=Reason.AWAY)
        else:
            arrival = yield from self._carry(send)
        if not arrival.delivered:
            self._facts.emit(
                MessageLost(
                    time_s=self._clock.now,
                    cluster=send.source.cluster,
                    device=send.source.device,
                    version=int(send.payload.version),
                    payload=send.payload.name,
                    target=str(send.target),
                    reason=arrival.reason,
                )
            )
        return arrival

    def _carry(self, send: Send) -> Generator[simpy.Event, Any, Arrival]:
        """Carry a message for another device over the links that reach it, or for the server."""
        links = self._sidelinks
        isls = self._isls
        source = send.source.cluster
        target = send.target.cluster
        if self._mesh is not None:
            return (yield from self._mesh.exchange(send))
        if SERVER in (send.source, send.target):
            return (yield from self._relay.send(send))
        if links is not None and links.exists(send.source, send.target):
            always = links.openings(send.source, send.target)
            return (yield from self._over_sidelinks.send(send, always))
        if isls is not None and isls.windows(source, target).size:
            windows = isls.openings(source, target, self._clock.now)
            return (yield from self._over_isls.send(send, windows))
        why = self._relay.unreachable(source, target)
        if why:  # of devices without a relay the sidelinks that there are do not reach
            far = Reason.OUT_OF_RANGE if why is Reason.NO_RELAY and links is not None else why
            return Arrival(delivered=False, time_s=self._clock.now, reason=far)
        return (yield from self._relay.send(send))

    def next_link(self, asked: NextLink) -> LinkWindow | None:
        """Return the window between two satellites that is open, or opens next; None for none."""
        isls = self._isls
        return None if isls is None else isls.next_window(asked, self._clock.now)

    def use(self, cluster: str, by_s: float) -> Use:
        """What the devices of a cluster have done by a time for others, and over the mesh."""
        over_sidelinks_s = self._over_sidelinks.sending_s(cluster, by_s)
        over_isls_s = self._over_isls.sending_s(cluster, by_s)
        if self._mesh is not None:
            over_isls_s += self._mesh.sending_s(cluster)
        return Use(
            computed_s=self.nodes.computed_s(cluster, by_s),
            peer_s=np.array([over_sidelinks_s, over_isls_s]),
        )

    def settle_all(self, end_s: float) -> None:
        """Write which messages are still under way, as far as they got, when the run has ended."""
        self._over_sidelinks.settle_all(end_s)
        self._over_isls.settle_all(end_s)

    def reach(self, cluster: Cluster, asked: Reach) -> Mask:
        """Whom each device of a cluster can send to now (K, N), itself too; nobody who is away.

        One who is away itself reaches nobody else. Raises SimulationError for limits of what does
        not travel from link to link.
        """
        if self._mesh is not None:
            return self._mesh.reach(cluster.name, asked)[None]
        if asked.hops is not None or asked.within_s is not None:
            raise SimulationError(
                "Reach: hops and within_s are of links that messages travel over one after the "
                "other; leave them out, or set link.isl.route: earliest"
            )
        relayed = [not self._relay.unreachable(cluster.name, o.name) for o in self._clusters]
        reach = np.repeat([relayed], [o.devices for o in self._clusters], axis=1)
        reach = np.repeat(reach, cluster.devices, axis=0)
        if self._sidelinks is not None:
            reach |= self._sidelinks.reach(cluster.name)
        isls = self._isls
        if isls is not None and cluster.name in isls.names:
            reach |= isls.reach(cluster.name, self._clock.now)
        first = sum(other.devices for other in self._clusters[: cluster.index])
        reach &= self.nodes.here(self._clusters) & self.nodes.here([cluster])[:, None]
        own = np.arange(cluster.devices)
        reach[own, first + own] = True
        return reach

    def _check(self, send: Send) -> None:
        for node in (send.source, send.target):
            if node != SERVER or node == send.source:
                self.nodes.check(node)
        size = np.asarray(send.payload.bytes, float)
        if size.ndim or not (math.isfinite(size) and size >= 0.0):
            raise SimulationError(
                f"Send: payload {send.payload.name!r} has {send.payload.bytes} bytes; allowed is "
                "one number, at least 0"
            )
