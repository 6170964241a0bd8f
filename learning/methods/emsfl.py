"""EMS-FL: expert-driven model splitting and asynchronous federated tuning (Algorithms 1 to 3)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, ClassVar

from learning.clients.cluster import ClusterState
from learning.clients.updates import upload_payload
from learning.methods.base import Protocol
from learning.methods.model_splitting import SplitsExperts
from learning.methods.options import EnhancedOptions
from learning.requests.cluster import (
    CORRUPTED,
    Chain,
    Cluster,
    Cost,
    Download,
    NextContact,
    Note,
    Receipt,
    Request,
    Train,
    TrainUntilContact,
    Upload,
    Work,
)
from learning.requests.details import GIVES, TAKES
from learning.requests.payload import Payload


class EmsFl(SplitsExperts):
    """Standard EMS-FL: each cluster trains its own experts all the time, the gate when connected.

    Server state: the model, and the cluster that owns each expert. Two clusters never own the
    same one, so that uploads never compete.
    """

    def cluster(self, me: Cluster) -> Protocol:
        """Algorithm 2, cluster side and server side of each contact."""
        side = ClusterState(self.learner, me)
        mine = self.splitting.trained_by(me.index)
        masked, changing = not self.tunes_gate(cycle=0), False
        # The start model and E_c are on the devices before time begins: it is what is tuned.
        side.load_initial(self.server, mine if masked else self.experts)
        while True:
            if mine:
                work, contact = yield TrainUntilContact(self.cost(mine, masked), side.complete)
                side.train(work, mine, gate=False, masked=masked, mask=self.mask)
            else:
                contact = yield NextContact()
            if contact is None:
                return
            yield from self.split_again(contact.cycle)
            yield from self.upload_experts(me, side, changing)
            changing = yield from self.hand_over(me, side, changing)
            mine = self.splitting.trained_by(me.index)
            masked = not self.tunes_gate(contact.cycle)
            if masked and not self.learner.config.trains_backbone:
                yield from self.refresh(me, side, mine)
            elif mine or not masked:
                yield from self.tune(me, side, mine, masked)

    def upload_experts(self, me: Cluster, side: ClusterState, changing: bool) -> Protocol:
        """Upload E_c and aggregate it, equation (35).

        While the cluster is ``changing`` its experts, new snapshots are only made of what it has
        trained of those that leave, so that in the end nothing is on its way.
        """
        owned = self.splitting.owned_by(me.index)
        if owned:
            leaving = self.splitting.leaving(me.index)
            side.offer(owned, who=side.has_unsent(leaving) if changing else None)
        yield from self.send_experts(me, side)

    def send_experts(self, me: Cluster, side: ClusterState, carry: bool = True) -> Protocol:
        """Upload the snapshots that are on their way, and aggregate what has come through."""
        if side.snapshot is None or not side.pending.any():
            return
        name, experts = _named("experts", side.snapshot.experts), side.snapshot.experts
        receipt = yield Upload(side.payload(name), side.pending, carry)
        done = yield from side.finite(side.deliver(receipt))
        if not done.any():
            return
        stale = side.staleness(self.version, done)
        self.server = side.merge(self.server, done)
        self.aggregated(experts)
        devices = f"devices:{int(done.sum())}/{me.devices}"
        yield Note("aggregate", self.version, f"{name} {devices} {stale}")

    def hand_over(
        self, me: Cluster, side: ClusterState, changing: bool
    ) -> Generator[Request, Any, bool]:
        """Let go of the experts that leave and take those that are free; True while that waits.

        It waits until all that the devices have trained of an expert is aggregated. Devices that
        do not answer shall not hold it up for ever: if a whole contact brings nothing more of what
        is missing, that is given up.
        """
        leaving = self.splitting.leaving(me.index)
        if not leaving and not self.splitting.free_for(me.index):
            return False
        if self.owes(side, leaving):
            if not changing or side.progressed:
                return True
            yield from self.give_up(me, side, leaving)
        gone, taken = self.splitting.change_hands(me.index)
        if taken:
            side.require_download()
        for verb, experts in ((GIVES, gone), (TAKES, taken)):
            if experts:
                yield Note("assign", self.version, f"{verb} {_named('experts', experts)}")
        return False

    def owes(self, side: ClusterState, leaving: Sequence[int]) -> bool:
        """Return whether something is on its way, or trained on ``leaving`` and not sent yet."""
        return bool((side.pending | side.has_unsent(leaving)).any())

    def give_up(self, me: Cluster, side: ClusterState, leaving: Sequence[int]) -> Protocol:
        """Make an end of what is on its way, and of what is not sent yet of ``leaving``."""
        silent = side.pending | side.has_unsent(leaving)
        yield from self.send_experts(me, side, carry=False)
        side.forget(leaving, side.has_unsent(leaving))
        devices = f"devices:{int(silent.sum())}/{me.devices}"
        yield Note("drop", self.version, f"hand-over without the updates of {devices}: no answer")

    def tune(self, me: Cluster, side: ClusterState, mine: Sequence[int], masked: bool) -> Protocol:
        """Download the model, train E_c and the gate, upload and aggregate the gate (36).

        Under the mask only E_c is downloaded and loaded, with the gate and what goes with it. A
        gate that does not get through is lost: it would be out of date at the next contact.
        """
        held = self.splitting.owned_by(me.index) if masked else self.experts
        name = f"{_named('experts', held)} gate" if masked else "model"
        model = side.download(name, self.server, self.version, held, changes=self.changes)
        gate = upload_payload(self.learner, "gate", [], gate=True, version=model.payload.version)
        cost = self.learner.round_cost(mine, self.loaded(mine, masked), gate=True)
        down, work, up = yield Chain((model, Train(cost), Upload(gate, carry=False)))
        side.receive(down)
        side.train(work, mine, gate=True, masked=masked, mask=self.mask)
        yield from self.aggregate_gate(me, side, (down, work, up))
        size = self.learner.architecture.download_bytes([], gate=True)
        back = yield Download(Payload("gate", size, self.version), side.eligible, carry=False)
        side.receive_gate(self.server, back.done)

    def aggregate_gate(
        self, me: Cluster, side: ClusterState, replies: tuple[Receipt, Work, Receipt]
    ) -> Protocol:
        """Aggregate the gates that have come through (36), or tell why none has."""
        _, work, up = replies
        arrived = up.done & (work.rounds > 0)
        done = yield from side.finite_gate(arrived)
        if done.any():
            stale = side.gate_staleness(self.version, done)
            self.server = side.merge_gate(self.server, done)
            self.aggregated([])
            devices = f"devices:{int(done.sum())}/{me.devices}"
            yield Note("aggregate", self.version, f"gate {devices} {stale}")
        elif not arrived.any() and not work.excluded.all():
            yield Note("fault", self.version, f"gate lost: {_why_lost(*replies)}")
        side.forget_gate((work.rounds > 0) & ~done)

    def refresh(self, me: Cluster, side: ClusterState, mine: Sequence[int]) -> Protocol:
        """Download the cluster's own aggregated experts, and train them (Algorithm 3)."""
        if not mine:
            return
        held = self.splitting.owned_by(me.index)
        experts = side.download(
            _named("experts", held),
            self.server,
            self.version,
            held,
            gate=False,
            changes=self.changes,
        )
        down, work = yield Chain((experts, Train(self.cost(mine, masked=True))))
        side.receive(down)
        side.train(work, mine, gate=False, masked=True, mask=self.mask)

    @property
    def mask(self) -> str:
        """What a masked gate's logits of other experts are set to, equation (43)."""
        return "-inf"

    def tunes_gate(self, cycle: int) -> bool:
        """Return whether contacts in this cycle tune the gate: always, in standard EMS-FL."""
        return True

    def cost(self, mine: Sequence[int], masked: bool) -> Cost:
        """Cost of one round on E_c."""
        return self.learner.round_cost(mine, self.loaded(mine, masked), gate=False)

    def loaded(self, mine: Sequence[int], masked: bool) -> Sequence[int]:
        """Return the experts in a device's memory: under the mask only E_c."""
        return mine if masked else self.experts


class EnhancedEmsFl(EmsFl):
    """Enhanced EMS-FL (Algorithm 3): a masked gate, only E_c in memory, the gate tuned at the end.

    In the last ``learning.gate_tuning_cycles`` cycles it goes on as standard EMS-FL. With
    ``learning.trains_backbone`` the connected cluster trains the gate and the backbone before that
    too, under the mask.
    """

    Options: ClassVar[type] = EnhancedOptions

    def tunes_gate(self, cycle: int) -> bool:
        """Return whether the cycle is one of the last."""
        return cycle >= self.world.cycles - self.world.gate_tuning_cycles

    @property
    def mask(self) -> str:
        """Return the mask that the options ask for."""
        mask: str = self.options.mask
        return mask


def _named(kind: str, experts: Sequence[int]) -> str:
    return f"{kind}:{','.join(map(str, experts))}"


def _why_lost(down: Receipt, work: Work, up: Receipt) -> str:
    """Say what kept the gates of a contact from the server."""
    if up.reason == CORRUPTED:
        return CORRUPTED
    if (work.rounds > 0).any():
        return f"{up.reason or 'no round ended'} before the second upload was through"
    if down.reason == "no contact":
        return "the upload of the experts took the whole contact"
    if not down.done.any():
        return f"{down.reason} before the download was through"
    return "no round ended"
