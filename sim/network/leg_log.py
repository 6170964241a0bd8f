"""LegLog: keeps what legs came to until rows of many of them are made together.

A record refers to the arrays (K,) of its leg. Rows of transfers, and events of training, transfers
and drops, are made of many records at once: when the log is long enough, before anybody reads the
trace, and at the end. No other rows are of these kinds and name a contact's device, so that the
order of rows that tie, which is that in which they were written, does not depend on when.
"""

from __future__ import annotations

from sim.facts.stream import Facts
from sim.network.leg_rows import LegRows, MovedRows, TrainedRows
from sim.network.legs import Dropped, Edge, Leg, Moved, Trained
from sim.trace.directions import Topology

LEGS = 1000
"""Records of which rows are made together, at most."""
ROWS = 1 << 16
"""Devices of all records together, about, from which on rows are made of fewer records."""


class LegLog:
    """Emits each leg as a fact when it is written down, and rows of many legs now and then.

    ``topology`` says which directions transfers have in tables.
    """

    def __init__(self, facts: Facts, topology: Topology = Topology.GROUND_CLIENTS) -> None:
        self._facts = facts
        self._topology = topology
        self._legs: list[Leg] = []
        self._edges: list[Edge] = []
        self._devices = 0

    def add(self, leg: Leg) -> None:
        """Write down what a leg came to, or what is dropped of one."""
        self._facts.emit(leg)
        self._legs.append(leg)
        self._devices += len(leg.who)
        if len(self._legs) >= LEGS or self._devices >= ROWS:
            self.flush()

    def contact(self, edge: Edge) -> None:
        """Write down that a contact opens or closes."""
        self._edges.append(edge)
        if len(self._edges) >= ROWS:
            self.flush()

    def flush(self) -> None:
        """Make rows of what was written down, and emit them."""
        legs, edges = self._legs, self._edges
        if not legs and not edges:
            return
        self._legs = []
        self._edges = []
        self._devices = 0
        moved = [leg for leg in legs if isinstance(leg, Moved)]
        in_contacts: list[Trained] = []
        in_gaps: list[Trained] = []
        for leg in legs:
            if isinstance(leg, Trained):
                (in_gaps if leg.contact_id is None else in_contacts).append(leg)
        self._facts.emit(
            LegRows(
                MovedRows.of(moved, self._topology) if moved else None,
                [TrainedRows.of(trained) for trained in (in_contacts, in_gaps) if trained],
                [leg for leg in legs if isinstance(leg, Dropped)],
                edges,
            )
        )
