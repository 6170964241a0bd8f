"""LinkQueue: messages from one client to another, over links of one kind, in queues.

A queue of messages goes over whatever opens of its link: always a sidelink, at times a link between
satellites. Chains go over the sessions of all devices at once, in closed form, and stay apart from
it; what is relayed goes as part of them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Literal, NamedTuple

import numpy as np
import simpy

from learning.requests.peers import Arrival, Node, Send
from learning.requests.reasons import Reason
from sim.devices.faults import LinkFaults
from sim.facts.directions import TOWARD_PEER
from sim.facts.faults import PacketsResent
from sim.facts.transfers import Outcome, TransferRow
from sim.links.sidelinks import Opening, Sent, share_sent
from sim.network.books import Account, PayloadKey
from sim.network.chains import ServiceLink
from sim.network.endpoint import OF_CUT_OFF, Shared

Direction = Literal["sidelink", "isl"]

IN_VAIN = (Outcome.DROPPED, Outcome.RESTARTED)
"""What was sent of a part does not count for the message."""


class Part(NamedTuple):
    """``moves`` bytes of a message: begun, all sent, and there at three times; and what becomes of
    the message then.

    On the air, with packets sent again, they are ``bits``, which leave by the law ``sent`` of the
    opening.
    """

    begin_s: float
    sent_s: float
    end_s: float
    moves: float
    outcome: Outcome
    bits: float
    sent: Sent

    def sending_s(self, by_s: float) -> float:
        """Seconds in which it was sent by a time."""
        return max(min(by_s, self.sent_s) - self.begin_s, 0.0)

    def share_by(self, by_s: float) -> float:
        """Share of its bytes that was sent by a time between both ends."""
        return share_sent(
            partial(self.sent, self.begin_s), self.begin_s, self.sent_s, self.bits, by_s
        )


@dataclass(eq=False)
class _Message:
    """A message under way: its parts in order, how many are booked, and bytes that stay through."""

    send: Send
    parts: list[Part]
    booked: int = 0
    through: float = 0.0

    @property
    def size(self) -> float:
        """Bytes in all."""
        return float(self.send.payload.bytes)


class LinkQueue:
    """Links of one kind in use: first come, first served from each node to another.

    A message waits for those before it, is sent at the rate of the link, and is there when the last
    bit has come over the distance. One that the end of a window cuts off goes on in the next one,
    begins again there, or is given up, by the rules of its source's endpoint. Links between
    satellites (``isl``) lose packets, and drain batteries.
    """

    def __init__(
        self,
        direction: Direction,
        shared: Shared,
        links: Mapping[str, ServiceLink],
    ) -> None:
        self._direction = direction
        self._clock = shared.clock
        self._facts = shared.facts
        self._books = shared.books
        self._links = links
        self._between_satellites = direction == "isl"
        self._free_s: dict[tuple[Node, Node], float] = {}
        self._sending_s: defaultdict[str, float] = defaultdict(float)
        self._under_way: dict[_Message, None] = {}

    def send(
        self, send: Send, openings: Iterator[Opening]
    ) -> Generator[simpy.Event, object, Arrival]:
        """Queue a message over what opens of its link; reply when it is there, or is given up.

        At once where nothing opens that holds it, or nothing is open and it is not to wait.
        ``openings`` end later than now, in order.
        """
        key = PayloadKey(self._direction, TOWARD_PEER, send.payload.name)
        self._books.enlist(key, send.payload, np.ones(1, bool))
        first = next(openings, None)
        packets, again = self._packets(send)
        share = packets / (packets + again)
        parts = [] if first is None else self._parts(send, chain([first], openings), share)
        if first is None or not parts or parts[-1].outcome == Outcome.CARRIED:
            return Arrival(delivered=False, time_s=self._clock.now, reason=Reason.NO_WINDOW_LEFT)
        if not send.wait and first.start_s > self._clock.now:
            return Arrival(delivered=False, time_s=self._clock.now, reason=Reason.OUT_OF_SIGHT)
        self._tell_resent(send, packets, again)
        return (yield from self._carry(_Message(send, parts)))

    def _parts(self, send: Send, openings: Iterable[Opening], share: float) -> list[Part]:
        """What of a message goes when; the last part is not delivered if some stays.

        Of what is sent, packets that are sent again leave the message its ``share``.
        """
        left = float(send.payload.bytes)
        cut_off = OF_CUT_OFF[self._links[send.source.cluster].cut_transfers]
        ready_s = max(self._clock.now, self._free_s.get((send.source, send.target), 0.0))
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
                bits = left * 8.0 / share
                whole = Part(begin_s, sent_s, end_s, left, Outcome.DELIVERED, bits, opening.sent)
                return [*parts, whole]
            moves = min(bits / 8.0 * share, left)
            end_s = opening.end_s
            parts.append(Part(begin_s, end_s, end_s, moves, cut_off, bits, opening.sent))
            if cut_off == Outcome.DROPPED:
                return parts
            if cut_off == Outcome.CARRIED:
                left -= moves
        return parts and [*parts[:-1], parts[-1]._replace(outcome=Outcome.CARRIED)]

    def _faults(self, send: Send) -> LinkFaults | None:
        """Return the faults of a message's link; None where it loses no packets."""
        return self._links[send.source.cluster].faults if self._between_satellites else None

    def _packets(self, send: Send) -> tuple[int, int]:
        """Return the packets of a message, and how many of them are sent again."""
        faults = self._faults(send)
        return (1, 0) if faults is None else faults.packets_of(send.payload, send.target)

    def _tell_resent(self, send: Send, packets: int, again: int) -> None:
        """Count a message that is sent, and tell of its packets that are sent again."""
        if (faults := self._faults(send)) is not None:
            faults.count(send.payload, send.target)
        if again:
            self._facts.emit(
                PacketsResent(
                    time_s=self._clock.now,
                    cluster=send.source.cluster,
                    payload=send.payload.name,
                    again=again,
                    packets=packets,
                )
            )

    def _carry(self, message: _Message) -> Generator[simpy.Event, object, Arrival]:
        """Wait until all parts of a message are there."""
        send = message.send
        last = message.parts[-1]
        account = self._account(send)
        self._free_s[send.source, send.target] = last.sent_s
        self._under_way[message] = None
        account.offered += message.size
        for part in message.parts:
            yield self._clock.at(part.end_s)
            self._book(message, part, part.end_s, part.outcome)
        del self._under_way[message]
        if last.outcome == Outcome.DELIVERED:
            account.delivered += message.size
            return Arrival(delivered=True, time_s=last.end_s)
        account.dropped += message.size
        return Arrival(delivered=False, time_s=last.end_s, reason=Reason.CUT_BY_WINDOW)

    def _account(self, send: Send) -> Account:
        """Return the account of a message's payload."""
        name = send.payload.name
        key = PayloadKey(self._direction, TOWARD_PEER, name)
        return self._books.account(key, still_open=partial(self._still_open, name))

    def _still_open(self, name: str) -> tuple[float, float]:
        """Return the bytes of a payload's messages under way, and what of them is through."""
        under_way = [one for one in self._under_way if one.send.payload.name == name]
        through = sum(message.through for message in under_way)
        return sum(message.size for message in under_way), through

    def settle_all(self, end_s: float) -> None:
        """Write what is still under way as far as it got by ``end_s``, when the run has ended."""
        for message in self._under_way:
            self._book(message, message.parts[message.booked], end_s, Outcome.CARRIED)

    def _book(self, message: _Message, part: Part, end_s: float, outcome: Outcome) -> None:
        """Count what was sent by a time, with a row of it; a message of no bytes has none."""
        send = message.send
        account = self._account(send)
        cluster = send.source.cluster
        lasts_s = part.sending_s(end_s)
        moved = part.moves
        if end_s < part.sent_s:  # one of no bytes takes no time, and may still wait its turn
            moved *= part.share_by(end_s) if lasts_s else 0.0
        account.sent += moved
        message.booked += 1
        message.through += moved
        if outcome in IN_VAIN:
            account.sent_in_vain += moved
            message.through = 0.0
        self._sending_s[cluster] += lasts_s
        battery = self._links[cluster].devices.battery
        if self._between_satellites and battery is not None:
            battery.send(end_s, lasts_s, to_peer=True)
        if moved > 0.0:
            self._facts.emit(
                TransferRow(
                    cluster=cluster,
                    device=send.source.device,
                    peer=str(send.target),
                    direction=self._direction,
                    toward=TOWARD_PEER,
                    payload=send.payload.name,
                    version=int(send.payload.version),
                    payload_bytes=message.size,
                    delivered_bytes=moved,
                    start_s=part.begin_s,
                    end_s=end_s,
                    outcome=outcome.word,
                    on_air_bytes=moved,
                )
            )

    def sending_s(self, cluster: str, by_s: float) -> float:
        """Seconds in which a cluster's devices have sent by a time, all together."""
        sent_s = self._sending_s[cluster]
        for message in self._under_way:
            if message.send.source.cluster == cluster:
                for part in message.parts[message.booked :]:
                    sent_s += part.sending_s(by_s)
        return sent_s
