"""Messages between peers, over sidelinks or between satellites: one queue for each direction."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import simpy

from learning.requests.peers import Arrival, Node, Send
from sim.clock import Clock
from sim.links.sidelinks import Sidelinks
from sim.network.event_rows import Rows
from sim.network.ledger import Account, CutTransfers
from sim.network.steps import Transmission
from sim.plan.isl import IslPlan
from sim.trace.schema import DIRECTIONS


@dataclass(eq=False)
class _Message:
    """A message under way: its parts in order, how many are booked, and bytes that stay through."""

    parts: list[Transmission]
    booked: int = 0
    through: float = 0.0


class SidelinkQueues:
    """Links between peers in use: first come, first served on each direction, of its own band.

    A message waits for those before it, is sent at the rate of the link, and is there when the last
    bit has come over the distance. One that a window between satellites cuts off goes on in the
    next one, begins again there, or is given up, as ``cut_transfers`` says. ``accounts`` are of all
    messages so far.
    """

    def __init__(
        self,
        clock: Clock,
        rows: Rows,
        links: Sidelinks | None,
        isls: IslPlan | None = None,
        cut_transfers: CutTransfers = "resume",
    ) -> None:
        self.links, self.isls, self.cut_transfers = links, isls, cut_transfers
        self.accounts = {direction: Account() for direction in DIRECTIONS}
        self._clock = clock
        self._rows = rows
        self._free_s: dict[tuple[Node, Node], float] = {}
        self._sending_s: defaultdict[str, float] = defaultdict(float)
        self._under_way: dict[_Message, None] = {}

    def send(self, send: Send) -> Generator[simpy.Event, object, Arrival]:
        """Queue a message over a sidelink; reply when it is there."""
        assert self.links is not None  # else nobody sends over one
        apart_m = self.links.apart_m(send.source, send.target)
        begin_s = max(self._clock.now, self._free_s.get((send.source, send.target), 0.0))
        sent_s = self._sent_s(begin_s, send.payload.bytes, self.links.rate_bps(apart_m))
        end_s = sent_s + self.links.delay_s(apart_m)
        part = self._part(send, begin_s, sent_s, end_s, send.payload.bytes, "sidelink")
        return (yield from self._carry(_Message([part])))

    def send_between_satellites(self, send: Send) -> Generator[simpy.Event, object, Arrival]:
        """Queue a message over the windows of a pair; reply when it is there, or is given up.

        At once where no window is left for it, or none is open and it is not to wait.
        """
        parts = self._in_windows(send)
        if not parts or parts[-1].outcome == "carried":
            return Arrival(False, self._clock.now, "no window left")
        if not send.wait and not self._is_open(send):
            return Arrival(False, self._clock.now, "out of sight")
        return (yield from self._carry(_Message(parts)))

    def _is_open(self, send: Send) -> bool:
        assert self.isls is not None  # else nobody sends over one
        mine, now = self.isls.windows(send.source.cluster, send.target.cluster), self._clock.now
        return bool(((self.isls.start_s[mine] <= now) & (now < self.isls.end_s[mine])).any())

    def _in_windows(self, send: Send) -> list[Transmission]:
        """What of a message goes in which window; the last part is not delivered if some stays."""
        isls, left = self.isls, float(send.payload.bytes)
        assert isls is not None  # as above
        ready_s = max(self._clock.now, self._free_s.get((send.source, send.target), 0.0))
        mine = isls.windows(send.source.cluster, send.target.cluster)
        parts = []
        for window in mine[isls.end_s[mine] > ready_s].tolist():
            begin_s = max(ready_s, float(isls.start_s[window]))
            rate_bps, over_s = float(isls.rate_bps[window]), float(isls.end_s[window])
            sent_s, moves = self._sent_s(begin_s, left, rate_bps), left
            outcome = "delivered"
            if sent_s > over_s:
                sent_s, moves = over_s, min((over_s - begin_s) * rate_bps / 8.0, left)
                outcome = "carried" if self.cut_transfers == "resume" else "dropped"
                left -= moves if outcome == "carried" else 0.0
            end_s = sent_s + float(isls.delay_s[window]) * (outcome == "delivered")
            parts.append(self._part(send, begin_s, sent_s, end_s, moves, "isl", outcome))
            if outcome == "delivered" or self.cut_transfers == "drop":
                return parts
        return parts and [*parts[:-1], replace(parts[-1], outcome="carried")]

    def _carry(self, message: _Message) -> Generator[simpy.Event, object, Arrival]:
        """Wait until all parts of a message are there."""
        last = message.parts[-1]
        account = self.accounts[last.direction]
        self._free_s[last.source, last.target] = last.sent_s
        self._under_way[message] = None
        account.offered += last.size
        for part in message.parts:
            yield self._clock.at(part.end_s)
            self._book(message, part, part.moves, part.end_s, part.outcome)
        del self._under_way[message]
        if last.outcome == "delivered":
            account.delivered += last.size
            return Arrival(True, last.end_s)
        account.dropped += last.size
        return Arrival(False, last.end_s, "cut off by the end of a window")

    def settle_all(self, end_s: float) -> None:
        """Write what is still under way as far as it got by ``end_s``, when the run has ended."""
        for message in self._under_way:
            part = message.parts[message.booked]
            self._book(message, part, part.sent_bytes(end_s), end_s, "carried")

    def open_bytes(self, direction: str) -> tuple[float, float]:
        """Sizes of the messages under way, and what is booked as sent of them, all together."""
        mine = [m for m in self._under_way if m.parts[0].direction == direction]
        return sum(m.parts[0].size for m in mine), sum(m.through for m in mine)

    def sending_s(self, cluster: str, by_s: float) -> float:
        """Seconds in which a cluster's devices have sent over sidelinks by a time, together."""
        parts = (message.parts[0] for message in self._under_way)
        mine = (p for p in parts if p.source.cluster == cluster and p.direction == "sidelink")
        return self._sending_s[cluster] + sum(part.sending_s(by_s) for part in mine)

    @staticmethod
    def _sent_s(begin_s: float, size: Any, rate_bps: float) -> float:
        """When so many bytes are sent."""
        sent_s = begin_s + float(size) * 8.0 / rate_bps
        # Late in a run a float cannot tell a short time: a message still takes some.
        return max(sent_s, math.nextafter(begin_s, math.inf)) if size > 0.0 else sent_s

    @staticmethod
    def _part(
        send: Send, begin_s: float, sent_s: float, end_s: float, moves: Any, *how: str
    ) -> Transmission:
        name, version = send.payload.name, int(send.payload.version)
        what = send.source, send.target, name, version, float(send.payload.bytes)
        return Transmission(*what, begin_s, sent_s, end_s, float(moves), *how)

    def _book(
        self, message: _Message, part: Transmission, moved: float, end_s: float, outcome: str
    ) -> None:
        """Count what was sent, with a row of it; a message of no bytes has none."""
        account = self.accounts[part.direction]
        account.sent += moved
        message.booked += 1
        message.through += moved
        if outcome == "dropped":
            account.sent_in_vain += moved
            message.through = 0.0
        if outcome == "delivered" and part.direction == "sidelink":
            self._sending_s[part.source.cluster] += part.sending_s(end_s)
        if moved > 0.0:
            self._rows.message(part, moved, end_s, outcome)
