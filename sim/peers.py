"""What devices send each other: over a sidelink where there is one, else through the satellites."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import simpy

from learning.requests.cluster import Cluster, Mask
from learning.requests.peers import Arrival, Send
from sim.clock import Clock
from sim.errors import SimulationError
from sim.nodes import Nodes
from sim.payloads import PayloadList
from sim.relay import Relay
from sim.rows import Rows
from sim.sidelink_queues import SidelinkQueues
from sim.sidelinks import Sidelinks

AWAY = "away"
"""Why a message is lost whose source or target is not there when it is sent."""


class Peers:
    """Answers to whom devices can send, and carries what they send.

    ``queues`` are those of the sidelinks that there are.
    """

    def __init__(
        self,
        clock: Clock,
        clusters: Sequence[Cluster],
        nodes: Nodes,
        rows: Rows,
        payloads: PayloadList,
        sidelinks: Sidelinks | None,
        relay: Relay,
    ) -> None:
        self._clock = clock
        self._clusters = clusters
        self._nodes = nodes
        self._rows = rows
        self._payloads = payloads
        self._relay = relay
        self.queues = None if sidelinks is None else SidelinkQueues(clock, rows, sidelinks)

    @property
    def ledgers(self) -> list[SidelinkQueues]:
        """Where the bytes of messages over sidelinks are booked."""
        return [] if self.queues is None else [self.queues]

    def sending_s(self, cluster: str, by_s: float) -> float:
        """Seconds in which a cluster's devices have sent over sidelinks by a time."""
        return 0.0 if self.queues is None else self.queues.sending_s(cluster, by_s)

    def settle_all(self, end_s: float) -> None:
        """Write what is still under way as far as it got by ``end_s``, when the run has ended."""
        if self.queues is not None:
            self.queues.settle_all(end_s)

    def send(self, send: Send) -> Generator[simpy.Event, Any, Arrival]:
        """Carry a message; what is for its source itself is there at once.

        Raises SimulationError for an unknown device and for a size that is not a number of bytes.
        """
        self._check(send)
        if send.source == send.target:
            return Arrival(True, self._clock.now)
        if self._nodes.away(send.source) or self._nodes.away(send.target):
            self._rows.lost(send, self._clock.now, AWAY)
            return Arrival(False, self._clock.now, AWAY)
        if self.queues is not None and self.queues.links.exists(send.source, send.target):
            self._payloads.add("sidelink", send.payload, np.ones(1, bool))
            return (yield from self.queues.send(send))
        why = self._relay.unreachable(send.source.cluster, send.target.cluster)
        arrival = Arrival(False, self._clock.now, self._far(why))
        if not why:
            arrival = yield from self._relay.send(send)
        if not arrival.delivered:
            self._rows.lost(send, self._clock.now, arrival.reason)
        return arrival

    def reach(self, cluster: Cluster) -> Mask:
        """Whom each device of a cluster can send to now (K, N), itself too; nobody who is away.

        One who is away itself reaches nobody else.
        """
        names = [(other.name, other.devices) for other in self._clusters]
        relayed = [
            np.full((cluster.devices, k), not self._relay.unreachable(cluster.name, name))
            for name, k in names
        ]
        reach = np.concatenate(relayed, axis=1)
        if self.queues is not None:
            reach |= self.queues.links.reach(cluster.name)
        reach &= self._nodes.here(self._clusters)[None, :]
        first = sum(other.devices for other in self._clusters[: cluster.index])
        reach &= self._nodes.here([cluster])[:, None]
        own = np.arange(cluster.devices)
        reach[own, first + own] = True
        return reach

    def _far(self, why: str) -> str:
        """Of devices without a relay the sidelinks that there are do not reach."""
        return "out of range" if why == "no relay" and self.queues is not None else why

    def _check(self, send: Send) -> None:
        self._nodes.check(send.source)
        self._nodes.check(send.target)
        size = np.asarray(send.payload.bytes, float)
        if size.ndim or not (math.isfinite(size) and size >= 0.0):
            raise SimulationError(
                f"Send: payload {send.payload.name!r} has {send.payload.bytes} bytes; allowed is "
                "one number, at least 0"
            )
