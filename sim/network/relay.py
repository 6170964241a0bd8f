"""Messages through the satellites: up in the source's contacts, down in the target's."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import simpy

from learning.requests.cluster import CORRUPTED, Download, Receipt, Upload
from learning.requests.payload import Payload
from learning.requests.peers import SERVER, Arrival, Node, Send
from sim.clock import Clock, Process
from sim.network.service_link import ServiceLink
from sim.network.sessions import ClusterSessions
from sim.trace.directions import Way

Relaying = Literal["none", "contact", "store"]

RELAY = "relay"
"""Name of what relayed messages of one device are sent as, together."""

Route = tuple[Way, Node]
"""To the server from a device, or to a device from it."""


@dataclass(frozen=True, eq=False)
class _Message:
    send: Send
    routes: list[Route]
    reply: simpy.Event


class Relay:
    """Stores messages at the satellites and forwards them, over the links of the clusters.

    What waits at a device when a session is open goes up together, and what waits for one comes
    down together. A payload that a session cuts off is finished in the next one, as the ledger of
    its link says.
    """

    def __init__(
        self,
        clock: Clock,
        sessions: Mapping[str, ClusterSessions],
        links: Mapping[str, ServiceLink],
        policy: Relaying,
    ) -> None:
        self._clock = clock
        self.sessions = sessions
        self._links = links
        self.policy = policy
        self._waiting: dict[Route, list[_Message]] = {}
        self._payloads: dict[Route, int] = {}

    def unreachable(self, source: str, target: str) -> str:
        """Say why devices of one cluster cannot reach those of another now; empty if they can."""
        ends = self.sessions[source], self.sessions[target]
        if self.policy == "none":
            return "no relay"
        if any(sessions.over for sessions in ends):
            return "no contact left"
        if self.policy == "contact" and not all(sessions.is_open for sessions in ends):
            return "not in contact"
        return ""

    def send(self, send: Send) -> Generator[simpy.Event, Any, Arrival]:
        """Carry a message up and down, or one way alone where it is from the server, or for it.

        Reply when it is there, or when no contact is left for it.
        """
        both: list[Route] = [(Way.TO_SERVER, send.source), (Way.TO_CLIENT, send.target)]
        message = _Message(
            send, [route for route in both if route[1] != SERVER], self._clock.event()
        )
        self._post(message)
        return (yield message.reply)

    def _post(self, message: _Message) -> None:
        """Let a message wait for its next route, and start a courier for it if there is none."""
        route = message.routes.pop(0)
        if route in self._waiting:
            self._waiting[route].append(message)
            return
        self._waiting[route] = [message]
        self._clock.start(" ".join(map(str, (RELAY, *route))), self._courier(route))

    def _courier(self, route: Route) -> Process:
        """Carry all that waits at one end, until nothing does."""
        while self._waiting[route]:
            there = yield from self._next_session(route, fresh=False)
            messages, self._waiting[route] = self._waiting[route], []
            why = (yield from self._carry(route, messages)) if there else "no contact left"
            for message in messages:
                if message.routes and not why:
                    self._post(message)
                else:
                    message.reply.succeed(Arrival(not why, self._clock.now, why))
        del self._waiting[route]

    def _carry(self, route: Route, messages: list[_Message]) -> Generator[simpy.Event, Any, str]:
        """Send messages as one payload, over as many sessions as it takes; say why it failed."""
        way, node = route
        self._payloads[route] = number = self._payloads.get(route, 0) + 1
        size = float(sum(float(message.send.payload.bytes) for message in messages))
        payload, link = Payload(RELAY, size, number), self._links[node.cluster]
        who = np.arange(link.endpoint.cluster.devices) == node.device
        step = (
            Upload(payload, who) if way is Way.TO_SERVER else Download(payload, who, personal=True)
        )
        while True:
            receipt: Receipt = (yield from link.chain([step]))[0]  # type: ignore[assignment]
            if receipt.done[node.device]:
                return ""
            if receipt.given_up is not None and receipt.given_up[node.device]:
                corrupted = receipt.reason == CORRUPTED
                return CORRUPTED if corrupted else "cut off by the end of a contact"
            if not (yield from self._next_session(route, fresh=True)):
                return "no contact left"

    def _next_session(self, route: Route, fresh: bool) -> Generator[simpy.Event, Any, bool]:
        """Wait for a session, ``fresh`` for another one than was used last; False for none left."""
        way, node = route
        sessions = self.sessions[node.cluster]
        if sessions.over or (fresh and sessions.last):
            return False
        contact = yield from sessions.next_contact(f"{RELAY} {way} {node}", fresh, lambda: 0)
        return contact is not None
