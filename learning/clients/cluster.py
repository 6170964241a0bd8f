"""What the devices of one cluster hold while a method runs: models, unsent rounds, snapshots."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from learning.clients.updates import (
    NEVER_HELD,
    PendingDownload,
    PendingUpdate,
    Update,
    download_bytes,
    finite,
    merge,
    payload_of,
    personal_upload,
    upload_payload,
)
from learning.learner import Learner
from learning.requests.cluster import Cluster, Download, Floats, Ints, Mask, Receipt, Request, Work
from learning.requests.details import described
from learning.requests.payload import Payload
from learning.values.lazy import Handle


class ClusterState:
    """The K devices of one cluster, as arrays, with their stacked state.

    A device's training since its last offer lives in fresh LoRA factors. An offer freezes those
    factors as a snapshot, counts them as part of the device's base and begins new ones, so that a
    snapshot larger than one pass gets through over several passes while training goes on, and no
    change is sent twice or lost. A download that a pass cuts off is likewise finished in the
    version it was begun in, by each device for itself: the others take the present one meanwhile.

    ``unsent`` (K, E) counts local rounds on each expert since it was last offered, ``changes_held``
    (K, E) the aggregated changes in the expert that a device has downloaded. ``excluded`` (K,) are
    the devices that lacked the memory for what was trained last. Where devices hold experts of
    their own, ``holds`` (K, E) says which: of what the cluster is given, each takes, trains and
    sends those alone.
    """

    def __init__(self, learner: Learner, cluster: Cluster) -> None:
        k, experts = cluster.devices, learner.architecture.experts
        self.learner = learner
        self.name = cluster.name
        self.state: Handle | None = None
        self.snapshot: PendingUpdate | None = None
        self.inbound: list[PendingDownload] = []
        self.held: frozenset[int] = frozenset()
        self.complete = np.zeros(k, bool)
        self.pending = np.zeros(k, bool)
        self.excluded = np.zeros(k, bool)
        self.progressed = False
        self.version: Ints = np.zeros(k, np.int64)
        self.offered_version: Ints = np.zeros(k, np.int64)
        self.rounds: Ints = np.zeros(k, np.int64)
        self.unsent: Ints = np.zeros((k, experts), np.int64)
        self.adapter_epoch: Ints = np.zeros(k, np.int64)
        self.changes_held: Ints = np.full((k, experts), NEVER_HELD)
        self.holds: Mask = np.ones((k, experts), bool)
        self._rounds_before: Ints = np.zeros(k, np.int64)
        self._rounds_before_offered: Ints = np.zeros(k, np.int64)
        self._through: Floats = np.zeros(k)
        self._arrivals = 0

    # -- downlink

    def load_initial(self, server: Handle, experts: Sequence[int]) -> None:
        """Put the start model's ``experts`` and gate on all devices, before time begins."""
        none_yet = np.zeros(self.unsent.shape[1], np.int64)
        self._take(server, 0, np.ones_like(self.pending), tuple(experts), none_yet)

    def require_download(self) -> None:
        """Let nobody train before it has downloaded the server's model as it is from now on."""
        self.inbound = []
        self.complete = np.zeros_like(self.complete)

    def cancel_transfers(self) -> None:
        """Give up all that is on its way up or down; the devices begin with the next download."""
        self.pending = np.zeros_like(self.pending)
        self._through = np.zeros_like(self._through)
        self.inbound = []

    @property
    def half_way(self) -> Mask:
        """Devices (K,) that have a part of a download, and not all of it."""
        half_way = np.zeros_like(self.pending)
        for inbound in self.inbound:
            half_way = half_way | inbound.who
        return half_way

    def download(
        self,
        name: str,
        server: Handle,
        version: int,
        experts: Sequence[int],
        *,
        gate: bool = True,
        changes: Ints | None = None,
        who: Mask | None = None,
    ) -> Download:
        """Ask for ``experts`` (and gate) of ``server``, or the rest of what is half come down.

        Devices in ``who`` (all by default) ask, but for those that cannot train it. ``changes``
        (E,) is how many changes have been aggregated into each expert of ``server``. With
        ``learning.lora.download: factors`` a device then asks for those that it misses.
        """
        asking = self.eligible if who is None else who & self.eligible
        wanted = name, tuple(experts)
        self.inbound = [old for old in self.inbound if (old.name, old.experts) == wanted]
        held = self.changes_held
        size = download_bytes(self.learner, experts, gate, held, changes, self.holds)
        rest = ~self.half_way
        self.inbound.append(PendingDownload(name, server, version, wanted[1], rest, size, changes))
        payload = payload_of(name, self.inbound, len(rest))
        return Download(payload, asking, personal=self.differ(asking))

    def differ(self, who: Mask) -> bool:
        """Return whether devices in ``who`` hold different experts."""
        mine = self.holds[who]
        return bool((mine != mine[:1]).any())

    def receive(self, receipt: Receipt) -> None:
        """Devices that the download has reached take what they asked for."""
        for model in self.inbound:
            arrived = receipt.done & model.who
            self._take(model.server, model.version, arrived, model.experts, model.changes)
        left = [model.left(receipt) for model in self.inbound]
        self.inbound = [model for model in left if model.who.any()]

    def receive_gate(self, server: Handle, who: Mask) -> None:
        """Devices in ``who`` take the server's gate."""
        if self.state is not None and who.any():
            self.state = self.learner.load_gate(server, self.state, who)

    def _take(
        self,
        server: Handle,
        version: int,
        who: Mask,
        experts: tuple[int, ...],
        changes: Ints | None,
    ) -> None:
        """Devices in ``who`` take ``experts`` and gate of ``server``.

        Those that miss a download of experts which they do not hold yet are not ``complete``:
        they cannot train until they have caught up.
        """
        kept = self.complete if self.held.issuperset(experts) else np.zeros_like(who)
        self.complete = kept | who
        if not who.any():
            return
        self.held = frozenset(experts)
        self.state = self.learner.load(
            server, self.state, self.name, who, experts, self.adapter_epoch
        )
        self.version = np.where(who, version, self.version)
        self._rounds_before = np.where(who, self.rounds, self._rounds_before)
        new = self._among(experts)
        counts = np.where(self.holds, NEVER_HELD if changes is None else changes, NEVER_HELD)
        held = np.where(who[:, None], counts, self.changes_held)
        self.changes_held = np.where(new, held, NEVER_HELD)

    def _among(self, experts: Collection[int]) -> Mask:
        """Mark ``experts`` in (E,)."""
        marked = np.zeros(self.unsent.shape[1], bool)
        marked[list(experts)] = True
        return marked

    # -- training

    def train(
        self,
        work: Work,
        experts: Sequence[int],
        *,
        gate: bool = False,
        masked: bool = False,
        mask: str = "-inf",
    ) -> None:
        """Train ``experts``, and the ``gate`` if asked, for the rounds that the clock granted."""
        self.excluded = work.excluded
        if self.state is None:
            return
        reach = None if self.holds.all() else self.holds & self._among(experts)
        self.state = self.learner.train(
            self.state,
            self.name,
            work.rounds,
            self.rounds,
            experts,
            gate=gate,
            masked=masked,
            mask=mask,
            reach=reach,
        )
        self.rounds = self.rounds + work.rounds
        trained = self._among(experts) & self.holds
        self.unsent = self.unsent + work.rounds[:, None] * trained

    # -- uplink

    def has_unsent(self, experts: Collection[int]) -> Mask:
        """Return who (K,) has trained ``experts`` since they were last offered."""
        owing: Mask = self.unsent[:, list(experts)].sum(axis=1) > 0
        return owing

    def offer(self, experts: Sequence[int], *, gate: bool = False, who: Mask | None = None) -> None:
        """Freeze a snapshot on every device in ``who`` that has trained and has none on its way.

        Raises ValueError while a snapshot of other parts is on its way.
        """
        parts = tuple(experts), gate
        under_way = self.snapshot if self.pending.any() else None
        if under_way is not None and parts != (under_way.experts, under_way.gate):
            raise ValueError(
                f"experts {list(under_way.experts)} of {self.name} are still on their way; "
                "deliver them before offering others"
            )
        asked = np.ones(len(self.pending), bool) if who is None else who
        fresh: Mask = asked & ~self.pending & self.has_unsent(experts)
        if self.state is None or not fresh.any():
            return
        offered = self.learner.offer(self.state, experts, gate=gate)
        if under_way is not None:
            offered = self.learner.select(fresh, offered, under_way.handle)
        self.snapshot = PendingUpdate(offered, *parts)
        self._restart(fresh, experts, gate)
        self.offered_version = np.where(fresh, self.version, self.offered_version)
        before = self._rounds_before
        self._rounds_before_offered = np.where(fresh, before, self._rounds_before_offered)
        self.pending = self.pending | fresh

    def forget(self, experts: Sequence[int], who: Mask) -> None:
        """Devices in ``who`` will never offer what they have trained of ``experts``."""
        if self.state is not None and who.any():
            self._restart(who, experts, gate=False)

    def forget_gate(self, who: Mask) -> None:
        """Devices in ``who`` will never offer what they have trained of the gate so far."""
        if self.state is not None and who.any():
            self.state = self.learner.commit(
                self.state, self.name, who, self.adapter_epoch, [], gate=True
            )

    def _restart(self, who: Mask, experts: Sequence[int], gate: bool) -> None:
        """Count what ``who`` have trained of ``experts`` as their base, and begin fresh factors."""
        assert self.state is not None  # for the type checker: somebody has trained
        self.adapter_epoch = self.adapter_epoch + who
        self.state = self.learner.commit(
            self.state, self.name, who, self.adapter_epoch, experts, gate
        )
        restarted = who[:, None] & self._among(experts)
        self.unsent = np.where(restarted, 0, self.unsent)

    def payload(self, name: str) -> Payload:
        """Return the snapshots on their way as a payload of the version they stem from."""
        if self.snapshot is None:
            return Payload(name, 0.0)
        experts, gate = self.snapshot.experts, self.snapshot.gate
        return self.sends(name, experts, gate, self.offered_version)

    def sends(self, name: str, experts: Sequence[int], gate: bool, version: int | Ints) -> Payload:
        """Return what each device would send up of ``experts``, and of the gate if asked."""
        if self.holds.all():
            return upload_payload(self.learner, name, experts, gate=gate, version=version)
        return personal_upload(self.learner, name, experts, gate, version, self.holds)

    def deliver(self, receipt: Receipt) -> Mask:
        """Return who has got a snapshot through now, and forget that it was on its way.

        A snapshot that was given up is forgotten too: the server never hears of what it held.
        ``progressed`` says from now on whether anything of the snapshots has come through.
        """
        done = self.pending & receipt.done
        over = done if receipt.given_up is None else done | receipt.given_up
        self.progressed = bool((done | (receipt.delivered_bytes > self._through)).any())
        self.pending = self.pending & ~over
        self._through = np.where(self.pending, receipt.delivered_bytes, 0.0)
        return done

    def finite(self, done: Mask) -> Generator[Request, Any, Mask]:
        """Return those of ``done`` whose snapshots are finite; the others are refused by name.

        The server never merges what it refuses. A device is whole again when it has downloaded.
        """
        if self.snapshot is None:
            return done
        spoilt = self._spoilt(done)
        handle = self.learner.corrupt(self.snapshot.handle, spoilt)
        self.snapshot = replace(self.snapshot, handle=handle)
        return (yield from finite(self.learner, handle, done, spoilt))

    def finite_gate(self, done: Mask) -> Generator[Request, Any, Mask]:
        """Return those of ``done`` whose gates are finite; the others are refused by name."""
        if self.state is None:
            return done
        spoilt = self._spoilt(done)
        tuned = self.learner.corrupt(self.learner.offer(self.state, [], gate=True), spoilt)
        return (yield from finite(self.learner, tuned, done, spoilt))

    def _spoilt(self, done: Mask) -> Mask:
        """Which of the updates (K,) that have arrived the scenario wants not to be finite."""
        if not done.any():
            return done
        struck = self.learner.corruption.hit(self.name, self._arrivals, len(done))
        self._arrivals += 1
        return struck & done

    def merge(self, server: Handle, who: Mask, scale: float = 1.0) -> Handle:
        """Aggregate the snapshots of ``who`` into ``server``, by sample weights (35), (36).

        A device weighs its share of the samples of all devices that can take part, so that those
        who arrive late add what was missing and nobody counts for another. ``scale`` multiplies the
        weighted mean.
        """
        update = self.update(who)
        return server if update is None else merge(self.learner, server, update, scale)

    def update(self, who: Mask) -> Update | None:
        """Return the snapshots of ``who`` to be aggregated some time; None if there are none."""
        if self.snapshot is None or not who.any():
            return None
        return Update(self.name, self.snapshot, who, self.eligible | who, self.offered_version)

    @property
    def eligible(self) -> Mask:
        """Devices (K,) that have the memory for what was trained last."""
        eligible: Mask = ~self.excluded
        return eligible

    def merge_gate(self, server: Handle, who: Mask) -> Handle:
        """Aggregate the gates that ``who`` have got through (36), and count them as their base."""
        if self.state is None or not who.any():
            return server
        tuned = self.learner.offer(self.state, [], gate=True)
        self.forget_gate(who)
        eligible = self.eligible | who
        return self.learner.aggregate(
            server, tuned, self.name, [], who, gate=True, eligible=eligible
        )

    # -- staleness

    def staleness(self, server_version: int, who: Mask) -> str:
        """Describe how old the snapshots of ``who`` are.

        ``staleness`` counts the server's versions since the one that they stem from, ``rounds``
        the local rounds that the device has trained since it downloaded that.
        """
        behind = server_version - self.offered_version[who]
        rounds = (self.rounds - self._rounds_before_offered)[who]
        return f"{described('staleness', behind)} {described('rounds', rounds)}"

    def gate_staleness(self, server_version: int, who: Mask) -> str:
        """Describe how old the gates of ``who`` are, which they have trained since a download."""
        behind = server_version - self.version[who]
        rounds = (self.rounds - self._rounds_before)[who]
        return f"{described('staleness', behind)} {described('rounds', rounds)}"
