"""Federated rounds that wait: each takes until the clusters that take part have been seen."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from learning.clients.cluster import ClusterState
from learning.clients.updates import Update
from learning.methods.base import GlobalModelMethod, Protocol, World
from learning.requests.cluster import (
    Chain,
    Cluster,
    Cost,
    Floats,
    Mask,
    NextContact,
    Note,
    Receipt,
    Train,
    Upload,
)


class BarrierRounds(GlobalModelMethod):
    """Rounds in which a cluster takes part once, and then waits for the others.

    It downloads the round's model at a contact, trains, uploads, and waits. When the updates of
    all clusters but the ``absent`` ones have arrived they are merged, and the next round begins:
    ``version`` counts the rounds. Devices that lack the memory take no part.

    With a quorum that share of the clusters is enough, and of a cluster's devices too. With a
    deadline a round ends at the first contact so long after it began, if anything has arrived, and
    a cluster's part when its chain is cut. What is under way then is given up: who missed a round
    begins the next one with a download.
    """

    def __init__(self, world: World, options: object = None) -> None:
        super().__init__(world, options)
        self.shares: dict[str, Floats] = {}
        self.updates: list[Update] = []
        self.arrived: dict[str, float] = {}
        self.absent: set[str] = set()
        self.begun_s: float | None = None

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
        return self.learner.round_cost(self.experts, self.experts, True, self.memory_copies)

    @property
    def keeps_partial(self) -> bool:
        """Whether a device that cannot end its rounds in time sends what it has by then.

        Else its update comes in a later contact or, behind a deadline, not at all.
        """
        return False

    @property
    def local_rounds(self) -> int | None:
        """Local rounds that a device trains; None for those that the scenario gives a contact."""
        return None

    @property
    def weighs_present(self) -> bool:
        """Whether those whose update is there share the weights: nobody is waited for."""
        return not self.world.closing.waits_for_all

    def trained(self, devices: ClusterState, who: Mask) -> Protocol:
        """Look at what the devices in ``who`` have trained, before it is sent."""
        yield from ()

    # -- the protocol

    def prepare(self) -> Protocol:
        """Ask for each device's share of the samples."""
        self.shares = yield from self.measure_shares()

    def cluster(self, me: Cluster) -> Protocol:
        """Take part once in every round; what a pass is too short for carries over to the next."""
        devices, progress = self.devices(me), RoundProgress(me.devices)
        while contact := (yield NextContact()):
            if self.is_late(contact.start_s):
                yield from self.end_round()
            if me.name in self.absent:
                yield from self.sit_out()
            elif me.name in self.arrived:
                yield Note("wait", self.version, f"round:{self.version} waits for {self.missing()}")
            else:
                yield from self.join_round(devices, progress, contact.start_s)

    def join_round(self, devices: ClusterState, progress: RoundProgress, now_s: float) -> Protocol:
        """Go on with the present round, and end it if that was all that it lacked."""
        if self.begun_s is None:
            self.begun_s = now_s
        if progress.begin(self.version) and progress.under_way(devices).any():
            devices.cancel_transfers()
        devices.holds = self.holds(devices.cluster)
        if devices.pending.any():
            receipt = yield Upload(devices.payload("model"), devices.pending)
            yield from self.keep(devices, progress, receipt)
        if not devices.pending.any() and not self.is_over(devices, progress):
            yield from self.update(devices, progress)
        if progress.round != self.version:
            return  # others have ended it meanwhile
        if self.is_over(devices, progress):
            share = self.shares[devices.name][self.members(devices)].sum()
            self.arrived[devices.name] = float(share)
        if self.is_full() or self.is_late(now_s):
            yield from self.end_round()

    def is_over(self, devices: ClusterState, progress: RoundProgress) -> bool:
        """Return whether enough of a cluster's updates are there for this round."""
        if progress.is_over(devices) or not progress.sent.any():
            return progress.is_over(devices)
        members, closing = self.members(devices), self.world.closing
        enough = int((progress.sent & members).sum()) >= closing.enough(int(members.sum()))
        return enough or closing.deadline_s < math.inf

    def is_full(self) -> bool:
        """Return whether enough clusters have arrived; those that are absent do not count."""
        parties = {cluster.name for cluster in self.world.clusters} - self.absent
        return len(parties & set(self.arrived)) >= self.world.closing.enough(len(parties))

    def is_late(self, now_s: float) -> bool:
        """Return whether the round's deadline has passed, with something to merge."""
        begun_s = now_s if self.begun_s is None else self.begun_s
        return bool(self.arrived) and now_s >= begun_s + self.world.closing.deadline_s

    def members(self, devices: ClusterState) -> Mask:
        """Return which of a cluster's devices (K,) take part in this round."""
        return devices.eligible & devices.takes_part

    def update(self, devices: ClusterState, progress: RoundProgress) -> Protocol:
        """Download, local update and upload of the devices that have not been through it yet."""
        todo = self.members(devices) & ~progress.sent
        experts: list[int] = np.flatnonzero(devices.holds.any(axis=0)).tolist()
        model = devices.download("model", self.server, experts, who=todo)
        cost = self.cost(devices.holds)
        train = Train(cost, self.local_rounds, todo, partial=self.keeps_partial)
        upload = devices.upload("model", model, experts, who=todo)
        down, work, up = yield Chain((model, train, upload))
        if work.excluded.all():
            self.absent.add(devices.name)
            return
        devices.receive(down)
        devices.train(work, experts, gate=True, mask=None if devices.holds.all() else "-inf")
        yield from self.trained(devices, work.rounds > 0)
        devices.offer(experts, gate=True)
        yield from self.keep(devices, progress, up)

    def keep(self, devices: ClusterState, progress: RoundProgress, receipt: Receipt) -> Protocol:
        """Keep what an upload has brought until the round ends."""
        done = devices.deliver(receipt)
        progress.sent = progress.sent | done
        update = devices.update((yield from devices.finite(done)))
        if update is not None and progress.round != self.version:
            came = f"devices:{int(update.who.sum())}/{len(update.who)}"
            yield Note("drop", self.version, f"update of {came}: round:{progress.round} is over")
        elif update is not None:
            self.updates.append(replace(update, eligible=self.members(devices) | update.who))

    def missing(self) -> str:
        """Name the clusters whose update the round still lacks; empty if it can end."""
        names = {cluster.name for cluster in self.world.clusters}
        return ",".join(sorted(names - set(self.arrived) - self.absent))

    def end_round(self) -> Protocol:
        """Merge what the clusters have sent, and begin the next round."""
        if not self.arrived:
            return
        if self.missing():
            late = f"{self.world.closing.reached}: round:{self.version} without {self.missing()}"
            yield Note("wait", self.version, late)
        self.updates = [update for update in self.updates if update.cluster in self.arrived]
        if self.weighs_present:
            self.count_who_came()
        everybody = sum(self.arrived.values())
        moved = self.merge_round({name: own / everybody for name, own in self.arrived.items()})
        yield Note("aggregate", self.version, self.described(moved))
        self.updates, self.arrived, self.begun_s = [], {}, None
        yield from self.begin_round()

    def count_who_came(self) -> None:
        """Let those whose update is there share the weights: no other will add what is missing."""
        came = {name: np.zeros(len(self.shares[name]), bool) for name in self.arrived}
        for update in self.updates:
            came[update.cluster] = came[update.cluster] | update.who
        self.updates = [replace(update, eligible=came[update.cluster]) for update in self.updates]
        shares = {name: float(self.shares[name][who].sum()) for name, who in came.items()}
        if any(shares.values()):
            self.arrived = shares

    def described(self, experts: Sequence[int]) -> str:
        """Say what a round has aggregated."""
        parts = self.learner.architecture.named(experts, gate=True)
        devices = sum(int(update.who.sum()) for update in self.updates)
        of = sum(cluster.devices for cluster in self.world.clusters)
        clusters = f"clusters:{len(self.arrived)}/{len(self.world.clusters)}"
        return f"{parts} devices:{devices}/{of} {clusters} staleness:0"


class RoundProgress:
    """How far a cluster is in the present round: whose update is ``sent`` (K,)."""

    def __init__(self, devices: int) -> None:
        self.round = 0
        self.sent = np.zeros(devices, bool)

    def begin(self, number: int) -> bool:
        """Begin round ``number``, and return True, unless it is the present one."""
        if number == self.round:
            return False
        self.round, self.sent = number, np.zeros_like(self.sent)
        return True

    def is_over(self, devices: ClusterState) -> bool:
        """Return whether an update is there and none is half-way."""
        return bool(self.sent.any() and not self.under_way(devices).any())

    def under_way(self, devices: ClusterState) -> Mask:
        """Return which devices (K,) are half-way through the round; who had no link is not."""
        return devices.pending | (devices.half_way & devices.eligible)
