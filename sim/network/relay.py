"""Messages through the satellites: up in the source's contacts, down in the target's."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import simpy

from learning.requests.cluster import Download, Receipt, Upload
from learning.requests.payload import Payload
from learning.requests.peers import SERVER, Arrival, Node, Send
from learning.requests.reasons import Reason
from sim.clock import Clock, Process
from sim.facts.directions import Way
from sim.network.chains import ServiceLink

Relaying = Literal["none", "contact", "store"]

RELAY = "relay"
"""Name of what relayed messages of one device are sent as, together."""


class Access(NamedTuple):
    """One way over the link of a device: from it to the server, or from that to it."""

    way: Way
    node: Node

    def __str__(self) -> str:
        return f"{RELAY} to the {self.way}, {self.node}"


@dataclass(frozen=True, eq=False)
class _Message:
    """A message, the accesses that it has still to go over, and who waits for it."""

    send: Send
    accesses: list[Access]
    reply: simpy.Event


class Relay:
    """Stores messages at the satellites and forwards them, over the links of the clusters.

    What waits at a device when a session is open goes up together, and what waits for one comes
    down together: as a chain of one step, so that it shares the beam with all other chains. A
    payload that a session cuts off is finished in the next one, as the ledger of
    its link says.
    """

    def __init__(
        self,
        clock: Clock,
        links: Mapping[str, ServiceLink],
        policy: Relaying,
    ) -> None:
        self._clock = clock
        self._links = links
        self._policy = policy
        self._waiting: dict[Access, list[_Message]] = {}
        self._payloads: dict[Access, int] = {}

    def unreachable(self, source: str, target: str) -> Reason:
        """Say why devices of one cluster cannot reach those of another now, if they cannot."""
        ends = self._links[source].sessions, self._links[target].sessions
        if self._policy == "none":
            return Reason.NO_RELAY
        if any(sessions.over for sessions in ends):
            return Reason.NO_CONTACT_LEFT
        if self._policy == "contact" and any(sessions.open is None for sessions in ends):
            return Reason.NOT_IN_CONTACT
        return Reason.NONE

    def send(self, send: Send) -> Generator[simpy.Event, Any, Arrival]:
        """Carry a message up and down, or one way alone where it is from the server, or for it.

        Reply when it is there, or when no contact is left for it.
        """
        both = [Access(Way.TO_SERVER, send.source), Access(Way.TO_CLIENT, send.target)]
        accesses = [access for access in both if access.node != SERVER]
        message = _Message(send, accesses, self._clock.event())
        self._post(message)
        return (yield message.reply)

    def _post(self, message: _Message) -> None:
        """Let a message wait for its next access, and start a courier for it if there is none."""
        access = message.accesses.pop(0)
        if access in self._waiting:
            self._waiting[access].append(message)
            return
        self._waiting[access] = [message]
        self._clock.start(str(access), self._courier(access))

    def _courier(self, access: Access) -> Process:
        """Carry all that waits at one end, until nothing does."""
        while self._waiting[access]:
            there = yield from self._next_session(access, fresh=False)
            messages = self._waiting[access]
            self._waiting[access] = []
            why = Reason.NO_CONTACT_LEFT
            if there:
                why = yield from self._carry(access, messages)
            for message in messages:
                if message.accesses and not why:
                    self._post(message)
                else:
                    message.reply.succeed(
                        Arrival(delivered=not why, time_s=self._clock.now, reason=why)
                    )
        del self._waiting[access]

    def _carry(
        self, access: Access, messages: list[_Message]
    ) -> Generator[simpy.Event, Any, Reason]:
        """Send messages as one payload, over as many sessions as it takes; say why it failed."""
        node = access.node
        self._payloads[access] = number = self._payloads.get(access, 0) + 1
        size = float(sum(float(message.send.payload.bytes) for message in messages))
        payload = Payload(RELAY, size, number)
        link = self._links[node.cluster]
        who = np.arange(link.endpoint.cluster.devices) == node.device
        step: Upload | Download = Upload(payload, who)
        if access.way is Way.TO_CLIENT:
            step = Download(payload, who, personal=True)
        while True:
            receipt: Receipt = (yield from link.chain([step]))[0]  # type: ignore[assignment]
            if receipt.done[node.device]:
                return Reason.NONE
            if receipt.given_up is not None and receipt.given_up[node.device]:
                corrupted = receipt.reason is Reason.CORRUPTED
                return Reason.CORRUPTED if corrupted else Reason.CUT_BY_CONTACT
            if not (yield from self._next_session(access, fresh=True)):
                return Reason.NO_CONTACT_LEFT

    def _next_session(self, access: Access, *, fresh: bool) -> Generator[simpy.Event, Any, bool]:
        """Wait for a session, ``fresh`` for another one than was used last; False for none left."""
        sessions = self._links[access.node.cluster].sessions
        if sessions.over or (fresh and sessions.last):
            return False
        contact = yield from sessions.next_contact(str(access), lambda: 0, fresh=fresh)
        return contact is not None
