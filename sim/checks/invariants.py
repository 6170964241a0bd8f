"""All invariants of a run that goes on: they see every block of rows, and the books at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from sim.checks.conservation import Payloads
from sim.checks.elevation import Gate
from sim.checks.staleness import Versions
from sim.checks.timing import Contacts, Times
from sim.network.leg_log import Block, LegLog
from sim.plan.plan import Plan

if TYPE_CHECKING:
    from learning.learner import Learner
    from learning.training.guards import Frozen

Columns = Mapping[str, Any]


class Invariants:
    """Raises InvariantError when a run contradicts itself, and names how.

    Rows are looked at when they are written; those of legs in blocks, when rows are made of the
    ``log``. Keeps of the run what is open: payloads on their way, versions that devices hold; not
    what is over. ``now_s`` says what the clock shows.
    """

    def __init__(self, plan: Plan, now_s: Callable[[], float], log: LegLog) -> None:
        contacts = Contacts(plan)
        self._contacts = contacts
        self._times = Times(now_s, contacts.session_end_s)
        self._payloads = Payloads({c.name: c.devices for c in plan.clusters})
        self._versions = Versions(plan.clusters)
        self._gate = None if plan.sky is None else Gate(plan.sky, contacts)
        self._frozen: Frozen | None = None
        self._log = log
        self._looked_at = 0

    def watch(self, table: str, rows: int, columns: Columns) -> None:
        """Look at rows that are added to a table."""
        if table == "transfers":  # those of legs are added in blocks
            self._times.message(columns)
            self._payloads.message(columns)
            return
        self._times.dated(table, columns)
        kind = columns["kind"] if table == "events" else ""
        if kind == "aggregate":
            look = partial(self._versions.aggregated, columns)
            self._versions.behind(self._log.transfers, look)

    def look(self, block: Block) -> None:
        """Look at the rows of legs."""
        for trained in block.trained:
            self._times.trained(trained)
        for dropped in block.dropped:
            self._times.dropped(dropped)
        if block.contacts:
            self._contacts.connect({contact_id for *_, contact_id, _ in block.contacts})
        rows = block.moved
        if rows is None:
            return
        self._times.moved(rows)
        self._contacts.moved(rows)
        self._payloads.moved(rows)
        self._versions.moved(rows, self._looked_at)
        self._looked_at += len(rows.legs)
        if self._gate is not None:
            self._gate.moved(rows)

    def settled(self, cluster: str, steps: Iterable[Any], replies: Iterable[Any]) -> None:
        """Look at what a chain came to."""
        self._versions.settled(self._log.transfers, cluster, steps, replies)

    def learnt(self, learner: Learner, thoroughly: bool = False) -> None:
        """Look at what is not to be learnt, if anything has been by now."""
        if "task" not in vars(learner):  # all that was asked for was known from another run
            return
        from learning.training.guards import Frozen

        backbone = learner.task.backbone
        if self._frozen is None:
            self._frozen = Frozen(backbone)
        self._frozen.check(backbone, "the backbone", thoroughly)

    def conclude(self, learner: Learner, books: Mapping[str, Mapping[str, float]]) -> None:
        """Look at what is known at the end of a run only."""
        self._payloads.conclude(books)
        self.learnt(learner, thoroughly=True)
