"""All invariants of a run that goes on: they see every block of rows, and the books at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sim.checks.conservation import Payloads, TransferRows
from sim.checks.elevation import Gate
from sim.checks.staleness import Versions
from sim.checks.timing import Contacts, Times
from sim.plan.plan import Plan

if TYPE_CHECKING:
    from learning.learner import Learner
    from learning.training.guards import Frozen

Columns = Mapping[str, Any]


class Invariants:
    """Raises InvariantError as soon as a run contradicts itself, and names how.

    Keeps of the run what is open: payloads on their way, versions that devices hold; not what is
    over. ``now_s`` says what the clock shows.
    """

    def __init__(self, plan: Plan, now_s: Callable[[], float]) -> None:
        contacts = Contacts(plan)
        self._contacts = contacts
        self._times = Times(now_s, contacts.session_end_s, contacts.neglected)
        self._payloads = Payloads({c.name: c.devices for c in plan.clusters})
        self._versions = Versions(plan.clusters)
        self._gate = None if plan.sky is None else Gate(plan.sky, contacts)
        self._frozen: Frozen | None = None
        self._events: dict[str, Callable[[Columns], None]] = {
            "connect": contacts.connects,
            "train_start": self._times.begins,
            "train_end": self._times.ends,
            "aggregate": self._versions.aggregated,
        }

    def watch(self, table: str, rows: int, columns: Columns) -> None:
        """Look at rows that are added to a table."""
        if table != "transfers":
            self._times.dated(table, columns)
            if table == "events" and (look := self._events.get(columns["kind"])) is not None:
                look(columns)
        elif columns["direction"] == "sidelink":
            self._times.message(columns)
            self._payloads.message(columns)
        else:
            self._moved(TransferRows(columns))

    def _moved(self, rows: TransferRows) -> None:
        self._times.moved(rows)
        self._contacts.moved(rows)
        self._payloads.moved(rows)
        self._versions.moved(rows)
        if self._gate is not None:
            self._gate.moved(rows)

    def settled(self, cluster: str, steps: Iterable[Any], replies: Iterable[Any]) -> None:
        """Look at what a chain came to."""
        self._versions.settled(cluster, steps, replies)

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
        if self._gate is not None:
            self._gate.look()
        self._payloads.conclude(books)
        self.learnt(learner, thoroughly=True)
