"""FedBuff: asynchronous federated averaging with a buffer at the server."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from learning.clients.cluster import ClusterState
from learning.clients.updates import Update, merge
from learning.methods.base import Method, Protocol, World
from learning.methods.options import FedBuffOptions
from learning.requests.cluster import Cluster, Ints, Mask, Note, TrainUntilContact, Upload
from learning.requests.details import described
from learning.values.lazy import Handle


class FedBuff(Method):
    """Buffered asynchronous aggregation (Nguyen et al., AISTATS 2022).

    Every cluster trains all experts and the gate from the model that it downloaded last, through
    the disconnected phase, and uploads at its contact. The server buffers the updates; when there
    are ``buffer_size`` of them it adds their mean, each weighted by 1 / sqrt(1 + staleness).
    Inside a cluster, devices weigh their shares of its samples. Whoever is in contact downloads the
    model as it is then.
    """

    Options: ClassVar[type] = FedBuffOptions

    def __init__(self, world: World, options: FedBuffOptions | None = None) -> None:
        super().__init__(world, options)
        self.experts = list(range(self.learner.architecture.experts))
        self.server = self.learner.start()
        self.buffer: list[Update] = []
        self.buffer_size = self.options.buffer_size or max(2, (len(world.clusters) + 1) // 2)

    def cluster(self, me: Cluster) -> Protocol:
        """Train, upload what was trained, download the present model."""
        side = ClusterState(self.learner, me)
        side.load_initial(self.server, self.experts)
        cost = self.learner.round_cost(self.experts, self.experts, gate=True)
        while True:
            work, contact = yield TrainUntilContact(cost, side.complete)
            side.train(work, self.experts, gate=True)
            if contact is None:
                return
            side.offer(self.experts, gate=True)
            if side.pending.any():
                receipt = yield Upload(side.payload("model"), side.pending)
                yield from self.collect(side, side.deliver(receipt))
            down = yield side.download(
                "model", self.server, self.version, self.experts, changes=self.changes
            )
            side.receive(down)

    def collect(self, side: ClusterState, done: Mask) -> Protocol:
        """Put an update into the buffer, and aggregate the buffer when it is full."""
        update = side.update((yield from side.finite(done)))
        if update is None:
            return
        self.buffer.append(update)
        if len(self.buffer) >= self.buffer_size:
            updates, self.buffer = self.buffer, []
            yield self.aggregate(updates)

    def aggregate(self, updates: list[Update]) -> Note:
        """Add the mean of the buffered updates to the server's model and say so.

        The server's version does not change while the buffer fills, so that the staleness of an
        update when it arrives is also that when it is aggregated.
        """
        scale = self.options.server_step_size / len(updates)
        merges = 0
        for update in updates:
            for behind in np.unique(self.behind(update)).tolist():
                alike = update.who & (update.version == self.version - behind)
                weight = scale / np.sqrt(1.0 + behind)
                self.server = merge(self.learner, self.server, replace(update, who=alike), weight)
                merges += 1
        detail = self.described(updates)
        self.aggregated(self.experts, changes=merges)
        return Note("aggregate", self.version, detail)

    def behind(self, update: Update) -> Ints:
        """Return how many versions behind the server each of the devices in ``update`` is."""
        return self.version - update.version[update.who]

    def described(self, updates: list[Update]) -> str:
        """Say what has been aggregated, and how stale it was."""
        behind = np.concatenate([self.behind(update) for update in updates])
        stale = described("staleness", behind)
        listed = ",".join(map(str, self.experts))
        return f"experts:{listed} gate devices:{len(behind)} updates:{len(updates)} {stale}"

    def model(self) -> Handle:
        """Return the model at the satellite."""
        return self.server
