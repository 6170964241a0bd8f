"""HopRows: hops of messages over a mesh that have ended, or were cut off, as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from learning.requests.cluster import Floats, Ints, Mask
from sim.facts.coded import Coded
from sim.facts.row import Fact, Row
from sim.facts.transfers import OUTCOMES, Outcome, TransferRow
from sim.links.sharing import everywhere
from sim.network.books import PayloadKey

SERVER_NAME = ""
"""Stands for the server where satellites have passes over it."""

OVER_LINK = -1
"""Stands for the contact of a hop that goes over a link."""


@dataclass(frozen=True, slots=True, eq=False)
class HopRows(Fact):
    """Hops (N,) of messages, in the order in which they end, and what each is a row of.

    ``keys`` are directions, receivers and names of payloads, one for each row by its ``key``.
    ``source`` and ``target`` have the same words. It follows its rows, for who looks at them with
    what only the hops state.
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
            on_air_bytes=rows.bytes,
        )
