"""FedBuff: asynchronous federated averaging with a buffer at the server.

Nguyen et al., Federated Learning with Buffered Asynchronous Aggregation, AISTATS 2022.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from learning.clients.updates import Update
from learning.methods.base import GlobalModelMethod, Protocol, World
from learning.methods.options import CHECKED
from learning.requests.cluster import Cluster, Note
from learning.requests.event_details import described, parts_named


@dataclass(frozen=True, config=CHECKED)
class FedBuffOptions:
    """Options of FedBuff; with a buffer of 1 nothing would be buffered."""

    buffer_size: int = Field(
        0, ge=0, description="updates aggregated together; 0: half the clusters, at least 2"
    )
    server_step_size: float = Field(1.0, gt=0, description="factor of the mean of the buffer")


class FedBuff(GlobalModelMethod):
    """Buffered asynchronous aggregation.

    Every cluster trains all experts and the gate from the model that it downloaded last, through
    the disconnected phase, and uploads at its contact. The server buffers the updates; when there
    are ``buffer_size`` of them it adds their mean, each weighted by 1 / sqrt(1 + staleness).
    Inside a cluster, devices weigh their shares of its samples. Whoever is in contact downloads the
    model as it is then.
    """

    Options: ClassVar[type] = FedBuffOptions

    def __init__(self, world: World, options: FedBuffOptions | None = None) -> None:
        super().__init__(world, options)
        self.buffer: list[Update] = []
        self.buffer_size = self.options.buffer_size or max(2, (len(world.clusters) + 1) // 2)

    def cluster(self, me: Cluster) -> Protocol:
        """Train, upload what was trained, download the present model."""
        devices = self.devices(me)
        devices.load_initial(self.server, self.experts)
        while True:
            work, contact = yield devices.train_until_contact(self.experts, gate=True)
            devices.train(work, self.experts, gate=True)
            if contact is None:
                return
            devices.offer(self.experts, gate=True)
            yield from self.send(devices, "model")
            down = yield devices.download("model", self.server, self.experts)
            devices.receive(down)

    def collect(self, update: Update | None) -> Protocol:
        """Put an update into the buffer, and aggregate the buffer when it is full."""
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
        stale = np.concatenate([update.behind(self.version) for update in updates])
        weighted = []
        for update in updates:
            for behind in np.unique(update.behind(self.version)).tolist():
                alike = update.who & (update.version == self.version - behind)
                weighted.append((replace(update, who=alike), scale / np.sqrt(1.0 + behind)))
        self.weights = self.server_step(weighted)
        self.aggregated(self.experts, changes=len(weighted))
        parts = parts_named(self.experts, gate=True)
        counts = f"devices:{len(stale)} updates:{len(updates)} {described('staleness', stale)}"
        return Note("aggregate", self.version, f"{parts} {counts}")
