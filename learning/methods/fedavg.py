"""FedAvg over all clusters, with waiting: a round takes until every cluster has been seen."""

from __future__ import annotations

import numpy as np

from learning.cluster_side import ClusterSide
from learning.method import Cluster, Method, Protocol, World
from learning.payloads import Update, merge, upload_payload
from learning.requests import Chain, Floats, Mask, Measure, NextContact, Note, Train, Upload
from learning.values import Handle


class FedAvg(Method):
    """Federated averaging (McMahan et al., AISTATS 2017) with every cluster in every round.

    A cluster downloads the round's model at a contact, trains all experts and the gate, uploads,
    and waits. When the updates of all clusters have arrived, the server adds their mean, weighted
    by samples (n_k / n over the devices that can take part), and the next round begins:
    ``version`` counts the rounds. Devices that lack the memory take no part.
    """

    def __init__(self, world: World, options: object = None) -> None:
        super().__init__(world, options)
        self.experts = list(range(self.learner.architecture.experts))
        self.server = self.learner.start()
        self.shares: dict[str, Floats] = {}
        self.updates: list[Update] = []
        self.arrived: dict[str, float] = {}
        self.absent: set[str] = set()

    def prepare(self) -> Protocol:
        """Ask for each device's share of the samples; in timing-only runs all have the same."""
        clusters = self.world.clusters
        devices = sum(cluster.devices for cluster in clusters)
        default = [[1 / devices] * cluster.devices for cluster in clusters]
        shares = yield Measure("shares", self.learner.shares, default)
        pairs = zip(clusters, shares, strict=True)
        self.shares = {cluster.name: np.array(share) for cluster, share in pairs}

    def cluster(self, me: Cluster) -> Protocol:
        """Take part once in every round; what a pass is too short for carries over to the next."""
        side, part = ClusterSide(self.learner, me), Part(me.devices)
        while (yield NextContact()) and me.name not in self.absent:
            if me.name in self.arrived:
                yield Note("wait", self.version, f"round:{self.version} waits for {self.missing()}")
                continue
            part.begin(self.version)
            if side.pending.any():
                receipt = yield Upload(side.payload("model"), side.pending)
                yield from self.collect(side, part, side.deliver(receipt))
            if not side.pending.any() and not part.is_over(side):
                yield from self.update(me, side, part)
            if part.is_over(side):
                self.arrived[me.name] = float(self.shares[me.name][side.able].sum())
            if not self.missing():
                yield from self.end_round()

    def update(self, me: Cluster, side: ClusterSide, part: Part) -> Protocol:
        """Broadcast, local update and upload of the devices that have not been through it yet."""
        todo, changes = side.able & ~part.sent, self.changes
        model = side.download(
            "model", self.server, self.version, self.experts, changes=changes, who=todo
        )
        sent = upload_payload(self.learner, "model", self.experts, True, model.payload.version)
        cost = self.learner.round_cost(self.experts, self.experts, gate=True)
        down, work, up = yield Chain((model, Train(cost, who=todo), Upload(sent, todo)))
        if work.excluded.all():
            self.absent.add(me.name)
            return
        side.receive(down)
        side.train(work, self.experts, gate=True)
        side.offer(self.experts, gate=True)
        yield from self.collect(side, part, side.deliver(up))

    def collect(self, side: ClusterSide, part: Part, done: Mask) -> Protocol:
        """Keep the updates of the devices ``done`` until the round ends."""
        part.sent = part.sent | done
        update = side.update((yield from side.finite(done)))
        if update is not None:
            self.updates.append(update)

    def missing(self) -> str:
        """Name the clusters whose update the round still lacks; empty if it can end."""
        names = {cluster.name for cluster in self.world.clusters}
        return ",".join(sorted(names - set(self.arrived) - self.absent))

    def end_round(self) -> Protocol:
        """Add the mean of all updates to the server's model, equation (6)."""
        if not self.arrived:
            return
        everybody = sum(self.arrived.values())
        for update in self.updates:
            share = self.arrived[update.cluster] / everybody
            self.server = merge(self.learner, self.server, update, share)
        self.aggregated(self.experts, changes=len(self.updates))
        devices = sum(int(update.who.sum()) for update in self.updates)
        yield Note("aggregate", self.version, self.described(devices))
        self.updates, self.arrived = [], {}

    def described(self, devices: int) -> str:
        """Say what a round has aggregated."""
        listed = ",".join(map(str, self.experts))
        clusters = f"clusters:{len(self.arrived)}/{len(self.world.clusters)}"
        of = sum(cluster.devices for cluster in self.world.clusters)
        return f"experts:{listed} gate devices:{devices}/{of} {clusters} staleness:0"

    def model(self) -> Handle:
        """Return the model at the satellite."""
        return self.server


class Part:
    """How far a cluster is in the present round: whose update is ``sent`` (K,)."""

    def __init__(self, devices: int) -> None:
        self.round = 0
        self.sent = np.zeros(devices, bool)

    def begin(self, number: int) -> None:
        """Begin round ``number``, unless it is the present one."""
        if number != self.round:
            self.round, self.sent = number, np.zeros_like(self.sent)

    def is_over(self, side: ClusterSide) -> bool:
        """Return whether an update is there and none is half-way; who had no link is left out."""
        under_way = side.pending | (side.half_way & side.able)
        return bool(self.sent.any() and not under_way.any())
