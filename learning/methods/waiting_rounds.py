"""Federated rounds that wait: each takes until every cluster that takes part has been seen."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from learning.cluster_side import ClusterSide
from learning.method import Cluster, Method, Protocol, World
from learning.requests import (
    Chain,
    Cost,
    Floats,
    Mask,
    Measure,
    NextContact,
    Note,
    Train,
    Upload,
)
from learning.snapshots import Update
from learning.values import Handle


class WaitingRounds(Method):
    """Rounds in which a cluster takes part once, and then waits for the others.

    It downloads the round's model at a contact, trains, uploads, and waits. When the updates of
    all clusters but the ``absent`` ones have arrived they are merged, and the next round begins:
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

    # -- what makes a method of it

    @abstractmethod
    def merge_round(self, shares: dict[str, float]) -> Sequence[int]:
        """Merge the updates, clusters weighing their ``shares``; return the experts that move."""

    def begin_round(self) -> Protocol:
        """Make ready for the next round, when the last one is over."""
        yield from ()

    def sit_out(self) -> Protocol:
        """Let a cluster that is absent from the round pass a contact by."""
        yield from ()

    def holds(self, me: Cluster) -> Mask:
        """Return which experts (K, E) each of the cluster's devices takes in this round."""
        return np.ones((me.devices, len(self.experts)), bool)

    def cost(self, holds: Mask) -> Cost:
        """Return what a local round takes of each device."""
        return self.learner.round_cost(self.experts, self.experts, gate=True)

    @property
    def local_rounds(self) -> int | None:
        """Local rounds that a device trains; None for those that the scenario gives a contact."""
        return None

    def trained(self, me: Cluster, side: ClusterSide, who: Mask) -> Protocol:
        """Look at what the devices in ``who`` have trained, before it is sent."""
        yield from ()

    # -- the protocol

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
        while (yield NextContact()):
            if me.name in self.absent:
                yield from self.sit_out()
            elif me.name in self.arrived:
                yield Note("wait", self.version, f"round:{self.version} waits for {self.missing()}")
            else:
                yield from self.take_part(me, side, part)

    def take_part(self, me: Cluster, side: ClusterSide, part: Part) -> Protocol:
        """Go on with the present round, and end it if that was all that it lacked."""
        part.begin(self.version)
        side.holds = self.holds(me)
        if side.pending.any():
            receipt = yield Upload(side.payload("model"), side.pending)
            yield from self.collect(me, side, part, side.deliver(receipt))
        if not side.pending.any() and not part.is_over(side):
            yield from self.update(me, side, part)
        if part.is_over(side):
            self.arrived[me.name] = float(self.shares[me.name][self.members(side)].sum())
        if not self.missing():
            yield from self.end_round()

    def members(self, side: ClusterSide) -> Mask:
        """Return which of a cluster's devices (K,) take part in this round."""
        return side.able & side.holds.any(axis=1)

    def update(self, me: Cluster, side: ClusterSide, part: Part) -> Protocol:
        """Download, local update and upload of the devices that have not been through it yet."""
        todo, changes = self.members(side) & ~part.sent, self.changes
        experts: list[int] = np.flatnonzero(side.holds.any(axis=0)).tolist()
        model = side.download(
            "model", self.server, self.version, experts, changes=changes, who=todo
        )
        sent = side.sends("model", experts, True, model.payload.version)
        train = Train(self.cost(side.holds), self.local_rounds, todo)
        down, work, up = yield Chain((model, train, Upload(sent, todo)))
        if work.excluded.all():
            self.absent.add(me.name)
            return
        side.receive(down)
        side.train(work, experts, gate=True, masked=not side.holds.all())
        yield from self.trained(me, side, work.rounds > 0)
        side.offer(experts, gate=True)
        yield from self.collect(me, side, part, side.deliver(up))

    def collect(self, me: Cluster, side: ClusterSide, part: Part, done: Mask) -> Protocol:
        """Keep the updates of the devices ``done`` until the round ends."""
        part.sent = part.sent | done
        update = side.update((yield from side.finite(done)))
        if update is not None:
            self.updates.append(replace(update, able=self.members(side) | update.who))

    def missing(self) -> str:
        """Name the clusters whose update the round still lacks; empty if it can end."""
        names = {cluster.name for cluster in self.world.clusters}
        return ",".join(sorted(names - set(self.arrived) - self.absent))

    def end_round(self) -> Protocol:
        """Merge what the clusters have sent, and begin the next round."""
        if not self.arrived:
            return
        everybody = sum(self.arrived.values())
        moved = self.merge_round({name: own / everybody for name, own in self.arrived.items()})
        yield Note("aggregate", self.version, self.described(moved))
        self.updates, self.arrived = [], {}
        yield from self.begin_round()

    def described(self, experts: Sequence[int]) -> str:
        """Say what a round has aggregated."""
        listed = ",".join(map(str, experts))
        devices = sum(int(update.who.sum()) for update in self.updates)
        of = sum(cluster.devices for cluster in self.world.clusters)
        clusters = f"clusters:{len(self.arrived)}/{len(self.world.clusters)}"
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
