"""Messages over sidelinks: one queue per pair of devices."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Generator

import simpy

from learning.requests.peers import Arrival, Node, Send
from sim.clock import Clock
from sim.links.sidelinks import Sidelinks
from sim.network.event_rows import Rows
from sim.network.ledger import Account
from sim.network.steps import Transmission
from sim.trace.schema import DIRECTIONS


class SidelinkQueues:
    """Sidelinks in use: first come, first served on each directed link, with a band of its own.

    A message waits for those before it, is sent at the rate of the link, and is there when the last
    bit has come over the distance. ``accounts`` are of all messages so far.
    """

    def __init__(self, clock: Clock, rows: Rows, links: Sidelinks | None) -> None:
        self.links = links
        self.accounts = {direction: Account() for direction in DIRECTIONS}
        self._account = self.accounts["sidelink"]
        self._clock = clock
        self._rows = rows
        self._free_s: dict[tuple[Node, Node], float] = {}
        self._sending_s: defaultdict[str, float] = defaultdict(float)
        self._under_way: dict[Transmission, float] = {}

    def send(self, send: Send) -> Generator[simpy.Event, object, Arrival]:
        """Queue a message; reply when it is there."""
        sent = self._planned(send)
        self._under_way[sent] = 0.0
        self._account.offered += sent.size
        yield self._clock.at(sent.end_s)
        del self._under_way[sent]
        self._account.delivered += sent.size
        self._book(sent, sent.size, sent.end_s, "delivered")
        return Arrival(True, sent.end_s)

    def settle_all(self, end_s: float) -> None:
        """Write what is still under way as far as it got by ``end_s``, when the run has ended."""
        for sent in self._under_way:
            moved = sent.sent_bytes(end_s)
            self._under_way[sent] = moved
            self._book(sent, moved, end_s, "carried")

    def open_bytes(self, direction: str) -> tuple[float, float]:
        """Sizes of the messages under way, and what is booked as sent of them, all together."""
        mine = self._under_way if direction == "sidelink" else {}
        return sum(sent.size for sent in mine), sum(mine.values())

    def sending_s(self, cluster: str, by_s: float) -> float:
        """Seconds in which a cluster's devices have sent by a time, all together."""
        under_way = (s.sending_s(by_s) for s in self._under_way if s.source.cluster == cluster)
        return self._sending_s[cluster] + sum(under_way)

    def _planned(self, send: Send) -> Transmission:
        link, size = (send.source, send.target), float(send.payload.bytes)
        assert self.links is not None  # else nobody sends over one
        apart_m = self.links.apart_m(*link)
        begin_s = max(self._clock.now, self._free_s.get(link, 0.0))
        sent_s = begin_s + size * 8.0 / self.links.rate_bps(apart_m)
        if size > 0.0:
            # Late in a run a float cannot tell a short time: a message still takes some.
            sent_s = max(sent_s, math.nextafter(begin_s, math.inf))
        self._free_s[link] = sent_s
        end_s = sent_s + self.links.delay_s(apart_m)
        name, version = send.payload.name, int(send.payload.version)
        return Transmission(*link, name, version, size, begin_s, sent_s, end_s)

    def _book(self, sent: Transmission, moved: float, end_s: float, outcome: str) -> None:
        """Count what was sent, with a row of it; a message of no bytes has none."""
        self._account.sent += moved
        if outcome == "delivered":
            self._sending_s[sent.source.cluster] += sent.sending_s(end_s)
        if moved > 0.0:
            self._rows.message(sent, moved, end_s, outcome)
