"""Payloads that did not get through in the session in which they were sent, counted row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning.requests.cluster import Floats, Ints, Mask
from sim.coded import Coded, Vocabulary
from sim.contacts import LAST_BITS_S
from sim.grouping import grouped, says
from sim.tables import pieces_of

if TYPE_CHECKING:
    from sim.plan import Plan

READ = ("contact_id", "cluster", "device", "direction", "payload", "version", "start_s", "outcome")


class Offers:
    """One direction's offers: a device's payload in one version and one session.

    An offer is closed when rows begin behind its session, so that only those of sessions that go on
    are in memory.
    """

    def __init__(self) -> None:
        self.closed = 0
        self.cut = 0
        self._texts = {"cluster": Vocabulary(), "payload": Vocabulary()}
        self._keys: Ints = np.zeros((0, 5), np.int64)
        self._through: Mask = np.zeros(0, bool)
        self._over_s: Floats = np.zeros(0)

    def add(self, rows: pa.Table, session: Ints, over_s: Floats) -> None:
        """Count rows in order of ``start_s``, of a session each (N,) that is over at ``over_s``."""
        if not len(rows):
            return
        numbers = [rows.column(key).to_numpy() for key in ("device", "version")]
        texts = [self._codes(rows, key) for key in self._texts]
        self._keys = np.concatenate([self._keys, np.stack([*texts, *numbers, session], axis=1)])
        self._through = np.concatenate([self._through, says(rows, "outcome", "delivered")])
        self._over_s = np.concatenate([self._over_s, over_s])
        order, first = grouped(list(self._keys.T))
        self._keys, self._over_s = self._keys[order[first]], self._over_s[order[first]]
        self._through = np.logical_or.reduceat(self._through[order], first)
        self._close(self._over_s + LAST_BITS_S < rows.column("start_s")[-1].as_py())

    def close(self) -> None:
        """Close all offers: there are no more rows."""
        self._close(np.ones(len(self._keys), bool))

    def _close(self, which: Mask) -> None:
        self.closed += int(which.sum())
        self.cut += int((which & ~self._through).sum())
        self._keys, self._through = self._keys[~which], self._through[~which]
        self._over_s = self._over_s[~which]

    def _codes(self, rows: pa.Table, key: str) -> Ints:
        texts = rows.column(key).combine_chunks().dictionary_encode()
        coded = Coded(texts.indices.to_numpy(), texts.dictionary.to_pylist())
        return self._texts[key].codes(coded)


def cut_lines(tables: Mapping[str, pa.Table], plan: Plan) -> Iterator[str]:
    """Yield a line for each direction in which most payloads were cut by the end of a session."""
    sessions, over_s = _sessions(plan)
    found = {"uplink": Offers(), "downlink": Offers()}
    for transfers in pieces_of(tables, "transfers", READ):
        for direction, offers in found.items():
            rows = transfers.filter(pc.equal(transfers.column("direction"), direction))
            contacts = rows.column("contact_id").to_numpy()
            offers.add(rows, sessions[contacts], over_s[contacts])
    for direction, offers in found.items():
        offers.close()
        if offers.cut > offers.closed / 2:
            yield (
                f"{offers.cut} of {offers.closed} {direction} transfers were cut by the end of "
                "their contact: the payload is large for these passes"
            )


def _sessions(plan: Plan) -> tuple[Ints, Floats]:
    """Number of each contact's session, and when that is over; not served, it has none."""
    over_s: dict[tuple[str, int], float] = {}
    of_contacts = [(contact.cluster.name, contact.session) for contact in plan.contacts]
    for session, contact in zip(of_contacts, plan.contacts, strict=True):
        if contact.served:
            over_s[session] = max(contact.end_s, over_s.get(session, 0.0))
    numbers = np.array([number for _, number in of_contacts], np.int64)
    return numbers, np.array([over_s.get(session, np.nan) for session in of_contacts])
