"""Functions: federated training by plain functions of the user's, on the simulated clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic.dataclasses import dataclass as checked

from learning.clients.cluster import ClusterState
from learning.clients.updates import Update, Weighted
from learning.methods.asynchronous import FedBuff, FedBuffOptions
from learning.methods.base import Protocol
from learning.methods.fedavg import FedAvg
from learning.methods.options import CHECKED, option
from learning.methods.own_learning import OwnLearning
from learning.methods.select import Select, SelectOptions
from learning.methods.surface import Traits
from learning.requests.cluster import Cluster, Cost
from learning.requests.decide import Situation
from sim.fly import trees
from sim.fly.calls import Calls
from sim.fly.user_code import FunctionOptions
from statements.arrays import Mask


class Functions(Calls, FedAvg):
    """FedAvg in which ``train(weights, data, context)`` of the user's trains.

    At the end of a round the server takes the mean by examples, or what ``aggregate(weights,
    updates, context)`` returns.
    """

    Options: ClassVar[type] = FunctionOptions
    traits: ClassVar[Traits] = OwnLearning.traits

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

    def is_over(self, devices: ClusterState) -> bool:
        """Return whether a cluster's updates are there: nobody is left out without a quorum."""
        sent = self.sent[devices.name]
        closing = self.world.closing
        late = closing.deadline_s < math.inf and bool(sent.any())
        return late or int(sent.sum()) >= closing.enough(len(sent))

    def weighted(self, shares: dict[str, float]) -> list[Weighted]:
        """Return the round's updates, which weigh by examples, whatever the ``shares``."""
        weighted = super().weighted(shares)
        examples = [self.examples_of(update) for update, _ in weighted]
        total = max(sum(float(own.sum()) for own in examples), 1.0)
        return [
            (update, own * (weight / shares[update.cluster]) / total)
            for (update, weight), own in zip(weighted, examples, strict=True)
        ]


@checked(frozen=True, config=CHECKED)
class SelectedOptions(FunctionOptions, SelectOptions):
    """Options of functions whose clients an agent chooses; what FedAvg alone can do is fixed."""

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
class BufferedOptions(FunctionOptions, FedBuffOptions):
    """Options of functions whose server waits for nobody."""


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
        yield from self.call(self.devices(me), np.ones(me.devices, bool))
        yield from super().cluster(me)

    def exchange(self, devices: ClusterState) -> Protocol:
        """Upload what was trained; download the server's weights where they are newer."""
        clients = self.devices(devices.cluster)
        trained = clients.has_unsent(self.experts, gate=True)
        self.remember(clients, trained)
        clients.complete = clients.complete & ~trained
        clients.offer(self.experts, gate=True)
        yield from self.send(clients, "model")
        who = ~(clients.complete | clients.pending) & (clients.version < self.version)
        if who.any():
            begins = who & ~clients.receiving
            if begins.any():
                yield from self.call(clients, begins)
            down = yield clients.download("model", self.server, self.experts, who=who)
            clients.receive(down)

    def weighted(self, updates: list[Update]) -> list[Weighted]:
        """Return the mean of the buffer, in a cluster by examples, divided for staleness."""
        weighted: list[Weighted] = []
        for update in updates:
            own = self.examples_of(update)
            scale = self.step_size / len(updates) / max(float(own.sum()), 1.0)
            divisor = self.options.divisor(self.version - update.version)
            weighted.append((update, scale * own / divisor))
        return weighted
