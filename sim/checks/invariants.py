"""All invariants of a run that goes on: they see every fact, and the books at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from sim.checks.conservation import Payloads
from sim.checks.elevation import Gate
from sim.checks.payload_books import PayloadBooks
from sim.checks.staleness import Versions
from sim.checks.timing import ServedContacts, TimeCheck
from sim.facts.learning import Evaluated, ModelAggregated
from sim.facts.row import Fact, Row
from sim.facts.stream import Take
from sim.facts.transfers import (
    Connected,
    PartDropped,
    TrainingStarted,
    TransferRow,
    TransferStarted,
)
from sim.network.books import Account
from sim.network.legs import ChainEnded, HopRows, LegRows, Moved
from sim.plan.plan import Plan

if TYPE_CHECKING:
    from learning.learner import Learner
    from learning.models.stacked import Frozen


class MessageCheck(Protocol):
    """Follows messages over a mesh, hop by hop."""

    def moved(self, rows: HopRows) -> None:
        """Look at hops, all that have ended by now."""

    def accessed(self, moved: Moved) -> None:
        """Look at what moved in a pass below the mesh."""

    def ended(self, chain: ChainEnded) -> None:
        """Remember what a client is told of its transfers, to hold it against the hops."""

    def conclude(self) -> None:
        """Hold what clients were told against the hops, of which all until now are known."""


class Invariants:
    """Raises InvariantError when a run contradicts itself, and names how: one failure is enough.

    Rows are looked at when they are emitted; those of legs and hops right behind them, with what
    only these state. Keeps of the run what is open: payloads on their way, versions that devices
    hold; not what is over. ``now_s`` says what the clock shows.
    """

    def __init__(
        self,
        plan: Plan,
        learner: Learner,
        now_s: Callable[[], float],
        messages: MessageCheck | None = None,
    ) -> None:
        contacts = ServedContacts(plan)
        self._contacts = contacts
        self._learner = learner
        self._times = TimeCheck(now_s, contacts.session_end_s)
        self._messages = messages
        self._payloads = Payloads({c.name: c.devices for c in plan.clusters})
        self._payload_books = PayloadBooks()
        self._versions = Versions(plan.clusters, carry_on=plan.topology.access)
        self._gate = Gate(plan.contacts) if plan.contacts.places else None
        self._frozen: Frozen | None = None
        self._transfers = 0
        self._looked_at = 0
        self._rests = False

    def takes(self) -> Mapping[type[Fact], Take]:
        """Take all rows, and what legs and chains came to."""
        checks: dict[type[Fact], Take] = {
            Row: self._times.dated,
            TransferRow: self._transfer,
            TransferStarted: _with_its_legs,
            TrainingStarted: _with_its_legs,
            PartDropped: _with_its_legs,
            Connected: self._connected,
            ModelAggregated: self._aggregated,
            Evaluated: self._evaluated,
            Moved: self._count,
            LegRows: self._legs,
            ChainEnded: self._chain_ended,
        }
        return {kind: partial(self._unless_at_rest, check) for kind, check in checks.items()}

    def _unless_at_rest(self, check: Take, fact: Fact) -> None:
        if not self._rests:
            check(fact)

    def rest(self) -> None:
        """Look at nothing any more: the run has failed, and its tables are written all the same."""
        self._rests = True

    def conclude(self, booked: Iterable[Account], listed: Sequence[Mapping[str, Any]]) -> None:
        """Look at what is known at the end of a run only: accounts, and the list of payloads."""
        if self._messages is not None:
            self._messages.conclude()
        self._payload_books.conclude(booked, listed)
        self._learnt(thoroughly=True)

    def _transfer(self, row: TransferRow) -> None:
        if row.stream:  # of legs, or of hops
            return
        self._times.message(row)
        self._payloads.message(row)
        self._payload_books.message(row)

    def _hops(self, rows: HopRows) -> None:
        self._times.hops(rows)
        if self._messages is not None:
            self._messages.moved(rows)
        self._payloads.hops(rows)
        self._payload_books.moved(rows)

    def _aggregated(self, aggregated: ModelAggregated) -> None:
        self._times.dated(aggregated)
        look = partial(self._versions.aggregated, aggregated)
        self._versions.behind(self._transfers, look)

    def _evaluated(self, evaluated: Evaluated) -> None:
        self._times.dated(evaluated)
        self._learnt()

    def _count(self, moved: Moved) -> None:
        self._transfers += 1
        if self._messages is not None:
            self._messages.accessed(moved)

    def _chain_ended(self, chain: ChainEnded) -> None:
        if self._messages is not None:
            self._messages.ended(chain)
        self._versions.settled(self._transfers, chain)

    def _legs(self, block: LegRows) -> None:
        for trained in block.trained:
            self._times.trained(trained)
        for dropped in block.dropped:
            self._times.dropped(dropped)
        if block.hops is not None:
            self._hops(block.hops)
        rows = block.moved
        if rows is None:
            return
        self._times.moved(rows)
        self._contacts.moved(rows)
        self._payloads.moved(rows)
        self._payload_books.moved(rows)
        self._versions.moved(rows, self._looked_at)
        self._looked_at += len(rows.legs)
        if self._gate is not None:
            self._gate.moved(rows)

    def _connected(self, edges: Connected) -> None:
        contact_ids: Any = edges.contact_id  # of each
        self._contacts.connect(contact_ids)

    def _learnt(self, *, thoroughly: bool = False) -> None:
        """Look at what is not to be learnt, if anything has been by now."""
        if "task" not in vars(self._learner):  # all that was asked for was known from another run
            return
        from learning.models.stacked import Frozen

        backbone: Any = self._learner.task.backbone
        if self._frozen is None:
            self._frozen = Frozen(backbone)
        self._frozen.check(backbone, "the backbone", thoroughly=thoroughly)


def _with_its_legs(_row: Row) -> None:
    """Leave a row to what is looked at of its legs."""
