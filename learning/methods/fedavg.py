"""FedAvg over all clusters, with waiting: a round takes until every cluster has been seen.

McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS
2017; its equation (6).
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic.dataclasses import dataclass

from learning.clients.cluster import ClusterState
from learning.methods.base import Protocol, World
from learning.methods.options import CHECKED, option
from learning.methods.rounds import Rounds
from learning.methods.surface import Traits
from learning.requests.cluster import (
    Chain,
    Cluster,
    Contact,
    Cost,
    Mask,
    NextContact,
    Receipt,
    Train,
    TrainUntilContact,
    Upload,
)
from learning.requests.facts import Note
from learning.requests.request import Request


@dataclass(frozen=True, config=CHECKED)
class FedAvgOptions:
    """Options of FedAvg and of what derives from it."""

    weights: Literal["all", "present"] = option(
        "all", "an update's share of the samples: of all devices, or of those present"
    )
    trains: Literal["contacts", "gaps"] = option(
        "contacts", "when a cluster trains: in its contact, or from one contact to the next"
    )


class FedAvg(Rounds):
    """Federated averaging with every cluster in every round.

    A cluster takes part once in a round: it downloads the round's model at a contact, trains all
    experts and the gate, uploads, and waits for the others. When the updates of all clusters but
    the ``absent`` ones have arrived, the server adds their mean, weighted by samples (n_k / n over
    the devices that can take part, or over those whose update is there), and the next round begins:
    ``version`` counts the rounds. Devices that lack the memory take no part.

    With a quorum that share of the clusters is enough, and of a cluster's devices too. With a
    deadline a round ends at the first contact so long after it began, if anything has arrived, and
    a cluster's part when its chain is cut. What is under way then is given up: who missed a round
    begins the next one with a download.

    With ``trains: gaps`` the part of a cluster goes over two contacts, as
    :class:`InGaps` says.
    """

    colour = "#c46f9f"
    Options: ClassVar[type] = FedAvgOptions
    alone_is_sgd: ClassVar[bool] = True
    traits: ClassVar[Traits] = replace(Rounds.traits, takes_personal=True, gap_option="trains")

    def __init__(self, world: World, options: Any = None) -> None:
        super().__init__(world, options)
        self.everything: dict[str, Mask] = {}
        # Of the options of a subclass it may be none.
        in_gaps = getattr(self.options, "trains", "contacts") == "gaps"
        self.training = InGaps(self) if in_gaps else InContacts(self)

    # -- a cluster's part of a round

    def cluster(self, me: Cluster) -> Protocol:
        """Take part once in every round; what a pass is too short for carries over to the next."""
        devices = self.devices(me)
        self.training.begin(devices)
        while contact := (yield from self.training.next_contact(devices)):
            if self.is_late(contact.start_s):
                yield from self.end_round()
            if self.sits_out(me.name):
                yield from self.sit_out()
            elif me.name in self.arrived:
                self.wait_noted.add(me.name)
                yield Note("wait", self.version, f"round:{self.version} waits for {self.missing()}")
            else:
                yield from self.join_round(devices, contact.start_s)
            yield from self.training.end_contact(devices)

    def join_round(self, devices: ClusterState, now_s: float) -> Protocol:
        """Go on with the present round, and end it if that was all that it lacked."""
        if self.begun_s is None:
            self.begun_s = now_s
        number = self.version
        self.enter_round(devices)
        devices.holds = self.holds(devices.cluster)
        yield from self.take_part(devices, number)
        if self.is_given_up(number):
            return  # others have ended it meanwhile
        arrived = self.is_over(devices)
        if arrived:
            self.arrived[devices.name] = self.cluster_share(devices)
        yield from self.close_round(now_s, arrived=arrived)

    def take_part(self, devices: ClusterState, number: int) -> Protocol:
        """Send what another contact was too short for; then what the round still lacks."""
        if devices.pending.any():
            receipt = yield Upload(devices.payload("model"), devices.pending)
            yield from self.keep(devices, number, receipt)
            if devices.pending.any():
                return
        if not (self.is_given_up(number) or self.is_over(devices)):
            yield from self.training.take_part(devices)

    def update(self, devices: ClusterState) -> Protocol:
        """Download, local update and upload of the devices that have not been through it yet."""
        number = self.version
        todo = self.members(devices) & ~self.sent[devices.name]
        experts = devices.experts_held
        model = devices.download("model", self.server, experts, who=todo)
        cost = self.cost(devices.holds)
        train = Train(cost, self.local_rounds, todo, partial=self.keeps_partial)
        mask = None if devices.holds_alike else "-inf"
        upload = devices.upload("model", model, experts, who=todo)
        down, work, up = yield Chain((model, train, upload))
        if work.excluded.all():
            self.absent.add(devices.name)
            return
        devices.receive(down)
        devices.train(work, experts, gate=True, mask=mask)
        yield from self.trained(devices, work.rounds > 0)
        devices.offer(experts, gate=True)
        yield from self.keep(devices, number, up)

    def keep(self, devices: ClusterState, number: int, receipt: Receipt) -> Protocol:
        """Keep what an upload has brought for round ``number`` until that ends."""
        done = devices.deliver(receipt)
        finite = yield from devices.finite(done)
        update = devices.update(finite, among=self.members(devices))
        if not self.is_given_up(number):
            self.sent[devices.name] = self.sent[devices.name] | done
            if update is not None:
                self.updates.append(update)
        elif update is not None:
            came = f"devices:{int(update.who.sum())}/{len(update.who)}"
            yield Note("drop", self.version, f"update of {came}: round:{number} is over")

    def enter_round(self, devices: ClusterState) -> None:
        """Begin the present round, if a cluster has not; what it has left of others is given up."""
        if devices.name in self.sent:
            return
        self.sent[devices.name] = devices.nobody
        if devices.under_way.any():
            devices.cancel_transfers()
        self.training.enter_round(devices)

    def is_over(self, devices: ClusterState) -> bool:
        """Return whether enough of a cluster's updates are there for this round."""
        sent = self.sent[devices.name]
        if not sent.any():
            return False
        if not (devices.under_way | self.training.under_way(devices)).any():
            return True
        members = self.members(devices)
        closing = self.world.closing
        enough = int((sent & members).sum()) >= closing.enough(int(members.sum()))
        return enough or closing.deadline_s < math.inf

    def cluster_share(self, devices: ClusterState) -> float:
        """Return the share of all samples that the members of a cluster have."""
        own = self.shares[devices.name]
        members = self.members(devices)
        if not members.all():
            own = own[members]
        return float(np.add.reduce(own))

    def next_of_use(self, name: str) -> NextContact:
        """Return what to ask for: any contact or, over a mesh, one in which something is to do.

        There satellites are in contact nearly always. One whose update has arrived says once that
        it waits for others, and then nothing until the round is over.
        """
        if not self.world.over_mesh or self.world.closing.deadline_s < math.inf:
            return NextContact()

        def is_of_use() -> bool:
            return not (name in self.arrived and name in self.wait_noted)

        return NextContact(wanted=is_of_use, signal=self.round_over)

    # -- what may differ from method to method

    def members(self, devices: ClusterState) -> Mask:
        """Return which of a cluster's devices (K,) take part in this round."""
        return devices.members

    def holds(self, me: Cluster) -> Mask:
        """Return which experts (K, E) each of the cluster's devices takes in this round."""
        everything = self.everything.get(me.name)
        if everything is None:
            everything = np.ones((me.devices, len(self.experts)), bool)
            everything.setflags(write=False)
            self.everything[me.name] = everything
        return everything

    def has_model(self, devices: ClusterState) -> Mask:
        """Return which devices (K,) have a model that they are to train in the gap to come."""
        return devices.complete & (devices.version == self.version)

    def cost(self, holds: Mask) -> Cost:
        """Return what a local round takes of each device."""
        copies = self.memory_copies
        return self.learner.round_cost(self.experts, self.experts, gate=True, copies=copies)

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

    def trained(self, devices: ClusterState, who: Mask) -> Protocol:
        """Look at what the devices in ``who`` have trained, before it is sent."""
        yield from ()


# When the clients of a round train.


class InContacts:
    """A contact has all of a cluster's part of a round: download, training and upload."""

    def __init__(self, method: FedAvg) -> None:
        self.method = method

    def begin(self, devices: ClusterState) -> None:
        """Do what comes before the first contact."""

    def next_contact(self, devices: ClusterState) -> Generator[Request, Any, Contact | None]:
        """Wait for a contact."""
        return (yield self.method.next_of_use(devices.name))

    def take_part(self, devices: ClusterState) -> Protocol:
        """Do in a contact what the round still lacks."""
        yield from self.method.update(devices)

    def end_contact(self, devices: ClusterState) -> Protocol:
        """Do what is left of a contact for the gap behind it."""
        yield from ()

    def enter_round(self, devices: ClusterState) -> None:
        """Leave what a round before has begun."""

    def under_way(self, devices: ClusterState) -> Mask:
        """Return whose training (K,) goes on beyond a contact."""
        return devices.nobody


class InGaps(InContacts):
    """A cluster downloads in one contact, trains until the next one, and uploads in that.

    The round's last cluster takes the next model at once. The start model is on the devices before
    time begins.
    """

    def begin(self, devices: ClusterState) -> None:
        """Give the devices the start model."""
        method = self.method
        devices.load_initial(method.server, method.experts)
        if not method.sits_out(devices.name):
            method.enter_round(devices)

    def next_contact(self, devices: ClusterState) -> Generator[Request, Any, Contact | None]:
        """Train until the next contact, where anybody is to train."""
        method = self.method
        who = self.under_way(devices)
        if not who.any():
            return (yield from super().next_contact(devices))
        cost = method.cost(devices.holds)
        work, contact = yield TrainUntilContact(cost, who)
        devices.train(work, method.experts, gate=True)
        if work.excluded.all():
            method.absent.add(devices.name)
        return contact

    def take_part(self, devices: ClusterState) -> Protocol:
        """Upload what the devices have trained in the gap."""
        method = self.method
        number = method.version
        yield from method.trained(devices, devices.has_unsent(method.experts, gate=True))
        devices.offer(method.experts, gate=True)
        if devices.pending.any():
            receipt = yield Upload(devices.payload("model"), devices.pending)
            yield from method.keep(devices, number, receipt)

    def end_contact(self, devices: ClusterState) -> Protocol:
        """Download the round's model to the devices that have not been through the round yet."""
        method = self.method
        if method.sits_out(devices.name):
            return
        method.enter_round(devices)
        done = method.sent[devices.name] | devices.pending | method.has_model(devices)
        wanted = method.members(devices) & ~done
        if wanted.any():
            down = yield devices.download("model", method.server, method.experts, who=wanted)
            devices.receive(down)

    def enter_round(self, devices: ClusterState) -> None:
        """Forget what was trained for a round before, and not sent."""
        experts = self.method.experts
        devices.forget(experts, devices.has_unsent(experts, gate=True), gate=True)

    def under_way(self, devices: ClusterState) -> Mask:
        """Return who trains in the gap: devices that have the round's model, and are not done."""
        method = self.method
        if devices.name not in method.sent:
            return devices.nobody
        done = method.sent[devices.name] | devices.pending
        return method.has_model(devices) & method.members(devices) & ~done
