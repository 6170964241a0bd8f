"""HopLog: keeps hops of messages over a mesh until rows of many of them are made together.

Hops are written down in the order in which they end. So that of rows that tie, which is that in
which they were written, does not depend on when rows are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask
from sim.facts.coded import Coded, Vocabulary
from sim.facts.row import Gathered, Row
from sim.facts.stream import Facts
from sim.facts.transfers import OUTCOMES, Outcome, TransferRow
from sim.links.sharing import everywhere
from sim.network.books import PayloadKey

HOPS = 1 << 14
"""Hops of which rows are made together, about."""

SERVER_NAME = ""
"""Stands for the server where satellites have passes over it."""

OVER_LINK = -1
"""Stands for the contact of a hop that goes over a link."""


class MovedOverHop(NamedTuple):
    """What of a message moved over one hop until ``end_s``: all of it, or by the end of the run.

    ``source`` and ``target`` are names of satellites or gateways, or ``SERVER_NAME``;
    ``contact_id`` is that of a pass over the server, or ``OVER_LINK``.
    """

    message: int
    source: str
    target: str
    contact_id: int
    key: PayloadKey
    version: int
    size: float
    bytes: float
    start_s: float
    end_s: float
    outcome: Outcome


class HopLog:
    """Emits hops as one fact of many, now and then; all that end until then are in it."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._hops: list[MovedOverHop] = []

    def add(self, hop: MovedOverHop) -> None:
        """Write a hop down that has ended, or got so far; none that follows has ended before."""
        self._hops.append(hop)

    @property
    def is_long(self) -> bool:
        """Whether rows may be made of what was written down."""
        return len(self._hops) >= HOPS

    def flush(self) -> None:
        """Make rows of what was written down, and emit them."""
        hops = self._hops
        if hops:
            self._hops = []
            self._facts.emit(HopRows.of(hops))


@dataclass(frozen=True, slots=True, eq=False)
class HopRows(Gathered):
    """Hops (N,) of messages, in the order in which they end, and what each is a row of.

    ``keys`` are directions, receivers and names of payloads, one for each row by its ``key``.
    ``source`` and ``target`` have the same words.
    """

    message: Ints
    source: Coded
    target: Coded
    contact_id: Ints
    keys: Sequence[PayloadKey]
    key: Ints
    version: Ints
    size: Floats
    bytes: Floats
    start_s: Floats
    end_s: Floats
    outcome: Ints

    @classmethod
    def of(cls, hops: Sequence[MovedOverHop]) -> HopRows:
        """Put hops together."""
        columns: Any = MovedOverHop(*zip(*hops, strict=True))  # type: ignore[arg-type]
        numbers: dict[PayloadKey, int] = {}
        key = [numbers.setdefault(each, len(numbers)) for each in columns.key]
        nodes = Vocabulary()
        return cls(
            message=np.array(columns.message, np.int64),
            source=Coded(nodes.codes(columns.source), nodes.words),
            target=Coded(nodes.codes(columns.target), nodes.words),
            contact_id=np.array(columns.contact_id, np.int64),
            keys=list(numbers),
            key=np.array(key, np.int64),
            version=np.array(columns.version, np.int64),
            size=np.array(columns.size, float),
            bytes=np.array(columns.bytes, float),
            start_s=np.array(columns.start_s, float),
            end_s=np.array(columns.end_s, float),
            outcome=np.array(columns.outcome, np.int64),
        )

    def __len__(self) -> int:
        return len(self.message)

    @property
    def delivered(self) -> Mask:
        """Which rows are hops that have ended."""
        return self.outcome == Outcome.DELIVERED

    def where(self, some: Mask) -> HopRows:
        """Return some of the rows."""
        return HopRows(
            message=self.message[some],
            source=Coded(self.source.codes[some], self.source.words),
            target=Coded(self.target.codes[some], self.target.words),
            contact_id=self.contact_id[some],
            keys=self.keys,
            key=self.key[some],
            version=self.version[some],
            size=self.size[some],
            bytes=self.bytes[some],
            start_s=self.start_s[some],
            end_s=self.end_s[some],
            outcome=self.outcome[some],
        )

    def named(self, row: int) -> str:
        """Say which message a row is of, and from where it was sent."""
        source = self.source.words[self.source.codes[row]]
        payload = self.keys[self.key[row]].payload
        return f"message {self.message[row]}, {payload} from {source or 'the server'}"

    def rows(self) -> Iterator[Row]:
        """Return the rows of transfers: those over links, and those over passes."""
        over_links = self.contact_id == OVER_LINK
        for some, through_passes in ((over_links, False), (~over_links, True)):
            if some.any():
                mine = self if everywhere(some) else self.where(some)
                yield self._transfers(mine, through_passes=through_passes)

    @staticmethod
    def _transfers(rows: HopRows, *, through_passes: bool) -> TransferRow:
        """Return rows of the transfers table, of which all or none are over passes."""
        cluster = rows.source
        peer = None
        if through_passes:
            flies = np.array([word != SERVER_NAME for word in cluster.words], bool)
            codes = np.where(flies[cluster.codes], cluster.codes, rows.target.codes)
            cluster = Coded(codes, cluster.words)
        else:
            peer = Coded(rows.target.codes, [f"{word}/0" for word in rows.target.words])
        return TransferRow(
            contact_id=rows.contact_id if through_passes else None,
            cluster=cluster,
            device=0,
            peer=peer,
            direction=Coded(rows.key, [each.direction for each in rows.keys]),
            toward=Coded(rows.key, [each.toward for each in rows.keys]),
            payload=Coded(rows.key, [each.payload for each in rows.keys]),
            version=rows.version,
            payload_bytes=rows.size,
            delivered_bytes=rows.bytes,
            start_s=rows.start_s,
            end_s=rows.end_s,
            outcome=Coded(rows.outcome, OUTCOMES),
            message=rows.message,
        )
