"""What the devices of one cluster hold while a method runs: models, unsent rounds, updates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from learning.clients.holdings import NOT_HELD, HeldExperts, Parts, Ranks, differ, same
from learning.clients.payload_sizes import PayloadSizes
from learning.clients.updates import PendingDownload, PendingUpdate, ServerModel, Update, arrived
from learning.learner import Learner, LocalLoss
from learning.requests.cluster import (
    Cluster,
    Cost,
    Download,
    Floats,
    Ints,
    Mask,
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
from learning.values.handle import Handle
from learning.values.held import Held


class ClusterState:
    """The K devices of one cluster, as arrays, with their stacked state.

    A device's training since its last offer lives in fresh LoRA factors. An offer freezes those
    factors as an update, counts them as part of the device's base and begins new ones, so that an
    update larger than one pass gets through over several passes while training goes on, and no
    change is sent twice or lost. A download that a pass cuts off is likewise finished in the
    version it was begun in, by each device for itself: the others take the present one meanwhile.

    ``unsent`` (K, E + 1) counts local rounds on each expert since it was last offered, and behind
    them those on what is shared; ``changes_held`` (K, E) the aggregated changes in the expert that
    a device has downloaded, 0 for the start model, which all devices have before time begins.
    ``excluded`` (K,) are the devices that lacked the memory for what was trained last, ``eligible``
    (K,) the others, and ``members`` (K,) those of them that hold an expert, all of them where the
    model has none. Where devices hold experts of their own, ``holds`` (K, E) says which: of what
    the cluster is given, each takes, trains and sends those alone.

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
        self.state: Held | None = None
        self.staged: PendingUpdate | None = None
        self.downloads: list[PendingDownload] = []
        self.held: frozenset[int] = frozenset()
        self.nobody: Mask = np.zeros(k, bool)
        self.nobody.setflags(write=False)
        self.complete = self.nobody
        self.pending = self.nobody
        self.excluded = self.nobody
        self.progressed = False
        self.version: Ints = np.zeros(k, np.int64)
        self.offered_version: Ints = np.zeros(k, np.int64)
        self.rounds: Ints = np.zeros(k, np.int64)
        self.unsent: Ints = np.zeros((k, experts + 1), np.int64)
        self.adapter_epoch: Ints = np.zeros(k, np.int64)
        self.changes_held: Ints = np.zeros((k, experts), np.int64)
        self._held = HeldExperts(np.ones((k, experts), bool))
        lora = learner.config.model.lora
        self._ranks = Ranks(
            np.array(learner.config.ranks_of(cluster.name) or [lora.rank or 0] * k),
            cuts_downloads=lora.sends_factors and lora.aggregate != "stack",
        )
        self._rounds_before: Ints = np.zeros(k, np.int64)
        self._rounds_before_offered: Ints = np.zeros(k, np.int64)
        self._nothing: Floats = same(k, 0.0)
        self._through = self._nothing
        self._contact_id: Ints | None = None
        self._parts = Parts(experts)
        self._sizes = PayloadSizes(learner, copies, self._ranks)

    @property
    def holds(self) -> Mask:
        """Which experts (K, E) each device holds; not to be written into, but to be replaced."""
        return self._held.mask

    @holds.setter
    def holds(self, holds: Mask) -> None:
        if self._held.mask is not holds:  # given in every round, and nearly always alike
            self._held = HeldExperts(holds)

    @property
    def eligible(self) -> Mask:
        """Devices (K,) that had the memory for what was trained last."""
        return ~self.excluded

    @property
    def members(self) -> Mask:
        """Eligible devices (K,) that hold an expert, or all of them where the model has none."""
        return self.eligible & self._held.parties

    @property
    def holds_alike(self) -> bool:
        """Whether every device holds all that the cluster is given."""
        return self._held.alike

    @property
    def experts_held(self) -> list[int]:
        """The experts that any device holds."""
        return [*self._held.numbers]

    def personal(self, server: Handle) -> Handle:
        """Return what is personal of the devices, (K, ...) by stored name.

        Before they have a model it is that of ``server``.
        """
        own = () if self.state is None else (self.state.own,)
        made = "learning.training.device_state:personal"
        return self.learner.make(made, server, *own, devices=self.cluster.devices)

    @property
    def models(self) -> Handle:
        """The devices' models as trained, (K, ...) by stored name."""
        if self.state is None:
            raise ValueError(f"the devices of {self.name} have no model yet; load one first")
        return self.learner.make("learning.training.device_state:models", self.state)

    # -- downlink

    def load_initial(self, server: ServerModel, experts: Sequence[int]) -> None:
        """Put the start model's ``experts`` and gate on all devices, before time begins."""
        self._take(server, ~self.nobody, tuple(experts))

    def require_download(self) -> None:
        """Let nobody train before it has downloaded the server's model as it is from now on."""
        self.downloads = []
        self.complete = self.nobody

    def cancel_transfers(self) -> None:
        """Give up all that is on its way up or down; the devices begin with the next download."""
        if not self.downloads and not self.pending.any():
            return
        self.pending = self.nobody
        self._through = self._nothing
        self.downloads = []

    @property
    def half_way(self) -> Mask:
        """Devices (K,) that have a part of a download, and not all of it."""
        half_way = self.nobody
        for download in self.downloads:
            half_way = half_way | download.who
        return half_way

    @property
    def under_way(self) -> Mask:
        """Devices (K,) that are half-way up or down; ineligible devices are excluded."""
        if not self.downloads:
            return self.pending
        return self.pending | (self.half_way & self.eligible)

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
        self.downloads = [old for old in self.downloads if (old.name, old.experts) == wanted]
        needed = self._sizes.download_bytes(
            self._held, experts, self.changes_held, server.changes, gate=gate
        )
        fresh = ~self.half_way
        self.downloads.append(PendingDownload(name, server, wanted[1], fresh, needed))
        size = needed
        version = same(len(asking), server.version)
        for model in self.downloads[:-1]:
            size = np.where(model.who, model.bytes, size)
            version = np.where(model.who, model.server.version, version)
        personal = differ(self._held, self._ranks, asking)
        return Download(Payload(name, size, version), asking, personal=personal)

    def download_gate(self, server: ServerModel) -> Download:
        """Ask for the gate of ``server``; what a pass cuts off is given up."""
        size = self.copies * self.learner.architecture.download_bytes([], gate=True)
        return Download(Payload("gate", size, server.version), self.eligible, carry=False)

    def receive(self, receipt: Receipt) -> None:
        """Devices that the download has reached take what they asked for."""
        done = receipt.done
        for model in self.downloads:
            self._take(model.server, done & model.who, model.experts)
        some = (receipt.delivered_bytes > 0) & ~done
        left = [replace(model, who=model.who & some) for model in self.downloads]
        self.downloads = [model for model in left if model.who.any()]

    def receive_gate(self, server: ServerModel, who: Mask) -> None:
        """Devices in ``who`` take the server's gate."""
        if self.state is not None and who.any():
            held = self.state
            own = self.learner.make(
                "learning.training.device_state:load_gate",
                server.weights,
                *held.parents,
                versions=held.versions,
                who=who,
            )
            gate_row = self.learner.config.model.experts
            self.state = held.downloaded(server.weights, who, [gate_row], own)

    def _take(self, server: ServerModel, who: Mask, experts: tuple[int, ...]) -> None:
        """Devices in ``who`` take ``experts`` and gate of ``server``.

        Those that miss a download of experts which they do not hold yet are not ``complete``:
        they cannot train until they have caught up.
        """
        kept = self.complete if self.held.issuperset(experts) else self.nobody
        self.complete = kept | who
        if not who.any():
            return
        self.held = frozenset(experts)
        self.state = self.learner.load(
            server.weights, self.state, self.name, who, experts, self.adapter_epoch
        )
        self.version = np.where(who, server.version, self.version)
        self._rounds_before = np.where(who, self.rounds, self._rounds_before)
        if self.changes_held.size:  # else a model without experts
            changes = NOT_HELD if server.changes is None else server.changes
            counts = np.where(self.holds, changes, NOT_HELD)
            held = np.where(who[:, None], counts, self.changes_held)
            self.changes_held = np.where(self._parts.of_experts(experts), held, NOT_HELD)

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
        self.excluded = work.excluded
        if self.state is None:
            return
        self.state = self._trained(work, experts, gate=gate, mask=mask)
        self.rounds = self.rounds + work.rounds
        trained = self._parts.marked(experts, gate=gate)
        if not self.holds_alike:
            trained = np.ones_like(self.unsent, bool) & trained
            trained[:, :-1] &= self.holds
        self.unsent = self.unsent + work.rounds[:, None] * trained

    def _trained(
        self, work: Work, experts: Sequence[int], *, gate: bool, mask: str | None
    ) -> Held | None:
        """Return the state after the rounds of :meth:`train`."""
        if self.state is None or not self.learner.trains:  # without training it is a name alone
            return self.state
        reach = None if self.holds_alike else self.holds & self._parts.of_experts(experts)
        term = None if self.local_loss is None else self.local_loss()
        state, first = self.state, self.rounds
        for moves, rounds in self.turns(work.rounds):
            trained = [] if moves == "personal" else list(experts)
            part = TrainedPart(trained, gate, mask, reach, moves)
            state = self.learner.train(state, LocalRounds(self.name, rounds, first), part, term)
            first = first + rounds
        return state

    def turns(self, rounds: Ints) -> Turns:
        """Return what moves in how many of the ``rounds`` (K,); raise ValueError if not in all."""
        if self._split is None:
            return [("all", rounds)]
        turns = self._split(rounds)
        if lost := [moves for moves, _ in turns if moves not in MOVES]:
            raise ValueError(f"{lost[0]!r} is none of {', '.join(MOVES)}")
        if not np.array_equal(sum(own for _, own in turns), rounds):
            raise ValueError("its rounds, (K,) in each turn, are not as many as the devices train")
        return turns

    # -- uplink

    def has_unsent(self, experts: Collection[int], *, gate: bool = False) -> Mask:
        """Return who (K,) has trained ``experts`` since they were last offered, or the ``gate``."""
        parts = self._parts.marked(experts, gate=gate)
        return (self.unsent @ parts) > 0

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
        offered = self.learner.offer(self.state, experts, gate=gate)
        if self.offers_models:
            offered = self.learner.make("learning.training.changes:models", offered, self.state)
        if under_way is not None:
            offered = self.learner.select(fresh, offered, under_way.handle)
        name = self.learner.architecture.named(experts, gate=gate)
        self.staged = PendingUpdate(offered, tuple(experts), gate, name)
        self._restart(fresh, experts, gate=gate)
        self.offered_version = np.where(fresh, self.version, self.offered_version)
        before = self._rounds_before
        self._rounds_before_offered = np.where(fresh, before, self._rounds_before_offered)
        self.pending = self.pending | fresh

    def forget(self, experts: Sequence[int], who: Mask, *, gate: bool = False) -> None:
        """Devices in ``who`` will never offer what they trained of ``experts`` (and the gate)."""
        if self.state is not None and who.any():
            self._restart(who, experts, gate=gate)

    def _restart(self, who: Mask, experts: Sequence[int], *, gate: bool) -> None:
        """Count what ``who`` have trained as their base, and draw new factors of ``experts``."""
        assert self.state is not None  # for the type checker: somebody has trained
        if experts:
            self.adapter_epoch = self.adapter_epoch + who
        self.state = self.learner.commit(
            self.state, self.name, who, self.adapter_epoch, experts, gate=gate
        )
        parts = self._parts.marked(experts, gate=gate)
        self.unsent = np.where(who[:, None] & parts, 0, self.unsent)

    def payload(self, name: str) -> Payload:
        """Return the updates on their way as a payload of the version they stem from."""
        if self.staged is None:
            return Payload(name, 0.0)
        staged = self.staged
        version = self.offered_version
        return self._sizes.upload(name, self._held, staged.experts, version, gate=staged.gate)

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
        version = model.payload.version
        payload = self._sizes.upload(name, self._held, experts, version, gate=gate)
        return Upload(payload, who, carry)

    def send(self, name: str, *, carry: bool = True) -> Generator[Request, Any, Update | None]:
        """Upload what is on its way; return what has arrived, as :meth:`arrived`."""
        receipt = yield Upload(self.payload(name), self.pending, carry)
        return (yield from self.arrived(receipt))

    def arrived(self, receipt: Receipt) -> Generator[Request, Any, Update | None]:
        """Return the finite updates that an upload has brought; None without any."""
        return self.update((yield from self.finite(self.deliver(receipt))))

    def deliver(self, receipt: Receipt) -> Mask:
        """Return who has got an update through now, and forget that it was on its way.

        An update that was given up is forgotten too: the server never hears of what it held.
        ``progressed`` says from now on whether anything of the updates has come through.
        """
        done = self.pending & receipt.done
        over = done if receipt.given_up is None else done | receipt.given_up
        self.progressed = bool((done | (receipt.delivered_bytes > self._through)).any())
        self.pending = self.pending & ~over
        self._contact_id = receipt.contact_id
        self._through = self._nothing
        if self.pending.any():
            self._through = np.where(self.pending, receipt.delivered_bytes, 0.0)
        return done

    def finite(self, done: Mask) -> Generator[Request, Any, Mask]:
        """Return those of ``done`` whose updates are finite; the others are refused by name.

        The server never merges what it refuses. A device is whole again when it has downloaded.
        """
        if self.staged is None or not done.any():
            return done
        return (yield from arrived(self.learner, self.staged.handle, done))

    def update(self, who: Mask, among: Mask | None = None) -> Update | None:
        """Return the updates of ``who`` to be aggregated some time; None if there are none.

        The weights sum to one over these and the devices ``among`` (K,), by default all eligible
        ones.
        """
        if self.staged is None or not who.any():
            return None
        rounds = self.rounds - self._rounds_before_offered
        eligible = (self.eligible if among is None else among) | who
        version = self.offered_version
        contact_id = self._contact_id
        return Update(self.name, self.staged, who, eligible, version, rounds, contact_id)

    def gate_update(self, done: Mask, receipt: Receipt) -> Generator[Request, Any, Update | None]:
        """Return the finite gates of ``done``, trained since a download; None without any.

        ``receipt`` is that of their upload.
        """
        if self.state is None or not done.any():
            return None
        offered = self.learner.offer(self.state, [], gate=True)
        done = yield from arrived(self.learner, offered, done)
        rounds = self.rounds - self._rounds_before
        eligible = self.eligible | done
        sent = PendingUpdate(offered, (), gate=True, name=parts_named([], gate=True))
        if not done.any():
            return None
        contact_id = receipt.contact_id
        return Update(self.name, sent, done, eligible, self.version, rounds, contact_id)
