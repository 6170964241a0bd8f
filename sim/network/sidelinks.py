"""Messages between peers, over sidelinks or between satellites: one queue for each direction."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import simpy

from learning.requests.peers import Arrival, Node, Send
from sim.clock import Clock
from sim.links.sidelinks import Opening, Sidelinks
from sim.network.books import Account, Booked, PayloadKey
from sim.network.endpoint import Endpoint
from sim.network.message_facts import MessageFacts
from sim.plan.isl import IslPlan
from sim.trace.directions import TOWARD_PEER


class Part(NamedTuple):
    """``moves`` bytes of a message: begun, all sent, and there at three times.

    ``outcome`` is that of the transfers table.
    """

    begin_s: float
    sent_s: float
    end_s: float
    moves: float
    outcome: str

    def sending_s(self, by_s: float) -> float:
        """Seconds in which it was sent by a time."""
        return max(min(by_s, self.sent_s) - self.begin_s, 0.0)


@dataclass(eq=False)
class _Message:
    """A message under way: its parts in order, how many are booked, and bytes that stay through."""

    send: Send
    direction: str
    parts: list[Part]
    booked: int = 0
    through: float = 0.0

    @property
    def key(self) -> PayloadKey:
        """Of which payload it is."""
        return PayloadKey(self.direction, TOWARD_PEER, self.send.payload.name)

    @property
    def size(self) -> float:
        """Bytes in all."""
        return float(self.send.payload.bytes)


class SidelinkQueues:
    """Links between peers in use: first come, first served on each direction, of its own band.

    A message waits for those before it, is sent at the rate of the link, and is there when the last
    bit has come over the distance. One that a window between satellites cuts off goes on in the
    next one, begins again there, or is given up, by the rules of its source's endpoint; so packets
    between satellites are lost, and batteries drained.
    """

    def __init__(
        self,
        clock: Clock,
        facts: MessageFacts,
        links: Sidelinks | None,
        isls: IslPlan | None,
        endpoints: Mapping[str, Endpoint],
    ) -> None:
        self.links, self.isls = links, isls
        self._accounts: defaultdict[PayloadKey, Account] = defaultdict(Account)
        self._endpoints = endpoints
        self._clock = clock
        self._facts = facts
        self._free_s: dict[tuple[Node, Node], float] = {}
        self._sending_s: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._under_way: dict[_Message, None] = {}

    def send(
        self, send: Send, openings: Iterator[Opening], direction: str
    ) -> Generator[simpy.Event, object, Arrival]:
        """Queue a message over what opens of its link; reply when it is there, or is given up.

        At once where nothing opens that holds it, or nothing is open and it is not to wait.
        ``openings`` end later than now, in order.
        """
        first = next(openings, None)
        parts = [] if first is None else self._parts(send, chain([first], openings), direction)
        if first is None or not parts or parts[-1].outcome == "carried":
            return Arrival(False, self._clock.now, "no window left")
        if not send.wait and first.start_s > self._clock.now:
            return Arrival(False, self._clock.now, "out of sight")
        return (yield from self._carry(_Message(send, direction, parts)))

    def _parts(self, send: Send, openings: Iterable[Opening], direction: str) -> list[Part]:
        """What of a message goes when; the last part is not delivered if some stays."""
        left, now_s = float(send.payload.bytes), self._clock.now
        share, endpoint = 1.0, self._endpoints[send.source.cluster]
        if direction == "isl" and endpoint.faults is not None:
            packets, again = endpoint.faults.packets_of(left, now_s)
            self._facts.resent(send, again, packets, now_s)
            share = packets / (packets + again)  # of what is sent
        cut_transfers = endpoint.rules.cut_transfers
        ready_s = max(now_s, self._free_s.get((send.source, send.target), 0.0))
        parts: list[Part] = []
        for opening in openings:
            if opening.end_s <= ready_s:
                continue
            begin_s = max(ready_s, opening.start_s)
            sent_s, bits = opening.sent(begin_s, left * 8.0 / share)
            if sent_s < math.inf:
                if left > 0.0:  # late in a run a float cannot tell a short time: it takes some
                    sent_s = max(sent_s, math.nextafter(begin_s, math.inf))
                end_s = sent_s + opening.delay_s(sent_s)
                return [*parts, Part(begin_s, sent_s, end_s, left, "delivered")]
            moves = min(bits / 8.0 * share, left)
            outcome = "carried" if cut_transfers == "resume" else "dropped"
            parts.append(Part(begin_s, opening.end_s, opening.end_s, moves, outcome))
            if cut_transfers == "drop":
                return parts
            left -= moves if outcome == "carried" else 0.0
        return parts and [*parts[:-1], parts[-1]._replace(outcome="carried")]

    def _carry(self, message: _Message) -> Generator[simpy.Event, object, Arrival]:
        """Wait until all parts of a message are there."""
        send, last = message.send, message.parts[-1]
        account = self._accounts[message.key]
        self._free_s[send.source, send.target] = last.sent_s
        self._under_way[message] = None
        account.offered += message.size
        for part in message.parts:
            yield self._clock.at(part.end_s)
            self._book(message, part, part.end_s, part.outcome)
        del self._under_way[message]
        if last.outcome == "delivered":
            account.delivered += message.size
            return Arrival(True, last.end_s)
        account.dropped += message.size
        return Arrival(False, last.end_s, "cut off by the end of a window")

    def settle_all(self, end_s: float) -> None:
        """Write what is still under way as far as it got by ``end_s``, when the run has ended."""
        for message in self._under_way:
            self._book(message, message.parts[message.booked], end_s, "carried")

    def booked(self) -> Iterator[Booked]:
        """Yield the account of each payload, and what is under way of it."""
        for key, account in self._accounts.items():
            under_way = [message for message in self._under_way if message.key == key]
            yield Booked(
                key,
                account,
                open_bytes=sum(message.size for message in under_way),
                unfinished_bytes=sum(message.through for message in under_way),
            )

    def sending_s(self, cluster: str, by_s: float) -> tuple[float, float]:
        """Seconds in which a cluster's devices have sent over sidelinks by a time, together, and
        over links between satellites."""
        sent_s = {way: self._sending_s[cluster, way] for way in ("sidelink", "isl")}
        for message in self._under_way:
            if message.send.source.cluster == cluster:
                for part in message.parts[message.booked :]:
                    sent_s[message.direction] += part.sending_s(by_s)
        return sent_s["sidelink"], sent_s["isl"]

    def _book(self, message: _Message, part: Part, end_s: float, outcome: str) -> None:
        """Count what was sent by a time, with a row of it; a message of no bytes has none."""
        account, cluster = self._accounts[message.key], message.send.source.cluster
        lasts_s, moved = part.sending_s(end_s), part.moves
        if end_s < part.sent_s:  # one of no bytes takes no time, and may still wait its turn
            moved = moved * lasts_s / (part.sent_s - part.begin_s) if lasts_s else 0.0
        account.sent += moved
        message.booked += 1
        message.through += moved
        if outcome == "dropped":
            account.sent_in_vain += moved
            message.through = 0.0
        self._sending_s[cluster, message.direction] += lasts_s
        battery = self._endpoints[cluster].devices.battery
        if message.direction == "isl" and battery is not None:
            battery.send(end_s, lasts_s, to_peer=True)
        if moved > 0.0:
            self._facts.moved(message.send, message.direction, moved, part.begin_s, end_s, outcome)
