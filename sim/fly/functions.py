"""Functions: federated training by plain functions of the user's, on the simulated clock."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic.dataclasses import dataclass as checked

from learning.clients.cluster import ClusterState
from learning.clients.updates import Update
from learning.methods.asynchronous import FedBuff, FedBuffOptions
from learning.methods.base import Protocol, World
from learning.methods.fedavg import FedAvg
from learning.methods.options import CHECKED, option
from learning.methods.own_learning import OwnLearning
from learning.methods.select import Select, SelectOptions
from learning.methods.surface import Traits
from learning.requests.cluster import (
    Cluster,
    Contact,
    Cost,
    Evaluate,
    NextContact,
    Receipt,
    TrainUntilContact,
)
from learning.requests.decide import Situation
from learning.requests.facts import Aggregated, Range
from learning.requests.peers import Start
from learning.requests.request import Request
from sim.fly import trees
from sim.fly.call_options import CallOptions
from sim.fly.calls import Calls
from sim.formatting import percent
from statements import Code, Set, Statement
from statements.arrays import Mask

OFTEN = 0.4
"""Share of clusters with contact behind a round from which on it is said that they wait."""


@checked(frozen=True, config=CHECKED)
class FunctionOptions(CallOptions):
    """Options of a run of functions of the user's."""

    code: str = option("", "MODULE:FUNCTION that trains; the others stand in the same module")
    rounds_per_contact: Literal["one", "many"] = option(
        "one", "a cluster takes part once in a contact, as of fedavg, or whenever a round begins"
    )


class Functions(Calls, FedAvg):
    """FedAvg in which ``train(weights, data, context)`` of the user's trains.

    At the end of a round the server takes the mean by examples, or what ``aggregate(weights,
    updates, context)`` returns. With many ``rounds_per_contact`` the next round begins at once for
    clusters that have contact then.
    """

    Options: ClassVar[type] = FunctionOptions
    traits: ClassVar[Traits] = OwnLearning.traits

    def __init__(self, world: World, options: Any = None) -> None:
        super().__init__(world, options)
        self.contact_ends_s: dict[str, float] = {}
        self.received_s = 0.0
        self.kept_waiting = 0.0

    def cluster(self, me: Cluster) -> Protocol:
        """Take part once in every round, at a contact each or whenever one begins."""
        many = self.options.rounds_per_contact == "many"
        return self._round(me) if many else super().cluster(me)

    def _round(self, me: Cluster) -> Protocol:
        """Take part in one round; whoever is the last begins the next one for all."""
        number = self.version
        fresh = False
        while me.name not in self.arrived and (contact := (yield NextContact(fresh))):
            if self.version != number:
                return
            yield from self.join_round(self.devices(me), contact.start_s)
            if self.version != number:
                yield Evaluate()  # with contact all the time no cycle may ever be complete
                everybody = self.world.clusters
                rounds = tuple(self._round(one) for one in everybody)
                yield Start(rounds, tuple(one.name for one in everybody))
                return
            fresh = True

    def next_contact(
        self, devices: ClusterState, useful: NextContact
    ) -> Generator[Request, Any, Contact | None]:
        """Wait for a contact, and remember when it ends."""
        contact = yield from super().next_contact(devices, useful)
        if contact and not contact.repeats:
            self.contact_ends_s[devices.name] = contact.end_s
        return contact

    def enter_round(self, devices: ClusterState) -> None:
        """Forget also what devices have trained for a round before."""
        if devices.name not in self.sent:
            self.calls = {key: calls for key, calls in self.calls.items() if key[0] != devices.name}
        super().enter_round(devices)

    def update(self, devices: ClusterState) -> Protocol:
        """Call for the devices that will get the server's weights, and let all of them train."""
        clients = self.devices(devices.cluster)
        who = self.members(devices) & ~self.sent[devices.name] & ~devices.receiving
        for device in np.flatnonzero(who).tolist():
            who[device] = (devices.name, device, self.version) not in self.calls
        if who.any():
            yield from self.call(clients, who)
        yield from super().update(devices)

    def cost(self, devices: ClusterState) -> Cost:
        """Return what the calls of the cluster's devices take of them."""
        return Cost(self.devices(devices.cluster).flops)

    @property
    def local_rounds(self) -> int | None:
        """A call is one round."""
        return 1

    def trained(self, devices: ClusterState, who: Mask) -> Protocol:
        """Keep what the devices in ``who`` remember."""
        self.remember(self.devices(devices.cluster), who)
        yield from ()

    def keep(self, devices: ClusterState, number: int, receipt: Receipt) -> Protocol:
        """Keep what an upload has brought, and when."""
        received_s = float(np.max(receipt.end_s, where=receipt.done, initial=0.0))
        self.received_s = max(self.received_s, received_s)
        yield from super().keep(devices, number, receipt)

    def is_over(self, devices: ClusterState) -> bool:
        """Return whether a cluster's updates are there: nobody is left out without a quorum."""
        sent = self.sent[devices.name]
        closing = self.world.closing
        late = closing.deadline_s < math.inf and bool(sent.any())
        return late or int(sent.sum()) >= closing.enough(len(sent))

    def merge_round(self, shares: dict[str, float]) -> Generator[Request, Any, Sequence[int]]:
        """Take the mean by examples, or what the user's own rule returns."""
        weighted = self.weighted(shares)
        examples = [self.examples_of(update) for update, _ in weighted]
        total = max(sum(float(own.sum()) for own in examples), 1.0)
        each = [
            (update, own * (weight / shares[update.cluster]) / total)
            for (update, weight), own in zip(weighted, examples, strict=True)
        ]
        yield self.merge(each)
        self.aggregated([])
        return []

    def aggregation(self, experts: Sequence[int]) -> Aggregated:
        """Return what a round has aggregated."""
        return replace(super().aggregation(experts), what="model")

    def begin_round(self) -> Protocol:
        """Count who had contact when the last round was over."""
        there = sum(end_s > self.received_s for end_s in self.contact_ends_s.values())
        if self.contact_ends_s:  # else a round never waits for another contact
            others = len(self.world.clusters) - 1  # the last one has contact in any case
            self.kept_waiting += max(there - 1, 0) / others if others else there
        yield from super().begin_round()

    def doubts(self) -> list[Statement]:
        """Say also that clusters waited though in contact."""
        share = self.kept_waiting / max(self.version, 1)
        doubts = super().doubts()
        if share < OFTEN or not self.examples:
            return doubts
        return [
            *doubts,
            Statement.doubt(
                Code.LONG_SESSION,
                "learning.options.rounds_per_contact",
                f"{percent(share, 0)} of the clusters had contact when a round was over, in the "
                "mean, and began the next one at another contact, as a cluster takes part once in "
                "each",
                Set(value="many"),
                share=share,
            ),
        ]


@checked(frozen=True, config=CHECKED)
class SelectedOptions(FunctionOptions, SelectOptions):
    """Options of functions whose clients an agent chooses; what FedAvg alone can do is fixed."""

    rounds_per_contact: Literal["one"] = option("one", "a cluster takes part once in a contact")
    trains: Literal["contacts"] = option("contacts", "a cluster trains in its contact")


class SelectedFunctions(Functions, Select):
    """Select in which ``train(weights, data, context)`` of the user's trains.

    An agent chooses the clients of a round, and when the server aggregates.
    """

    Options: ClassVar[type] = SelectedOptions
    traits: ClassVar[Traits] = replace(
        OwnLearning.traits, asynchronous=True, waits_for_all=True, decides=True
    )

    def situation(self) -> Situation:
        """Return what the server knows now: bytes are those of its weights, FLOPs of no call."""
        size = float(trees.size_bytes(self.tree))
        told = super().situation()
        return replace(told, cost=Cost(0.0), upload_bytes=size, download_bytes=size)


@checked(frozen=True, config=CHECKED)
class BufferedOptions(CallOptions, FedBuffOptions):
    """Options of functions whose server waits for nobody."""

    code: str = option("", "MODULE:FUNCTION that trains; the others stand in the same module")


class BufferedFunctions(Calls, FedBuff):
    """FedBuff in which ``train(weights, data, context)`` of the user's trains.

    A client trains once from each version that it gets, through the gaps between its contacts, and
    downloads when there is a newer one. The server adds the mean change of the updates in its
    buffer, in a cluster by examples, or takes what ``aggregate(weights, updates, context)``
    returns.
    """

    Options: ClassVar[type] = BufferedOptions
    traits: ClassVar[Traits] = replace(OwnLearning.traits, asynchronous=True)

    @classmethod
    def check_clients(cls, clusters: Sequence[Cluster], options: Any) -> None:
        """Raise ValueError for a buffer that is never full."""
        if options.buffer_size > len(clusters):
            raise ValueError(
                f"buffer_size: {options.buffer_size} updates of the same version never come from "
                f"{len(clusters)} clusters; give at most that"
            )

    def cluster(self, me: Cluster) -> Protocol:
        """Train what was downloaded, and exchange models with the server in each contact."""
        clients = self.devices(me)
        everybody = np.ones(me.devices, bool)
        yield from self.call(clients, everybody)
        clients.load_initial(self.server, self.experts)
        while True:
            cost = Cost(clients.flops)
            who = clients.complete
            work, contact = yield TrainUntilContact(cost, who, rounds=1, from_now=True)
            clients.train(work, self.experts, gate=True)
            trained = work.rounds > 0
            self.remember(clients, trained)
            clients.complete = clients.complete & ~trained
            if contact is None:
                return
            yield from self.exchange(clients)

    def exchange(self, devices: ClusterState) -> Protocol:
        """Upload what was trained; download the server's weights where they are newer."""
        clients = self.devices(devices.cluster)
        clients.offer(self.experts, gate=True)
        yield from self.send(clients, "model")
        who = ~(clients.complete | clients.pending) & (clients.version < self.version)
        if who.any():
            begins = who & ~clients.receiving
            if begins.any():
                yield from self.call(clients, begins)
            down = yield clients.download("model", self.server, self.experts, who=who)
            clients.receive(down)

    def aggregate(self, updates: list[Update]) -> Protocol:
        """Add the mean of the buffer, each update divided for its staleness, and note it."""
        stale = np.concatenate([update.behind(self.version) for update in updates])
        weighted = []
        for update in updates:
            own = self.examples_of(update)
            scale = self.step_size / len(updates) / max(float(own.sum()), 1.0)
            weighted.append(
                (update, scale * own / self.options.divisor(self.version - update.version))
            )
        yield self.merge(weighted)
        self.aggregated([])
        yield Aggregated(
            self.version,
            "model",
            devices=len(stale),
            updates=len(updates),
            staleness=Range.of(stale),
        )
