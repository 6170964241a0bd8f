"""What the devices of one cluster hold while a method runs: models, unsent rounds, updates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence
from typing import Any

import numpy as np

from learning.clients.device_state import DeviceState
from learning.clients.updates import PendingUpdate, ServerModel, Update, finite
from learning.learner import Learner, LocalLoss
from learning.requests.cluster import (
    Cluster,
    Cost,
    Download,
    Receipt,
    Train,
    TrainUntilContact,
    Upload,
    Work,
)
from learning.requests.facts import parts_named
from learning.requests.payload import Payload
from learning.requests.request import Request
from learning.training.recipe import MOVES, LocalRounds, TrainedPart, Turns
from learning.values.lazy import Handle
from statements.arrays import Floats, Ints, Mask

NOT_HELD = -1
"""Stands for the changes in an expert that a device has let go of."""


class ClusterState:
    """The K devices of one cluster: each is a row of the columns below, and of ``state``.

    ``holds`` (K, E): which experts a device takes, trains and sends, of what its cluster is given.
    ``eligible`` (K,): had the memory for what was trained last.
    ``complete`` (K,): has a whole model, to train. ``version`` (K,) is the server's that it has
    downloaded last, and ``changes_held`` (K, E) counts the aggregated changes in each expert of
    that; 0 for the start model, which all devices have before time begins.
    ``coming`` (K): the server's model of which a part has come down, or None. A download that a
    pass cuts off is finished in the version that it was begun in, by each device for itself: the
    others take the present one meanwhile.
    ``rounds`` (K,): all local rounds; ``unsent`` (K, E + 1) those on each expert since it was last
    offered, and behind them those on what is shared.
    ``pending`` (K,): has an update on its way, a part of what is ``staged``, which stems from
    ``offered_version`` (K,).

    A device's training since its last offer lives in fresh LoRA factors. An offer freezes those
    factors as an update, counts them as part of the device's base and begins new ones, so that an
    update larger than one pass gets through over several passes while training goes on, and no
    change is sent twice or lost.

    ``local_loss`` returns a method's term of the loss of a training, None for none. A payload
    holds ``copies`` sets of the tensors that it names: the model and, say, a control variate. In
    memory a device keeps ``memory_copies`` of what it trains. Where the server wants whole models,
    ``offers_models``, an offer is the base with the changes. ``turns`` splits rounds (K,) into
    those in which what is personal moves, and those in which all else does.
    """

    def __init__(
        self,
        learner: Learner,
        cluster: Cluster,
        local_loss: Callable[[], LocalLoss | None] | None = None,
        copies: int = 1,
        memory_copies: int = 0,
        *,
        offers_models: bool = False,
        turns: Callable[[Ints], Turns] | None = None,
    ) -> None:
        k = cluster.devices
        experts = learner.architecture.experts
        self.learner = learner
        self.cluster = cluster
        self.name = cluster.name
        self.local_loss = local_loss
        self._split = turns
        self.copies = copies
        self.memory_copies = memory_copies
        self.offers_models = offers_models
        self.state: DeviceState | None = None
        self.holds: Mask = np.ones((k, experts), bool)
        lora = learner.config.model.lora
        self.ranks: Ints = np.array(learner.config.ranks_of(cluster.name) or [lora.rank or 0] * k)
        # To these ranks changes are cut that go down; where they are not, 1 for all.
        cuts_downloads = lora.sends_factors and lora.aggregate != "stack"
        self.cuts: Ints = self.ranks if cuts_downloads else np.ones_like(self.ranks)
        self.eligible: Mask = np.ones(k, bool)
        self.complete: Mask = np.zeros(k, bool)
        self.version: Ints = np.zeros(k, np.int64)
        self.changes_held: Ints = np.zeros((k, experts), np.int64)
        self.asked: tuple[str, tuple[int, ...]] = "", ()
        self.coming: list[ServerModel | None] = [None] * k
        self.coming_bytes: Floats = np.zeros(k)
        self.rounds: Ints = np.zeros(k, np.int64)
        self.rounds_before: Ints = np.zeros(k, np.int64)
        self.unsent: Ints = np.zeros((k, experts + 1), np.int64)
        self.adapter_epoch: Ints = np.zeros(k, np.int64)
        self.staged: PendingUpdate | None = None
        self.pending: Mask = np.zeros(k, bool)
        self.offered_version: Ints = np.zeros(k, np.int64)
        self.offered_before: Ints = np.zeros(k, np.int64)
        self.sent_bytes: Floats = np.zeros(k)
        self.progressed = False

    def _marked(self, experts: Collection[int], *, gate: bool) -> Mask:
        """Mark in (E + 1,) what an update of ``experts``, and what is shared if ``gate``, holds."""
        marked = np.zeros(self.unsent.shape[1], bool)
        marked[list(experts)] = True
        marked[-1] = gate
        return marked

    def personal(self, server: Handle) -> Handle:
        """Return what is personal of the devices, (K, ...) by stored name.

        Before they have a model it is that of ``server``.
        """
        own = () if self.state is None else (self.state.own,)
        made = "learning.training.sync:personal"
        return self.learner.make(made, server, *own, devices=self.cluster.devices)

    @property
    def models(self) -> Handle:
        """The devices' models as trained, (K, ...) by stored name."""
        if self.state is None:
            raise ValueError(f"the devices of {self.name} have no model yet; load one first")
        return self.learner.make("learning.training.sync:models", self.state.whole)

    # -- downlink

    def load_initial(self, server: ServerModel, experts: Sequence[int]) -> None:
        """Put the start model's ``experts`` and gate on all devices, before time begins."""
        self._take(server, np.ones(len(self.pending), bool), experts)

    def require_download(self) -> None:
        """Let nobody train before it has downloaded the server's model as it is from now on."""
        self.coming = [None] * len(self.coming)
        self.complete = np.zeros_like(self.complete)

    def cancel_transfers(self) -> None:
        """Give up all that is on its way up or down; the devices begin with the next download."""
        self.coming = [None] * len(self.coming)
        self.cancel_uploads()

    def cancel_uploads(self) -> None:
        """Give up all that is on its way up."""
        self.pending = np.zeros(len(self.pending), bool)
        self.sent_bytes = np.zeros(len(self.pending))

    @property
    def receiving(self) -> Mask:
        """Devices (K,) that have a part of a download, and not all of it."""
        return np.array([model is not None for model in self.coming])

    def download(
        self,
        name: str,
        server: ServerModel,
        experts: Sequence[int],
        *,
        gate: bool = True,
        who: Mask | None = None,
    ) -> Download:
        """Ask for ``experts`` (and gate) of ``server``, or the rest of what is half come down.

        Devices in ``who`` (all by default) ask, but for those that cannot train it. With
        ``learning.lora.download: factors`` a device asks for the changes that it misses.
        """
        asking = self.eligible if who is None else who & self.eligible
        wanted = name, tuple(experts)
        if wanted != self.asked:
            self.coming = [None] * len(self.coming)
        self.asked = wanted
        needed = self.download_bytes(server, experts, gate=gate)
        self.coming_bytes = np.where(self.receiving, self.coming_bytes, needed)
        models = [server if model is None else model for model in self.coming]
        self.coming = [*models]
        version = np.array([model.version for model in models])
        payload = Payload(name, self.coming_bytes, version)
        return Download(payload, asking, personal=self._differ(asking))

    def _differ(self, who: Mask) -> bool:
        """Whether devices in ``who`` differ in experts or ranks: each gets what is its own."""
        if len(who) == 1:  # a satellite that trains alone
            return False
        rows = np.column_stack([self.holds, self.cuts])[who]
        return bool((rows != rows[:1]).any())

    def download_bytes(self, server: ServerModel, experts: Sequence[int], *, gate: bool) -> Floats:
        """Return the bytes (K,) that devices download of those of ``experts`` that they hold.

        These are whole experts or, where factors go down, the changes that a device misses, cut to
        its rank, where those are less.
        """
        sizes = self.learner.architecture
        lora = self.learner.config.model.lora
        every = list(experts)
        parts: float | Floats = sizes.download_bytes(every[:1], gate=False)
        if server.changes is not None and lora.sends_factors and lora.rank is not None:
            # What a device misses is counted in changes of the server, which have its rank.
            held = self.changes_held[:, every]
            factors = (server.changes[every] - held) * (sizes.factor_bytes(1) / lora.rank)
            parts = np.where(
                held == NOT_HELD, parts, np.minimum(parts, factors * self.cuts[:, None])
            )
        total = (self.holds[:, every] * parts).sum(axis=1)
        return np.asarray(self.copies * (total + sizes.download_bytes([], gate=gate)))

    def download_gate(self, server: ServerModel) -> Download:
        """Ask for the gate of ``server``; what a pass cuts off is given up."""
        size = self.copies * self.learner.architecture.download_bytes([], gate=True)
        return Download(Payload("gate", size, server.version), self.eligible, carry=False)

    def receive(self, receipt: Receipt) -> None:
        """Devices that the download has reached take what they asked for."""
        some = (receipt.delivered_bytes > 0) & ~receipt.done
        coming = self.coming
        for model in dict.fromkeys(coming):
            if model is not None:
                mine = np.array([each is model for each in coming])
                self._take(model, receipt.done & mine, self.asked[1])
        self.coming = [model if left else None for model, left in zip(coming, some, strict=True)]

    def receive_gate(self, server: ServerModel, who: Mask) -> None:
        """Devices in ``who`` take the server's gate."""
        if self.state is not None and who.any():
            self.state = self.state.load_gate(server.weights, who)

    def _take(self, server: ServerModel, who: Mask, experts: Sequence[int]) -> None:
        """Devices in ``who`` take ``experts`` and gate of ``server``.

        Those that miss a download of experts which they do not hold yet are not ``complete``:
        they cannot train until they have caught up.
        """
        part = self._marked(experts, gate=False)[:-1]
        lacks = self.holds & part & (self.changes_held == NOT_HELD)
        self.complete = (self.complete & ~lacks.any(axis=1)) | who
        if not who.any():
            return
        self.state = DeviceState.load(
            self.learner, server.weights, self.state, self.name, who, experts, self.adapter_epoch
        )
        self.version = np.where(who, server.version, self.version)
        self.rounds_before = np.where(who, self.rounds, self.rounds_before)
        changes = NOT_HELD if server.changes is None else server.changes
        held = np.where(who[:, None], np.where(self.holds, changes, NOT_HELD), self.changes_held)
        self.changes_held = np.where(part, held, NOT_HELD)

    # -- training

    def cost(self, experts: Sequence[int], *, gate: bool = False, mask: str | None = None) -> Cost:
        """Return what a local round on ``experts`` takes; under a ``mask`` no others are loaded."""
        every = range(self.holds.shape[1])
        held = every if mask is None else experts
        return self.learner.round_cost(experts, held, gate=gate, copies=self.memory_copies)

    def train_until_contact(
        self, experts: Sequence[int], *, gate: bool = False, mask: str | None = None
    ) -> TrainUntilContact:
        """Ask for the disconnected phase, training as in :meth:`train`; who is incomplete rests."""
        cost = self.cost(experts, gate=gate, mask=mask)
        return TrainUntilContact(cost, self.complete)

    def train_round(
        self, experts: Sequence[int], *, gate: bool = False, mask: str | None = None
    ) -> Train:
        """Ask for the local rounds of a contact, as in :meth:`train`."""
        return Train(self.cost(experts, gate=gate, mask=mask))

    def train(
        self, work: Work, experts: Sequence[int], *, gate: bool = False, mask: str | None = None
    ) -> None:
        """Train ``experts``, and the ``gate`` if asked, for the rounds that the clock granted.

        ``mask`` keeps the gate to ``experts`` (43): the logits of all others become ``-inf``, or
        ``zero``.
        """
        self.eligible = ~work.excluded
        if self.state is None:
            return
        trained = np.ones_like(self.unsent, bool)
        trained[:, :-1] = self.holds
        trained &= self._marked(experts, gate=gate)
        if self.learner.trains:  # else the state is a name alone
            reach = None if self.holds.all() else trained[:, :-1]
            term = None if self.local_loss is None else self.local_loss()
            first = self.rounds
            for moves, rounds in self.turns(work.rounds):
                moved = [] if moves == "personal" else list(experts)
                part = TrainedPart(moved, gate, mask, reach, moves)
                local = LocalRounds(self.name, rounds, first)
                self.state = self.state.train(local, part, term)
                first = first + rounds
        self.rounds = self.rounds + work.rounds
        self.unsent = self.unsent + work.rounds[:, None] * trained

    def turns(self, rounds: Ints) -> Turns:
        """Return what moves in how many of the ``rounds`` (K,); raise ValueError if not in all."""
        if self._split is None:
            return [("all", rounds)]
        turns = self._split(rounds)
        if lost := [moves for moves, _ in turns if moves not in MOVES]:
            raise ValueError(f"{lost[0]!r} is none of {', '.join(MOVES)}")
        counts = [np.asarray(own) for _, own in turns]
        if any(own.shape != rounds.shape or own.dtype.kind not in "iu" for own in counts):
            raise ValueError("its rounds, (K,) in each turn, are no array of whole numbers")
        if not np.array_equal(sum(counts), rounds):
            raise ValueError("its rounds, (K,) in each turn, are not as many as the devices train")
        if any((own < 0).any() for own in counts):
            raise ValueError(
                "a turn has fewer than 0 rounds of a device, perhaps of one that rests"
            )
        return turns

    # -- uplink

    def has_unsent(self, experts: Collection[int], *, gate: bool = False) -> Mask:
        """Return who (K,) has trained ``experts`` since they were last offered, or the ``gate``."""
        return (self.unsent @ self._marked(experts, gate=gate)) > 0

    def offer(self, experts: Sequence[int], *, gate: bool = False, who: Mask | None = None) -> None:
        """Freeze an update on every device in ``who`` that has trained and has none on its way.

        Raises ValueError while an update of other parts is on its way.
        """
        under_way = self.staged if self.pending.any() else None
        if under_way is not None and not under_way.holds(experts, gate=gate):
            raise ValueError(
                f"experts {list(under_way.experts)} of {self.name} are still on their way; "
                "deliver them before offering others"
            )
        fresh = self.has_unsent(experts, gate=gate) & ~self.pending
        if who is not None:
            fresh = fresh & who
        if self.state is None or not fresh.any():
            return
        offered = self.state.offer(experts, gate=gate)
        if self.offers_models:
            offered = self.learner.make(
                "learning.training.aggregation:models", offered, self.state.whole
            )
        if under_way is not None:
            offered = self.learner.select(fresh, offered, under_way.handle)
        name = self.learner.architecture.named(experts, gate=gate)
        self.staged = PendingUpdate(offered, tuple(experts), gate, name)
        self.offered_version = np.where(fresh, self.version, self.offered_version)
        self.offered_before = np.where(fresh, self.rounds_before, self.offered_before)
        self.pending = self.pending | fresh
        self._restart(fresh, experts, gate=gate)

    def forget(self, experts: Sequence[int], who: Mask, *, gate: bool = False) -> None:
        """Devices in ``who`` will never offer what they trained of ``experts`` (and the gate)."""
        if who.any() and self.state is not None:
            self._restart(who, experts, gate=gate)

    def _restart(self, who: Mask, experts: Sequence[int], *, gate: bool) -> None:
        """Count what ``who`` have trained as their base, and draw new factors of ``experts``."""
        assert self.state is not None  # for the type checker: they have trained
        if experts:
            self.adapter_epoch = self.adapter_epoch + who
        self.state = self.state.commit(who, self.adapter_epoch, experts, gate=gate)
        parts = self._marked(experts, gate=gate)
        self.unsent = np.where(who[:, None] & parts, 0, self.unsent)

    def payload(self, name: str) -> Payload:
        """Return the updates on their way as a payload of the version they stem from."""
        if (staged := self.staged) is None:
            return Payload(name, 0.0)
        return self.upload_payload(name, staged.experts, self.offered_version, gate=staged.gate)

    def upload(
        self,
        name: str,
        model: Download,
        experts: Sequence[int],
        *,
        gate: bool = True,
        who: Mask | None = None,
        carry: bool = True,
    ) -> Upload:
        """Ask for the upload of what will be trained on ``model``, in the same chain."""
        return Upload(
            self.upload_payload(name, experts, model.payload.version, gate=gate), who, carry
        )

    def upload_payload(
        self, name: str, experts: Sequence[int], version: int | Ints, *, gate: bool
    ) -> Payload:
        """Return what devices send up of those of ``experts`` that they hold, and of the gate.

        Where they send different ones, the list of tensors is that of a device that sends most.
        """
        sizes = self.learner.architecture
        copies = self.copies
        ranks: list[int] = self.ranks.tolist()
        first = list(experts)[:1]
        sent_experts = self.holds[:, list(experts)]
        each = [sizes.upload_bytes(first, gate=False, rank=rank) for rank in ranks]
        sent = sent_experts.sum(axis=1) * each + sizes.upload_bytes([], gate=gate)
        device = sent.argmax()
        most = np.array(experts, np.int64)[sent_experts[device]].tolist()
        tensors = sizes.upload_tensors(most, gate=gate, rank=ranks[device]) * copies
        return Payload(name, copies * sent, version, tensors)

    def send(self, name: str = "", *, carry: bool = True) -> Generator[Request, Any, Update | None]:
        """Upload what is on its way; return what has arrived, as :meth:`arrived`."""
        if self.staged is None or not self.pending.any():
            return None
        receipt = yield Upload(self.payload(name or self.staged.name), self.pending, carry)
        update = yield from self.arrived(receipt)
        if not carry:  # nor is that of who was away, and could not begin
            self.cancel_uploads()
        return update

    def arrived(
        self, receipt: Receipt, among: Mask | None = None
    ) -> Generator[Request, Any, Update | None]:
        """Return the finite updates that an upload has brought, as :meth:`update`.

        The others are refused by name: the server never merges them. A device is whole again when
        it has downloaded.
        """
        done = self.deliver(receipt)
        if self.staged is not None:
            done = yield from finite(self.learner, self.staged.handle, done)
        return self.update(done, among, receipt.contact_id)

    def deliver(self, receipt: Receipt) -> Mask:
        """Return who has got an update through now, and forget that it was on its way.

        An update that was given up is forgotten too: the server never hears of what it held.
        ``progressed`` says from now on whether anything of the updates has come through.
        """
        done = self.pending & receipt.done
        over = done if receipt.given_up is None else done | receipt.given_up
        self.progressed = bool((done | (receipt.delivered_bytes > self.sent_bytes)).any())
        self.pending = self.pending & ~over
        self.sent_bytes = np.where(self.pending, receipt.delivered_bytes, 0.0)
        return done

    def update(
        self, who: Mask, among: Mask | None = None, contact_id: Ints | None = None
    ) -> Update | None:
        """Return the updates of ``who`` to be aggregated some time; None if there are none.

        The weights sum to one over these and the devices ``among`` (K,), by default all eligible
        ones.
        """
        if self.staged is None or not who.any():
            return None
        rounds = self.rounds - self.offered_before
        eligible = (self.eligible if among is None else among) | who
        version = self.offered_version
        return Update(self.name, self.staged, who, eligible, version, rounds, contact_id)

    def gate_update(self, done: Mask, receipt: Receipt) -> Generator[Request, Any, Update | None]:
        """Return the finite gates of ``done``, trained since a download; None without any.

        ``receipt`` is that of their upload.
        """
        if self.state is None or not done.any():
            return None
        offered = self.state.offer([], gate=True)
        done = yield from finite(self.learner, offered, done)
        rounds = self.rounds - self.rounds_before
        eligible = self.eligible | done
        sent = PendingUpdate(offered, (), gate=True, name=parts_named([], gate=True))
        if not done.any():
            return None
        contact_id = receipt.contact_id
        return Update(self.name, sent, done, eligible, self.version, rounds, contact_id)
