"""What the devices of one cluster hold while a method runs: models, unsent rounds, snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from learning.learner import Learner
from learning.method import Cluster
from learning.requests import Download, Ints, Mask, Payload, Receipt, Work
from learning.values import Handle


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What was frozen to be sent: the changes of ``experts``, and of the gate if it is part."""

    handle: Handle
    experts: tuple[int, ...]
    gate: bool


@dataclass(frozen=True, eq=False)
class Inbound:
    """A server model on its way down, and which devices (K,) have got it already."""

    server: Handle
    version: int
    experts: tuple[int, ...]
    got: Mask


class ClusterSide:
    """The K devices of one cluster, as arrays, with their stacked state.

    A device's training since its last offer lives in fresh LoRA factors. An offer freezes those
    factors as a snapshot, counts them as part of the device's base and begins new ones, so that a
    snapshot larger than one pass gets through over several passes while training goes on, and no
    change is sent twice or lost. A download that a pass cuts off is likewise finished in the
    version it was begun in.
    """

    def __init__(self, learner: Learner, cluster: Cluster) -> None:
        k = cluster.devices
        self.learner = learner
        self.name = cluster.name
        self.state: Handle | None = None
        self.snapshot: Snapshot | None = None
        self.inbound: Inbound | None = None
        self.held: frozenset[int] = frozenset()
        self.complete = np.zeros(k, bool)
        self.pending = np.zeros(k, bool)
        self.version: Ints = np.zeros(k, np.int64)
        self.offered_version: Ints = np.zeros(k, np.int64)
        self.rounds: Ints = np.zeros(k, np.int64)
        self.unsent_rounds: Ints = np.zeros(k, np.int64)
        self.generation: Ints = np.zeros(k, np.int64)

    # -- downlink

    def provide(self, server: Handle, experts: Sequence[int]) -> None:
        """Put the start model's ``experts`` and gate on all devices, before time begins."""
        self._take(server, 0, np.ones_like(self.pending), tuple(experts))

    def download(
        self, name: str, server: Handle, version: int, experts: Sequence[int], gate: bool = True
    ) -> Download:
        """Ask for ``experts`` (and gate) of ``server``, or the rest of what is half come down."""
        wanted = tuple(experts)
        if self.inbound is None or self.inbound.experts != wanted:
            self.inbound = Inbound(server, version, wanted, np.zeros_like(self.pending))
        size = self.learner.architecture.download_bytes(wanted, gate)
        return Download(Payload(name, size, self.inbound.version), ~self.inbound.got)

    def receive(self, receipt: Receipt) -> None:
        """Devices that the download has reached take what they asked for."""
        inbound = self.inbound
        if inbound is None:
            return
        arrived = receipt.done & ~inbound.got
        self._take(inbound.server, inbound.version, arrived, inbound.experts)
        got = inbound.got | arrived
        half_way = ~got & (receipt.delivered_bytes > 0)
        still = Inbound(inbound.server, inbound.version, inbound.experts, got)
        self.inbound = still if half_way.any() else None

    def receive_gate(self, server: Handle, who: Mask) -> None:
        """Devices in ``who`` take the server's gate."""
        if self.state is not None and who.any():
            self.state = self.learner.receive_gate(server, self.state, who)

    def _take(self, server: Handle, version: int, who: Mask, experts: tuple[int, ...]) -> None:
        """Devices in ``who`` take ``experts`` and gate of ``server``.

        Those that miss a download of experts which they do not hold yet are not ``complete``:
        they cannot train until they have caught up.
        """
        kept = self.complete if self.held.issuperset(experts) else np.zeros_like(who)
        self.complete = kept | who
        if not who.any():
            return
        self.held = frozenset(experts)
        self.state = self.learner.receive(
            server, self.state, self.name, who, experts, self.generation
        )
        self.version = np.where(who, version, self.version)

    # -- training

    def train(
        self, work: Work, experts: Sequence[int], gate: bool = False, masked: bool = False
    ) -> None:
        """Train the rounds that the clock granted."""
        if self.state is None:
            return
        self.state = self.learner.train(
            self.state, self.name, work.rounds, self.rounds, experts, gate, masked
        )
        self.rounds = self.rounds + work.rounds
        self.unsent_rounds = self.unsent_rounds + work.rounds

    # -- uplink

    def offer(self, experts: Sequence[int], gate: bool = False) -> None:
        """Freeze a snapshot on every device that has trained and has none on its way.

        Raises ValueError while a snapshot of other parts is on its way.
        """
        parts = tuple(experts), gate
        under_way = self.snapshot if self.pending.any() else None
        if under_way is not None and parts != (under_way.experts, under_way.gate):
            raise ValueError(
                f"experts {list(under_way.experts)} of {self.name} are still on their way; "
                "deliver them before offering others"
            )
        fresh = ~self.pending & (self.unsent_rounds > 0)
        if self.state is None or not fresh.any():
            return
        offered = self.learner.offer(self.state, experts, gate)
        if under_way is not None:
            offered = self.learner.select(fresh, offered, under_way.handle)
        self.snapshot = Snapshot(offered, *parts)
        self.generation = self.generation + fresh
        self.state = self.learner.fold(self.state, self.name, fresh, self.generation, experts, gate)
        self.offered_version = np.where(fresh, self.version, self.offered_version)
        self.unsent_rounds = np.where(fresh, 0, self.unsent_rounds)
        self.pending = self.pending | fresh

    def payload(self, name: str) -> Payload:
        """Return the snapshots on their way as a payload of the version they stem from."""
        if self.snapshot is None:
            return Payload(name, 0.0)
        sizes = self.learner.architecture
        size = sizes.upload_bytes(self.snapshot.experts, self.snapshot.gate)
        return Payload(name, size, self.offered_version)

    def deliver(self, receipt: Receipt) -> Mask:
        """Return who has got a snapshot through now, and forget that it was on its way.

        A snapshot that was given up is forgotten too: the server never hears of what it held.
        """
        done = self.pending & receipt.done
        over = done if receipt.given_up is None else done | receipt.given_up
        self.pending = self.pending & ~over
        return done

    def merge(self, server: Handle, who: Mask) -> Handle:
        """Aggregate the snapshots of ``who`` into ``server``, by sample weights (35), (36).

        A device weighs its share of the cluster's samples, so that those who arrive late add what
        was missing and nobody counts for another.
        """
        if self.snapshot is None or not who.any():
            return server
        offered = self.snapshot.handle
        if self.snapshot.experts:
            server = self.learner.merge_experts(
                server, offered, self.name, self.snapshot.experts, who
            )
        if self.snapshot.gate:
            server = self.learner.merge_gate(server, offered, self.name, who)
        return server

    def merge_gate(self, server: Handle, who: Mask) -> Handle:
        """Aggregate the gates that ``who`` have got through (36), and count them as their base."""
        if self.state is None or not who.any():
            return server
        tuned = self.learner.offer(self.state, [], gate=True)
        self.state = self.learner.fold(self.state, self.name, who, self.generation, [], gate=True)
        return self.learner.merge_gate(server, tuned, self.name, who)

    def staleness(self, server_version: int, who: Mask) -> str:
        """Describe how many server versions the snapshots of ``who`` are behind."""
        behind = server_version - self.offered_version[who]
        low, high = int(behind.min()), int(behind.max())
        return f"staleness:{low}" if low == high else f"staleness:{low}-{high}"
