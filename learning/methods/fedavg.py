"""FedAvg over all clusters, with waiting: a round takes until every cluster has been seen.

McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS
2017; its equation (6).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence, Set
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic.dataclasses import dataclass

from learning.clients.cluster import ClusterState
from learning.clients.updates import Update, Weighted
from learning.methods.base import GlobalModelMethod, Protocol, World
from learning.methods.options import CHECKED, option
from learning.methods.surface import Traits
from learning.requests.cluster import (
    Chain,
    Cluster,
    Contact,
    Cost,
    NextContact,
    Receipt,
    Signal,
    Train,
    TrainUntilContact,
    Upload,
)
from learning.requests.facts import Aggregated, Note, Range, Share
from learning.requests.request import Request
from statements.arrays import Floats, Mask

MOST_NAMED = 20
"""Of more clusters that a round waits for, the first ones are named, and the others counted."""


@dataclass(frozen=True, config=CHECKED)
class FedAvgOptions:
    """Options of FedAvg and of what derives from it."""

    trains: Literal["contacts", "gaps"] = option(
        "contacts", "when a cluster trains: in its contact, or from one contact to the next"
    )


class FedAvg(GlobalModelMethod):
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

    With ``trains: gaps`` the part of a cluster goes over two contacts, as :class:`InGaps` says.

    ``shares`` (K,) by cluster are n_k / n. Of the present round ``updates`` are those that are
    there, ``sent`` (K,) by cluster whose are among them, and ``arrived`` the shares of the clusters
    that are done.
    """

    colour = "#b0368f"
    Options: ClassVar[type] = FedAvgOptions
    alone_is_sgd: ClassVar[bool] = True
    traits: ClassVar[Traits] = replace(GlobalModelMethod.traits, takes_personal=True)
    ends_by_own_rule: ClassVar[bool] = False
    """Whether a round ends by rules of its own, and does not wait for whoever else is to come."""

    def __init__(self, world: World, options: Any = None) -> None:
        super().__init__(world, options)
        self.shares: dict[str, Floats] = {}
        self.updates: list[Update] = []
        self.sent: dict[str, Mask] = {}
        self.arrived: dict[str, float] = {}
        self.absent: set[str] = set()
        self.begun_s: float | None = None
        self.round_over = Signal()

    @classmethod
    def for_options(cls, options: Any) -> type[Self]:
        """Return the class, or one that trains in gaps where ``options`` say so."""
        # Of the options of a subclass it may be none.
        if getattr(options, "trains", "contacts") != "gaps":
            return cls
        in_gaps: Any = type(cls.__name__, (InGaps, cls), {"__module__": cls.__module__})
        return in_gaps

    def prepare(self) -> Protocol:
        """Ask for each device's share of the samples."""
        self.shares = yield from self.measure_shares()

    # -- a cluster's part of a round

    def cluster(self, me: Cluster) -> Protocol:
        """Take part once in every round; what a pass is too short for carries over to the next."""
        devices = self.devices(me)
        noted = -1

        def is_of_use() -> bool:
            return not (me.name in self.arrived and noted == self.version)

        useful = NextContact()
        if self.world.over_mesh and self.world.closing.deadline_s == math.inf:
            # Satellites are in contact nearly always there: who waits for others says so once.
            useful = NextContact(wanted=is_of_use, signal=self.round_over)
        self.begin(devices)
        while contact := (yield from self.next_contact(devices, useful)):
            if self.is_late(contact.start_s):
                yield from self.end_round()
            if self.sits_out(me.name):
                yield from self.sit_out()
            elif me.name in self.arrived:
                noted = self.version
                yield Note("wait", self.version, f"round:{self.version} waits for {self.missing()}")
            else:
                yield from self.join_round(devices, contact.start_s)
            yield from self.end_contact(devices)

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

    def enter_round(self, devices: ClusterState) -> None:
        """Begin the present round, if a cluster has not; what it has left of others is given up."""
        if devices.name not in self.sent:
            self.sent[devices.name] = np.zeros(devices.cluster.devices, bool)
            devices.cancel_transfers()

    def take_part(self, devices: ClusterState, number: int) -> Protocol:
        """Send what another contact was too short for; then what the round still lacks."""
        if devices.pending.any():
            yield from self.upload(devices, number)
            if devices.pending.any():
                return
        if not (self.is_given_up(number) or self.is_over(devices)):
            yield from self.update(devices)

    def update(self, devices: ClusterState) -> Protocol:
        """Download, local update and upload of the devices that have not been through it yet."""
        number = self.version
        todo = self.members(devices) & ~self.sent[devices.name]
        experts = np.flatnonzero(devices.holds.any(axis=0)).tolist()
        model = devices.download("model", self.server, experts, who=todo)
        cost = self.cost(devices)
        train = Train(cost, self.local_rounds, todo, partial=self.keeps_partial)
        mask = None if devices.holds.all() else "-inf"
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

    def upload(self, devices: ClusterState, number: int) -> Protocol:
        """Upload what is on its way for round ``number``."""
        receipt = yield Upload(devices.payload("model"), devices.pending)
        yield from self.keep(devices, number, receipt)

    def keep(self, devices: ClusterState, number: int, receipt: Receipt) -> Protocol:
        """Keep what an upload has brought for round ``number`` until that ends."""
        done = devices.pending & receipt.done
        update = yield from devices.arrived(receipt, among=self.members(devices))
        if not self.is_given_up(number):
            self.sent[devices.name] = self.sent[devices.name] | done
            if update is not None:
                self.updates.append(update)
        elif update is not None:
            came = f"devices:{int(update.who.sum())}/{len(update.who)}"
            yield Note("drop", self.version, f"update of {came}: round:{number} is over")

    def is_over(self, devices: ClusterState) -> bool:
        """Return whether enough of a cluster's updates are there for this round."""
        sent = self.sent[devices.name]
        if not sent.any():
            return False
        if not self.under_way(devices).any():
            return True
        members = self.members(devices)
        closing = self.world.closing
        enough = int((sent & members).sum()) >= closing.enough(int(members.sum()))
        return enough or closing.deadline_s < math.inf

    def cluster_share(self, devices: ClusterState) -> float:
        """Return the share of all samples that the members of a cluster have."""
        return float(np.add.reduce(self.shares[devices.name][self.members(devices)]))

    # -- who takes part, and when a round is over

    @property
    def parties(self) -> Set[str]:
        """Names of the clusters that take part in the present round."""
        return self.world.names - self.absent if self.absent else self.world.names

    def is_full(self) -> bool:
        """Return whether enough clusters have arrived; those that are absent do not count."""
        parties = self.parties
        enough = self.world.closing.enough(len(parties))
        if len(self.arrived) < enough:  # nearly always: who is absent need not be looked for
            return False
        return len(parties & self.arrived.keys()) >= enough

    def is_late(self, now_s: float) -> bool:
        """Return whether the round's deadline has passed, with something to merge."""
        begun_s = now_s if self.begun_s is None else self.begun_s
        return bool(self.arrived) and now_s >= begun_s + self.world.closing.deadline_s

    def missing(self) -> str:
        """Name the clusters whose update the round still lacks; empty if it can end.

        Of many, the first ones are named: a thousand clients would say a thousand names each.
        """
        if self.ends_by_own_rule:
            return ""
        there: Set[str] = self.arrived.keys()
        if self.absent:
            there = there | self.absent
        late = len(self.world.names) - len(there)
        named = ",".join(islice((n for n in self.world.by_name if n not in there), MOST_NAMED))
        return f"{named} and {late - MOST_NAMED} more" if late > MOST_NAMED else named

    def close_round(self, now_s: float, *, arrived: bool) -> Protocol:
        """End the round if it is over, as a cluster that has ``arrived`` or not leaves it."""
        if self.is_full() or self.is_late(now_s):
            yield from self.end_round()

    # -- the end of a round: equation (6)

    def end_round(self) -> Protocol:
        """Merge what the clusters have sent, and begin the next round."""
        if not self.arrived:
            return
        if missing := self.missing():
            late = f"{self.ended_by}: round:{self.version} without {missing}"
            yield Note("wait", self.version, late)
        self.updates = [update for update in self.updates if update.cluster in self.arrived]
        if not self.world.closing.waits_for_all:
            self.count_who_came()
        everybody = sum(self.arrived.values())
        shares = {name: own / everybody for name, own in self.arrived.items()}
        moved = yield from self.merge_round(shares)
        yield self.aggregation(moved)
        self.updates = []
        self.sent = {}
        self.arrived = {}
        self.begun_s = None
        yield from self.begin_round()
        self.round_over.give()

    def count_who_came(self) -> None:
        """Let those whose update is there share the weights: no other will add what is missing."""
        came = {name: np.zeros(len(self.shares[name]), bool) for name in self.arrived}
        for update in self.updates:
            came[update.cluster] = came[update.cluster] | update.who
        self.updates = [replace(update, eligible=came[update.cluster]) for update in self.updates]
        shares = {name: float(self.shares[name][who].sum()) for name, who in came.items()}
        if any(shares.values()):
            self.arrived = shares

    def aggregation(self, experts: Sequence[int]) -> Aggregated:
        """Return what a round has aggregated."""
        clusters = self.world.clusters
        devices = sum(int(np.count_nonzero(update.who)) for update in self.updates)
        # Who trained nothing brings nothing, so that no transfer shows its version.
        compared = devices > 0 and self.each_update_is_a_transfer
        return Aggregated(
            self.version,
            self.learner.architecture.named(experts, gate=True),
            devices=Share(devices, sum(cluster.devices for cluster in clusters)),
            clusters=Share(len(self.arrived), len(clusters)),
            staleness=Range(0, 0) if compared else None,
        )

    # -- what may differ from method to method: the rounds

    def merge_round(self, shares: dict[str, float]) -> Generator[Request, Any, Sequence[int]]:
        """Merge the updates, clusters weighing their ``shares`` (6); return the experts that move.

        By default the mean of all updates is added to the server's model.
        """
        yield self.move(self.weighted(shares))
        self.aggregated(self.experts, self.changes_in(self.updates))
        return self.experts

    def weighted(self, shares: dict[str, float]) -> list[Weighted]:
        """Return the round's updates with what each weighs, by the ``shares`` of clusters."""
        return [(update, shares[update.cluster]) for update in self.updates]

    def begin_round(self) -> Protocol:
        """Make ready for the next round, when the last one is over."""
        yield from ()

    def sit_out(self) -> Protocol:
        """Let a cluster that is absent from the round pass a contact by."""
        yield from ()

    def sits_out(self, name: str) -> bool:
        """Whether a cluster takes no part in the present round."""
        return name in self.absent

    def is_given_up(self, number: int) -> bool:
        """Whether what was begun in round ``number`` is of no use any more."""
        return number != self.version

    @property
    def ended_by(self) -> str:
        """Say what ends a round that does not wait for all."""
        return self.world.closing.reached

    @property
    def each_update_is_a_transfer(self) -> bool:
        """Whether the update of every client has come to the server in a transfer of its own."""
        return True

    # -- and the devices

    def members(self, devices: ClusterState) -> Mask:
        """Return which of a cluster's devices (K,) take part: they have the memory, and experts."""
        return devices.eligible & (devices.holds.any(axis=1) if self.experts else True)

    def holds(self, me: Cluster) -> Mask:
        """Return which experts (K, E) each of the cluster's devices takes in this round."""
        return np.ones((me.devices, len(self.experts)), bool)

    def has_model(self, devices: ClusterState) -> Mask:
        """Return which devices (K,) have the model that their present update begins with."""
        return devices.complete & (devices.version == self.version)

    def cost(self, devices: ClusterState) -> Cost:
        """Return what a local round takes of each of a cluster's devices."""
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

    # -- when a cluster trains: in the contact, unless in gaps

    def begin(self, devices: ClusterState) -> None:
        """Do what comes before the first contact."""

    def next_contact(
        self, devices: ClusterState, useful: NextContact
    ) -> Generator[Request, Any, Contact | None]:
        """Wait for a contact."""
        return (yield useful)

    def end_contact(self, devices: ClusterState) -> Protocol:
        """Do what is left of a contact for the gap behind it."""
        yield from ()

    def under_way(self, devices: ClusterState) -> Mask:
        """Return whose part (K,) in the round goes on beyond a contact."""
        return devices.pending | (devices.receiving & devices.eligible)


class InGaps(FedAvg):
    """A cluster downloads in one contact, trains until the next one, and uploads in that.

    The round's last cluster takes the next model at once. The start model is on the devices before
    time begins.
    """

    def begin(self, devices: ClusterState) -> None:
        """Give the devices the start model."""
        devices.load_initial(self.server, self.experts)
        if not self.sits_out(devices.name):
            self.enter_round(devices)

    def next_contact(
        self, devices: ClusterState, useful: NextContact
    ) -> Generator[Request, Any, Contact | None]:
        """Train until the next contact, where anybody is to train."""
        who = self.in_training(devices)
        if not who.any():
            return (yield useful)
        work, contact = yield TrainUntilContact(self.cost(devices), who)
        devices.train(work, self.experts, gate=True)
        if work.excluded.all():
            self.absent.add(devices.name)
        return contact

    def enter_round(self, devices: ClusterState) -> None:
        """Forget, of a round before, also what was trained and not sent."""
        if devices.name not in self.sent:
            unsent = devices.has_unsent(self.experts, gate=True)
            devices.forget(self.experts, unsent, gate=True)
        super().enter_round(devices)

    def update(self, devices: ClusterState) -> Protocol:
        """Upload what the devices have trained in the gap."""
        number = self.version
        yield from self.trained(devices, devices.has_unsent(self.experts, gate=True))
        devices.offer(self.experts, gate=True)
        if devices.pending.any():
            yield from self.upload(devices, number)

    def end_contact(self, devices: ClusterState) -> Protocol:
        """Download the round's model to the devices that have not been through the round yet."""
        if self.sits_out(devices.name):
            return
        self.enter_round(devices)
        wanted = self.lacking(devices) & ~self.has_model(devices)
        if wanted.any():
            down = yield devices.download("model", self.server, self.experts, who=wanted)
            devices.receive(down)

    def under_way(self, devices: ClusterState) -> Mask:
        """Return whose part (K,) goes on: who trains in the gap, too."""
        return super().under_way(devices) | self.in_training(devices)

    def in_training(self, devices: ClusterState) -> Mask:
        """Return who trains in the gap: devices that have the round's model, and are not done."""
        if devices.name not in self.sent:
            return np.zeros(devices.cluster.devices, bool)
        return self.has_model(devices) & self.lacking(devices)

    def lacking(self, devices: ClusterState) -> Mask:
        """Return whose update (K,) of the round is neither there nor on its way."""
        return self.members(devices) & ~(self.sent[devices.name] | devices.pending)
