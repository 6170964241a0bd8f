"""EMS-FL: expert-driven model splitting and asynchronous federated tuning (Algorithms 2 and 3).

Equations are those of the EMS-FL paper, section III; Algorithm 1 is in
:mod:`learning.policies.model_splitting`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from learning.clients.cluster import ClusterState
from learning.methods.base import Protocol
from learning.methods.model_splitting import EmsFlOptions, SplitsExperts
from learning.methods.options import CHECKED
from learning.requests.cluster import (
    CORRUPTED,
    Chain,
    Cluster,
    NextContact,
    Note,
    Receipt,
    Work,
)
from learning.requests.event_details import parts_named


class EmsFl(SplitsExperts):
    """Standard EMS-FL: each cluster trains its own experts all the time, the gate when connected.

    Server state: the model, and the cluster that owns each expert. Two clusters never own the
    same one, so that uploads never compete.
    """

    def cluster(self, me: Cluster) -> Protocol:
        """Algorithm 2: cluster c, and the server's side of each of its contacts."""
        devices = self.devices(me)  # the K clients of cluster c
        mine, mask = self.splitting.trained_by(me.index), self.mask(cycle=0)  # E_c
        # The start model is on the devices before time begins: it is what is tuned.
        devices.load_initial(self.server, self.experts if mask is None else mine)
        while True:
            # The disconnected phase: rounds on E_c, the gate frozen (38), (39).
            if mine:
                work, contact = yield devices.train_until_contact(mine, mask=mask)
                devices.train(work, mine, mask=mask)
            else:
                contact = yield NextContact()
            if contact is None:
                return
            # The connected phase: Algorithm 1 where it is due, E_c up (35), experts that change
            # their cluster, and then the gate.
            yield from self.split_again(contact.cycle)
            yield from self.upload_experts(devices)
            yield from self.hand_over(devices)
            mine, mask = self.splitting.trained_by(me.index), self.mask(contact.cycle)
            yield from self.connected_phase(devices, mine, mask)

    def mask(self, cycle: int) -> str | None:
        """Return what the gate's logits of other experts become (43); None without a mask."""
        return None

    def connected_phase(
        self, devices: ClusterState, mine: Sequence[int], mask: str | None
    ) -> Protocol:
        """Download the model, train E_c and the gate (40), (41), upload the gate (36) and load it.

        Under a mask only the experts that the cluster holds are downloaded, with the gate and what
        is shared beside it. A gate that does not get through is lost: it would be out of date at
        the next contact.
        """
        held, name = self.experts, "model"
        if mask is not None:
            held = self.registry.held_by(devices.cluster.index)
            name = parts_named(held, gate=True)
        model = devices.download(name, self.server, held)
        train = devices.train_round(mine, gate=True, mask=mask)
        gate = devices.upload("gate", model, [], carry=False)
        down, work, up = yield Chain((model, train, gate))
        devices.receive(down)
        devices.train(work, mine, gate=True, mask=mask)
        yield from self.aggregate_gate(devices, down, work, up)
        back = yield devices.download_gate(self.server)
        devices.receive_gate(self.server, back.done)

    def aggregate_gate(
        self, devices: ClusterState, down: Receipt, work: Work, up: Receipt
    ) -> Protocol:
        """Aggregate the gates that have come through (36), or say why none has."""
        trained = work.rounds > 0
        arrived = up.done & trained
        yield from self.collect((yield from devices.gate_update(arrived, up)))
        if not arrived.any() and not work.excluded.all():
            yield Note("fault", self.version, f"gate lost: {_why_lost(down, work, up)}")
        devices.forget_gate(trained)


@dataclass(frozen=True, config=CHECKED)
class EnhancedOptions(EmsFlOptions):
    """Options of the enhanced form: ``zero`` is the paper's literal text."""

    mask: Literal["-inf", "zero"] = Field(
        "-inf", description="the gate's logits of experts that are not the cluster's, eq. (43)"
    )


class EnhancedEmsFl(EmsFl):
    """Enhanced EMS-FL (Algorithm 3): a masked gate, only E_c in memory, the gate tuned at the end.

    The last ``learning.gate_tuning_cycles`` cycles are those of standard EMS-FL. With
    ``learning.trains_backbone`` the connected cluster trains the gate and the backbone before that
    too, under the mask.
    """

    Options: ClassVar[type] = EnhancedOptions

    def mask(self, cycle: int) -> str | None:
        """Return the mask of the options, and None in the last cycles."""
        last = cycle >= self.world.cycles - self.world.gate_tuning_cycles
        return None if last else self.options.mask

    def connected_phase(
        self, devices: ClusterState, mine: Sequence[int], mask: str | None
    ) -> Protocol:
        """Algorithm 3: download E_c as it is aggregated, and train it behind the masked gate."""
        if mask is None or (mine and self.learner.config.trains_backbone):
            yield from super().connected_phase(devices, mine, mask)
        elif mine:
            held = self.registry.held_by(devices.cluster.index)
            model = devices.download(parts_named(held), self.server, held, gate=False)
            down, work = yield Chain((model, devices.train_round(mine, mask=mask)))
            devices.receive(down)
            devices.train(work, mine, mask=mask)


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
