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
from sim.network.chains import ServiceLink
from sim.network.sessions import ClusterSessions

Relaying = Literal["none", "contact", "store"]

RELAY = "relay"
"""Name of what relayed messages of one device are sent as, together."""

Way = tuple[Literal["uplink", "downlink"], Node]


@dataclass(frozen=True, eq=False)
class _Message:
    send: Send
    ways: list[Way]
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
        self._waiting: dict[Way, list[_Message]] = {}
        self._payloads: dict[Way, int] = {}

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
        both: list[Way] = [("uplink", send.source), ("downlink", send.target)]
        message = _Message(send, [way for way in both if way[1] != SERVER], self._clock.event())
        self._post(message)
        return (yield message.reply)

    def _post(self, message: _Message) -> None:
        """Let a message wait for its next way, and start a courier for it if there is none."""
        way = message.ways.pop(0)
        if way in self._waiting:
            self._waiting[way].append(message)
            return
        self._waiting[way] = [message]
        self._clock.start(f"{RELAY} {way[0]} {way[1]}", self._courier(way))

    def _courier(self, way: Way) -> Process:
        """Carry all that waits at one end, until nothing does."""
        while self._waiting[way]:
            there = yield from self._next_session(way, fresh=False)
            messages, self._waiting[way] = self._waiting[way], []
            why = (yield from self._carry(way, messages)) if there else "no contact left"
            for message in messages:
                if message.ways and not why:
                    self._post(message)
                else:
                    message.reply.succeed(Arrival(not why, self._clock.now, why))
        del self._waiting[way]

    def _carry(self, way: Way, messages: list[_Message]) -> Generator[simpy.Event, Any, str]:
        """Send messages as one payload, over as many sessions as it takes; say why it failed."""
        direction, node = way
        self._payloads[way] = number = self._payloads.get(way, 0) + 1
        size = float(sum(float(message.send.payload.bytes) for message in messages))
        payload, link = Payload(RELAY, size, number), self._links[node.cluster]
        who = np.arange(link.devices) == node.device
        step = (
            Upload(payload, who) if direction == "uplink" else Download(payload, who, personal=True)
        )
        while True:
            receipt: Receipt = (yield from link.chain([step]))[0]  # type: ignore[assignment]
            if receipt.done[node.device]:
                return ""
            if receipt.given_up is not None and receipt.given_up[node.device]:
                corrupted = receipt.reason == CORRUPTED
                return CORRUPTED if corrupted else "cut off by the end of a contact"
            if not (yield from self._next_session(way, fresh=True)):
                return "no contact left"

    def _next_session(self, way: Way, fresh: bool) -> Generator[simpy.Event, Any, bool]:
        """Wait for a session, ``fresh`` for another one than was used last; False for none left."""
        direction, node = way
        sessions = self.sessions[node.cluster]
        if sessions.over or (fresh and sessions.last):
            return False
        contact = yield from sessions.next_contact(f"{RELAY} {direction} {node}", fresh, lambda: 0)
        return contact is not None
