"""Answers what devices ask of each other: to send, to compute, all side by side."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import simpy

from learning.requests.cluster import Cluster
from learning.requests.peers import All, Compute, Infer, Reach, Send, Wait
from sim import inference_rows
from sim.books import Booked
from sim.clock import Clock
from sim.contacts import Antenna
from sim.devices import Devices
from sim.energy import Use
from sim.nodes import Nodes
from sim.payloads import PayloadList
from sim.peers import Peers
from sim.relay import Relay, Relaying
from sim.rows import Rows
from sim.sidelinks import Sidelinks
from sim.tasks import Drive, Tasks, wait
from sim.trace import Trace
from sim.transfers import Link

PeerRequest = Send | Compute | All | Wait | Reach | Infer


class Peering:
    """The devices of all clusters as each other's peers."""

    def __init__(
        self,
        clock: Clock,
        clusters: Sequence[Cluster],
        trace: Trace,
        rows: Rows,
        payloads: PayloadList,
        antennas: Mapping[str, Antenna],
        devices: Mapping[str, Devices],
        links: Mapping[str, Link],
        sidelinks: Sidelinks | None,
        relay: Relaying,
    ) -> None:
        self._clock = clock
        self._trace = trace
        self._tasks = Tasks(clock)
        self._nodes = Nodes(clock, devices, links)
        self._relay = Relay(clock, antennas, links, relay)
        self._peers = Peers(clock, clusters, self._nodes, rows, payloads, sidelinks, self._relay)

    def answer(
        self, actor: str, cluster: Cluster, request: PeerRequest, drive: Drive
    ) -> Generator[simpy.Event, Any, Any]:
        """Answer a request; ``drive`` lets a protocol of the same cluster run under a name."""
        match request:
            case Send():
                return (yield from self._peers.send(request))
            case Compute():
                return (yield from self._nodes.compute(request))
            case All():
                return (yield from self._tasks.run(actor, request, drive))
            case Wait():
                return (yield from wait(self._clock, request))
            case Reach():
                return self._peers.reach(cluster)
            case Infer():
                self._nodes.check(request.at)
                return inference_rows.write(self._trace, request)

    def turn(self, sidelinks: Sidelinks | None, relay: Relaying) -> None:
        """Let what is sent from now on go over other sidelinks, or another relay."""
        if self._peers.queues is not None and sidelinks is not None:
            self._peers.queues.links = sidelinks
        self._relay.policy = relay

    @property
    def ledgers(self) -> Sequence[Booked]:
        """Where the bytes of messages over sidelinks are booked."""
        return self._peers.ledgers

    def settle_all(self, end_s: float) -> None:
        """Write what is still under way as far as it got by ``end_s``, when the run has ended."""
        self._peers.settle_all(end_s)

    def added_to(self, use: Use, cluster: str, by_s: float) -> Use:
        """Add what a cluster's devices have computed for and sent to each other by a time."""
        return replace(
            use,
            computed_s=use.computed_s + self._nodes.computed_s(cluster, by_s),
            sidelink_s=self._peers.sending_s(cluster, by_s),
        )
