"""Endpoint: one client's end of its link, as the steps of its chains see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from learning.requests.cluster import (
    WAITS_FOR_ALL,
    Cost,
    Quorum,
)
from learning.requests.reasons import Reason
from sim.devices.devices import Devices
from sim.devices.faults import Faults, LinkFaults
from sim.facts.faults import MemoryLacks
from sim.facts.stream import Facts
from sim.facts.transfers import Outcome
from sim.network.books import Books, Ledger
from sim.network.legs import LegLog
from sim.world.topology import Topology
from statements.arrays import Mask

if TYPE_CHECKING:  # simpy is imported where a run is
    from sim.clock import Clock


def everybody(who: Mask | None, k: int) -> Mask:
    """Return ``who`` as a mask (K,); None stands for all devices."""
    return np.ones(k, bool) if who is None else np.asarray(who, bool)


CutTransfers = Literal["resume", "restart", "drop"]
"""What becomes of a transfer that a contact cuts off: ``link.cut_transfers``."""


@dataclass(frozen=True)
class Ending:
    """When a chain is over, and why, if not because all its devices are through or cut off.

    It may be ``closed`` before: for a quorum that was reached, or a deadline. What the end of the
    run interrupts (``run_over``) no pass has cut off.
    """

    time_s: float
    closed: Reason = Reason.NONE
    run_over: bool = False


OF_CUT_OFF: dict[CutTransfers, Outcome] = {
    "resume": Outcome.CARRIED,
    "restart": Outcome.RESTARTED,
    "drop": Outcome.DROPPED,
}
"""The outcome of a transfer that has begun and is cut off, by the rule under which it began."""


@dataclass(frozen=True, eq=False)
class Shared:
    """What the clients of a run have in common.

    ``topology`` says where they and their server are; what happens goes to ``facts``, what legs
    came to by way of the ``log``, and their bytes into the ``books``. ``closing`` says whom a chain
    with uploads waits for, ``cut_transfers`` what becomes of a transfer that a contact cuts off,
    ``faults`` what fails (None: nothing).
    """

    clock: Clock
    topology: Topology
    facts: Facts
    log: LegLog
    books: Books
    closing: Quorum = WAITS_FOR_ALL
    cut_transfers: CutTransfers = "resume"
    faults: Faults | None = None


class Endpoint:
    """What the steps of one client's chains share, whichever chain they are of.

    Its devices; the ``ledger`` of payloads that are open; the ``faults`` that are drawn for its
    link (None: nothing fails); and what it has in common with other clients, as :class:`Shared` has
    it.
    """

    def __init__(self, devices: Devices, shared: Shared) -> None:
        self.cluster = devices.cluster
        self.devices = devices
        self.clock = shared.clock
        self.facts = shared.facts
        self.log = shared.log
        self.books = shared.books
        self.closing = shared.closing
        self.cut_transfers = shared.cut_transfers
        self.ledger = Ledger(devices.cluster, shared.topology, shared.books)
        self.faults = None if shared.faults is None else LinkFaults(shared.faults, self.cluster)
        self._lack_memory: Mask = np.zeros(devices.cluster.devices, bool)

    def tell_memory_lacks(self, excluded: Mask, cost: Cost) -> None:
        """Tell which devices cannot hold what they were to train; of each once."""
        new = np.flatnonzero(excluded & ~self._lack_memory)
        if not len(new):
            return
        self._lack_memory = self._lack_memory | excluded
        self.facts.emit(
            MemoryLacks(
                time_s=self.clock.now,
                cluster=self.cluster.name,
                device=new,
                needed_bytes=np.broadcast_to(cost.memory_bytes, excluded.shape)[new],
                held_bytes=np.broadcast_to(self.devices.memory_bytes, excluded.shape)[new],
            )
        )
