"""The rounds of a server that waits for its clusters: who takes part, and when one is over."""

from __future__ import annotations

from collections.abc import Generator, Sequence, Set
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar

import numpy as np

from learning.clients.merging import Weighted
from learning.clients.updates import Update
from learning.methods.base import GlobalModelMethod, Protocol, World
from learning.requests.cluster import Floats, Mask, Signal
from learning.requests.facts import Aggregated, Note, Range, Share
from learning.requests.request import Request

MOST_NAMED = 20
"""Of more clusters that a round waits for, the first ones are named, and the others counted."""


class Rounds(GlobalModelMethod):
    """A server that merges the updates of a round when all clusters have arrived in it.

    ``version`` counts the rounds, and all clusters but the ``absent`` ones take part. ``updates``
    are those of the present round, ``sent`` (K,) by cluster whose are among them, and ``arrived``
    the shares of the clusters that are done.

    With a quorum that share of the clusters is enough. With a deadline a round ends at the first
    contact so long after it began, if anything has arrived. What is under way then is given up.
    """

    ends_by_own_rule: ClassVar[bool] = False
    """Whether a round ends by rules of its own, and does not wait for whoever else is to come."""

    def __init__(self, world: World, options: Any = None) -> None:
        super().__init__(world, options)
        self.shares: dict[str, Floats] = {}
        self.updates: list[Update] = []
        self.sent: dict[str, Mask] = {}
        self.arrived: dict[str, float] = {}
        self.absent: set[str] = set()
        self.begun_s: float | None = None
        self.wait_noted: set[str] = set()
        self.round_over = Signal()
        # Of the options of a subclass it may be none.
        self.weighs_present = getattr(self.options, "weights", "all") == "present"

    def prepare(self) -> Protocol:
        """Ask for each device's share of the samples."""
        self.shares = yield from self.measure_shares()

    # -- what may differ from method to method

    def merge_round(self, shares: dict[str, float]) -> Generator[Request, Any, Sequence[int]]:
        """Merge the updates, clusters weighing their ``shares`` (6); return the experts that move.

        By default the mean of all updates is added to the server's model.
        """
        yield self.move(self.weighted(shares))
        self.aggregated(self.experts, self.changes_in(self.updates))
        return self.experts

    def weighted(self, shares: dict[str, float]) -> list[Weighted]:
        """Return the round's updates with what each weighs, by the ``shares`` of clusters."""
        return [(update, shares[update.cluster]) for update in self.updates]

    def begin_round(self) -> Protocol:
        """Make ready for the next round, when the last one is over."""
        yield from ()

    def sit_out(self) -> Protocol:
        """Let a cluster that is absent from the round pass a contact by."""
        yield from ()

    def sits_out(self, name: str) -> bool:
        """Whether a cluster takes no part in the present round."""
        return name in self.absent

    def is_given_up(self, number: int) -> bool:
        """Whether what was begun in round ``number`` is of no use any more."""
        return number != self.version

    def close_round(self, now_s: float, *, arrived: bool) -> Protocol:
        """End the round if it is over, as a cluster that has ``arrived`` or not leaves it."""
        if self.is_full() or self.is_late(now_s):
            yield from self.end_round()

    # -- who takes part, and when a round is over

    @property
    def parties(self) -> Set[str]:
        """Names of the clusters that take part in the present round."""
        return self.world.names - self.absent if self.absent else self.world.names

    def is_full(self) -> bool:
        """Return whether enough clusters have arrived; those that are absent do not count."""
        parties = self.parties
        enough = self.world.closing.enough(len(parties))
        if len(self.arrived) < enough:  # nearly always: who is absent need not be looked for
            return False
        return len(parties & self.arrived.keys()) >= enough

    def is_late(self, now_s: float) -> bool:
        """Return whether the round's deadline has passed, with something to merge."""
        begun_s = now_s if self.begun_s is None else self.begun_s
        return bool(self.arrived) and now_s >= begun_s + self.world.closing.deadline_s

    def missing(self) -> str:
        """Name the clusters whose update the round still lacks; empty if it can end.

        Of many, the first ones are named: a thousand clients would say a thousand names each.
        """
        if self.ends_by_own_rule:
            return ""
        there = self.arrived.keys() | self.absent if self.absent else self.arrived.keys()
        late = len(self.world.names) - len(there)
        if not late:
            return ""
        names = (name for name in self.world.by_name if name not in there)
        named = ",".join(islice(names, MOST_NAMED))
        return f"{named} and {late - MOST_NAMED} more" if late > MOST_NAMED else named

    @property
    def ended_by(self) -> str:
        """Say what ends a round that does not wait for all."""
        return self.world.closing.reached

    # -- the end of a round

    def end_round(self) -> Protocol:
        """Merge what the clusters have sent, and begin the next round."""
        if not self.arrived:
            return
        if self.missing():
            late = f"{self.ended_by}: round:{self.version} without {self.missing()}"
            yield Note("wait", self.version, late)
        self.updates = [update for update in self.updates if update.cluster in self.arrived]
        if self.weighs_present or not self.world.closing.waits_for_all:
            self.count_who_came()
        everybody = sum(self.arrived.values())
        shares = {name: own / everybody for name, own in self.arrived.items()}
        moved = yield from self.merge_round(shares)
        yield self.aggregation(moved)
        self.updates = []
        self.sent = {}
        self.arrived = {}
        self.begun_s = None
        self.wait_noted = set()
        yield from self.begin_round()
        self.round_over.give()

    def count_who_came(self) -> None:
        """Let those whose update is there share the weights: no other will add what is missing."""
        came = {name: np.zeros(len(self.shares[name]), bool) for name in self.arrived}
        for update in self.updates:
            came[update.cluster] = came[update.cluster] | update.who
        self.updates = [replace(update, eligible=came[update.cluster]) for update in self.updates]
        shares = {name: float(self.shares[name][who].sum()) for name, who in came.items()}
        if any(shares.values()):
            self.arrived = shares

    @property
    def each_update_is_a_transfer(self) -> bool:
        """Whether the update of every client has come to the server in a transfer of its own."""
        return True

    def aggregation(self, experts: Sequence[int]) -> Aggregated:
        """Return what a round has aggregated."""
        clusters = self.world.clusters
        devices = sum(int(np.count_nonzero(update.who)) for update in self.updates)
        # Who trained nothing brings nothing, so that no transfer shows its version.
        compared = devices > 0 and self.each_update_is_a_transfer
        return Aggregated(
            self.version,
            self.learner.architecture.named(experts, gate=True),
            devices=Share(devices, sum(cluster.devices for cluster in clusters)),
            clusters=Share(len(self.arrived), len(clusters)),
            staleness=Range(0, 0) if compared else None,
        )
