"""What the devices of one cluster hold while a method runs: models, unsent rounds, snapshots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from learning.learner import Learner
from learning.method import Cluster
from learning.requests import Mask, Payload, Receipt, Work
from learning.values import Handle


class ClusterSide:
    """The K devices of one cluster, as arrays, with their stacked state.

    A device's training since its last offer lives in fresh LoRA factors. An offer freezes those
    factors as a snapshot, counts them as part of the device's base and begins new ones, so that a
    snapshot larger than one pass gets through over several passes while training goes on, and no
    change is sent twice or lost.
    """

    def __init__(self, learner: Learner, cluster: Cluster) -> None:
        k = cluster.devices
        self.learner = learner
        self.name = cluster.name
        self.state: Handle | None = None
        self.snapshot: Handle | None = None
        self.held: frozenset[int] = frozenset()
        self.complete = np.zeros(k, bool)
        self.pending = np.zeros(k, bool)
        self.version = np.zeros(k, np.int64)
        self.offered_version = np.zeros(k, np.int64)
        self.rounds = np.zeros(k, np.int64)
        self.unsent_rounds = np.zeros(k, np.int64)
        self.generation = np.zeros(k, np.int64)

    def receive(self, server: Handle, version: int, who: Mask, experts: Sequence[int]) -> None:
        """Devices in ``who`` take the server's ``experts`` and gate, of ``version``.

        A device that misses a download of experts it does not hold yet is not ``complete``: it
        cannot train until it has caught up.
        """
        if not who.any():
            return
        kept = self.complete if self.held.issuperset(experts) else np.zeros_like(who)
        self.complete = kept | who
        self.held = frozenset(experts)
        self.state = self.learner.receive(
            server, self.state, self.name, who, experts, self.generation
        )
        self.version = np.where(who, version, self.version)

    def receive_gate(self, server: Handle, who: Mask) -> None:
        """Devices in ``who`` take the server's gate."""
        if self.state is not None and who.any():
            self.state = self.learner.receive_gate(server, self.state, who)

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

    def offer(self, experts: Sequence[int], gate: bool = False) -> None:
        """Freeze a snapshot on every device that has trained and has none on its way."""
        fresh = ~self.pending & (self.unsent_rounds > 0)
        if self.state is None or not fresh.any():
            return
        offered = self.learner.offer(self.state, experts, gate)
        if self.snapshot is not None and self.pending.any():
            offered = self.learner.select(fresh, offered, self.snapshot)
        self.snapshot = offered
        self.generation = self.generation + fresh
        self.state = self.learner.fold(self.state, self.name, fresh, self.generation)
        self.offered_version = np.where(fresh, self.version, self.offered_version)
        self.unsent_rounds = np.where(fresh, 0, self.unsent_rounds)
        self.pending = self.pending | fresh

    def payload(self, name: str, size_bytes: float) -> Payload:
        """Return the snapshots on their way as a payload of the version they stem from."""
        return Payload(name, size_bytes, self.offered_version)

    def deliver(self, receipt: Receipt) -> Mask:
        """Return who has got a snapshot through now, and forget that it was on its way."""
        done = self.pending & receipt.done
        self.pending = self.pending & ~done
        return done

    def staleness(self, server_version: int, who: Mask) -> str:
        """Describe how many server versions the snapshots of ``who`` are behind."""
        behind = server_version - self.offered_version[who]
        low, high = int(behind.min()), int(behind.max())
        return f"staleness:{low}" if low == high else f"staleness:{low}-{high}"
