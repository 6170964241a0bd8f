"""Payloads that did not get through in the session in which they were sent, counted row by row."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from sim.facts.coded import Coded, Vocabulary
from sim.facts.directions import Way
from sim.plan.contacts import LAST_BITS_S
from sim.plan.plan import Plan
from sim.trace.arrow import array, as_numpy
from sim.trace.sorting import coded, grouped, says
from sim.trace.tables import pieces_of
from statements import Code, Statement
from statements.arrays import Floats, Ints, Mask

READ = ("contact_id", "cluster", "device", "toward", "payload", "version", "start_s", "outcome")


class Offers:
    """Offers of one way: a device's payload in one version and one session.

    An offer is closed when rows begin behind its session, so that only those of sessions that go on
    are in memory.
    """

    def __init__(self) -> None:
        self.closed = 0
        self.cut = 0
        self._texts = {"cluster": Vocabulary(), "payload": Vocabulary()}
        self._keys: Ints = np.zeros((5, 0), np.int64)
        self._through: Mask = np.zeros(0, bool)
        self._over_s: Floats = np.zeros(0)

    def add(self, rows: pa.Table, session: Ints, over_s: Floats) -> None:
        """Count rows in order of ``start_s``, of a session each (N,) that is over at ``over_s``."""
        if not len(rows):
            return
        numbers = [as_numpy(rows.column(key)) for key in ("device", "version")]
        texts = [self._codes(rows, key) for key in self._texts]
        self._keys = np.concatenate([self._keys, [*texts, *numbers, session]], axis=1)
        self._through = np.concatenate([self._through, says(rows, "outcome", "delivered")])
        self._over_s = np.concatenate([self._over_s, over_s])
        order, first = grouped(list(self._keys))
        self._keys = self._keys[:, order[first]]
        self._over_s = self._over_s[order[first]]
        self._through = np.logical_or.reduceat(self._through[order], first)
        self._close(self._over_s + LAST_BITS_S < rows.column("start_s")[-1].as_py())

    def close(self) -> None:
        """Close all offers: there are no more rows."""
        self._close(np.ones(len(self._through), bool))

    def _close(self, which: Mask) -> None:
        self.closed += int(which.sum())
        self.cut += int((which & ~self._through).sum())
        self._keys = self._keys[:, ~which]
        self._through = self._through[~which]
        self._over_s = self._over_s[~which]

    def _codes(self, rows: pa.Table, key: str) -> Ints:
        return self._texts[key].codes(Coded(*coded(rows.column(key))))


def cut_doubts(tables: Mapping[str, pa.Table], plan: Plan) -> Iterator[Statement]:
    """Yield a doubt on each way on which most payloads were cut by the end of a session.

    No contact cuts off what satellites send over a mesh: it goes over a pass in one piece, or not.
    """
    if plan.topology.over_mesh:
        return
    offers_of = {way: Offers() for way in Way}
    over_s = plan.contacts.session_end_s
    for transfers in pieces_of(tables, "transfers", READ):
        for way, offers in offers_of.items():
            rows = transfers.filter(array(says(transfers, "toward", way)))
            contacts = as_numpy(rows.column("contact_id"))
            offers.add(rows, plan.contacts.session[contacts], over_s[contacts])
    for way, offers in offers_of.items():
        offers.close()
        if offers.cut > offers.closed / 2:
            yield Statement.doubt(
                Code.CUT_TRANSFERS,
                "",
                f"{{cut}} of {{transfers}} transfers {plan.topology.toward(way)} were cut by the "
                "end of their contact: the payload is large for these passes",
                cut=offers.cut,
                transfers=offers.closed,
            )
