"""Federated rounds of satellites that meet their server again and again.

Rules as FLySTacK (github.com/gkim65/federated-satellites) codes them for "Bringing Federated
Learning to Space" (arXiv 2511.14889): FedAvgSat, FedAvg2Sat, FedAvg3Sat, FedProxSat and so on.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import NonNegativeFloat
from pydantic.dataclasses import dataclass

from learning.clients.cluster import ClusterState
from learning.methods.base import Protocol, World
from learning.methods.fedavg import FedAvg
from learning.methods.fedprox import FedProx
from learning.methods.options import CHECKED, option
from learning.methods.surface import Needs, Traits
from learning.requests.cluster import (
    Cluster,
    Contact,
    Forecast,
    NextContact,
    Receipt,
    Signal,
    TrainUntilContact,
    Upload,
    Work,
)
from learning.requests.peers import Node
from learning.requests.request import Request
from learning.requests.ring import reduce


@dataclass(frozen=True, config=CHECKED)
class FedAvgSatOptions:
    """Options of rounds with some of the satellites."""

    clients: int = option(10, "clients of a round: C, or all if there are fewer", ge=1)
    local_rounds: int = option(10, "local rounds that a client trains: its epochs", ge=1)
    selection: Literal["first", "scheduled"] = option(
        "first", "the first C that come into contact, or the first C that come back"
    )
    intra_plane: bool = option(
        False, "take what a plane has trained when one of it is in contact (scheduled)"
    )


class Client:
    """A satellite in the present round: its passes, the rounds that are left, when it is done."""

    def __init__(self, devices: ClusterState) -> None:
        self.name = devices.name
        self.devices = devices
        self.begin(-1, [])

    def begin(self, number: int, experts: Sequence[int]) -> None:
        """Begin round ``number``: what is on its way, or trained, is of no use any more."""
        self.round = number
        self.passes = 1
        self.left = 0
        self.trains = self.begun = self.arrived = self.handed_over = False
        self.ready_s = np.inf
        self.devices.cancel_transfers()
        self.devices.forget(experts, self.devices.has_unsent(experts, gate=True), gate=True)

    def train(self, work: Work, experts: Sequence[int]) -> None:
        """Train what the clock has granted."""
        self.devices.train(work, experts, gate=True)
        self.left -= int(work.rounds.max())
        if work.excluded.all():  # it lacks the memory
            self.trains = False


class FedAvgSat(FedAvg):
    """FedAvg with C clients a round, which come back with what they have trained.

    A client downloads the model in one contact and trains ``local_rounds`` from then on, in contact
    or not; the update goes up in the first contact that begins when they are done. The round ends
    with the C-th update, and who has not come back by then begins anew. By ``selection`` first the
    first C satellites in contact take part; scheduled all train, and the first C that come back are
    the round. With ``intra_plane`` a client that is done, and has been in contact once in the
    round, hands its update to another one of its plane that comes into contact, once those of the
    plane whose updates are not in yet have had more than two contacts in the round together, and
    more than C may arrive. Over the rings of ``link.isl`` that is a partial aggregate, as large as
    one model; without them it takes no time and no bytes.
    """

    colour = "#b0368f"
    Options: ClassVar[type] = FedAvgSatOptions
    needs: ClassVar[Needs] = replace(FedAvg.needs, satellites=True)
    traits: ClassVar[Traits] = replace(
        FedAvg.traits, waits_for_all=True, uses_isl=("within_plane",), isl_option="intra_plane"
    )
    alone_is_sgd: ClassVar[bool] = False
    ends_by_own_rule: ClassVar[bool] = True

    def __init__(self, world: World, options: Any = None) -> None:
        super().__init__(world, options)
        self.clients = {me.name: Client(self.devices(me)) for me in world.clusters}
        self.planes: dict[str, list[Client]] = {}
        for me in world.clusters:
            self.planes.setdefault(me.plane, []).append(self.clients[me.name])
        self.wanted = min(self.options.clients, len(self.clients))
        self.joined: set[str] = set()
        self.places = Signal()

    @classmethod
    def check_clients(cls, clusters: Sequence[Cluster], options: Any) -> None:
        """Raise ValueError where planes are asked for that nobody knows, or that are not used."""
        if options.intra_plane and options.selection == "first":
            raise ValueError("intra_plane: is not used with selection 'first'; set scheduled")
        if options.intra_plane and any(cluster.name == cluster.plane for cluster in clusters):
            raise ValueError(
                "intra_plane: has no effect where each plane is one client; remove it, or set "
                "roles.clients: satellites"
            )
        if options.intra_plane and not all(cluster.plane for cluster in clusters):
            raise ValueError(
                "intra_plane: the planes of these satellites cannot be told; keep those whose "
                "planes lie apart, use orbit.source walker, or remove it"
            )

    @classmethod
    def rounds_counted_to(cls, options: Any) -> Literal["rise", "set"]:
        """Return how FLySTacK counts them: FedAvgSat to a set, FedAvg2Sat and 3Sat to a rise."""
        return "set" if options.selection == "first" else "rise"

    @property
    def each_update_is_a_transfer(self) -> bool:
        """Whether the update of every client has come in a transfer: not over a free ring."""
        return not self.options.intra_plane

    def cluster(self, me: Cluster) -> Protocol:
        """Download, train through contacts, bring the update; begin anew with every round."""
        client = self.clients[me.name]
        # Of the passes of a plane each one counts; else only a new round gives one a use again.
        signal = None if self.options.intra_plane else self.places
        useful = NextContact(wanted=partial(self.has_use, client), signal=signal)
        contact = yield useful
        while contact:
            if client.round != self.version:
                client.begin(self.version, self.experts)
            if self.options.intra_plane:
                yield from self.collect_plane(client, contact)
                if client.round != self.version:  # it was over before the ring was
                    client.begin(self.version, self.experts)
            if self.may_bring(client):
                yield from self.bring(client)
            elif not client.trains and self.may_join(client):
                yield from self.join(client)
            if len(self.arrived) >= self.wanted:
                yield from self.end_round()
            if client.left:
                contact = yield from self.train(client)
            else:
                contact = yield useful

    def train(self, client: Client) -> Generator[Request, Any, Contact | None]:
        """Train the rounds that are left; return the next contact that is of use."""
        cost = self.cost(client.devices)
        anew = not client.begun
        client.begun = True
        _, contact = yield TrainUntilContact(
            cost,
            None,
            client.left,
            from_now=True,
            anew=anew,
            wanted=partial(self.has_trained, client),
        )
        return contact

    def has_trained(self, client: Client, work: Work) -> bool:
        """Take what a client has trained until a contact; return whether it does anything there."""
        if client.round != self.version:  # nobody wants it any more
            return True
        if client.left:
            client.train(work, self.experts)
            if work.excluded.all():
                self.joined.discard(client.name)
                self.places.give()
        return self.has_use(client) or not client.left

    def begin_round(self) -> Protocol:
        """Let anybody join the next round."""
        self.joined.clear()
        self.places.give()
        yield from ()

    def has_use(self, client: Client) -> bool:
        """Return whether a client does anything in a contact that begins; count its passes."""
        if client.round != self.version:
            return self.has_place(client)
        client.passes += 1
        if self.may_bring(client) or (not client.trains and self.may_join(client)):
            return True
        return self.options.intra_plane and bool(self.ready_in_plane(client))

    def may_join(self, client: Client) -> bool:
        """Return whether a client takes part in the round from now on."""
        return not client.arrived and self.has_place(client)

    def has_place(self, client: Client) -> bool:
        """Return whether the round has a place for a client that has the memory for it."""
        full = self.options.selection == "first" and len(self.joined) >= self.wanted
        if full and client.name not in self.joined:
            return False
        return bool(client.devices.eligible.any())

    def may_bring(self, client: Client) -> bool:
        """Return whether a client in contact has an update for the round."""
        is_ready = self.keeps_partial or not client.left
        return client.trains and is_ready and not client.handed_over

    def join(self, client: Client) -> Protocol:
        """Download the model; what a contact is too short for comes in the next one."""
        self.joined.add(client.name)
        down = yield client.devices.download("model", self.server, self.experts)
        client.devices.receive(down)
        if down.done.all() and client.round == self.version:
            client.trains = True
            client.left = self.options.local_rounds
            if self.options.intra_plane:  # else nobody asks
                outlook = yield Forecast(client.name)
                one_s = outlook.round_s(self.cost(client.devices)) if outlook else np.inf
                client.ready_s = float(np.max(down.end_s + client.left * one_s))

    def bring(self, client: Client) -> Protocol:
        """Upload the update, or the rest of it; who has trained nothing at all brings none."""
        client.left = 0
        client.devices.offer(self.experts, gate=True)
        if client.devices.pending.any():
            update = yield from client.devices.send("model")
            if update is not None and client.round == self.version:
                self.updates.append(update)
        if client.round == self.version and not client.devices.pending.any():
            self.arrives(client)

    def arrives(self, client: Client) -> None:
        """Count a client as one of the round."""
        client.trains = False
        client.arrived = True
        self.arrived[client.name] = float(self.shares[client.name].sum())

    def collect_plane(self, here: Client, contact: Contact) -> Protocol:
        """Take the updates that are ready in the plane of the satellite in contact."""
        ready = [o for o in self.ready_in_plane(here) if o.ready_s < contact.start_s]
        if not ready:
            return
        if self.world.rings:
            ready = yield from self.gather(here, ready)
        for other in ready:
            ready_s = np.array([other.ready_s])
            nobody = np.array([False])
            other.train(Work(np.array([other.left]), ready_s, nobody), self.experts)
            other.devices.offer(self.experts, gate=True)
            sent = Upload(other.devices.payload("model"))
            update = yield from other.devices.arrived(
                Receipt.whole(sent, np.array([contact.contact_id]))
            )
            if update is not None:
                self.updates.append(update)
            self.arrives(other)

    def ready_in_plane(self, here: Client) -> list[Client]:
        """Return who may be taken in its plane, as soon as it is ready, when ``here`` is there."""
        # As in FLySTacK: whose update is in, or comes in now, counts no more in this round.
        waiting = [
            other
            for other in self.planes[here.devices.cluster.plane]
            if other.round == self.version
            and not (other.arrived or other.handed_over)
            and not (other is here and self.may_bring(here))
        ]
        if sum(other.passes for other in waiting) <= 2:
            return []
        return [other for other in waiting if other.passes == 1 and other.trains]

    def gather(self, here: Client, ready: list[Client]) -> Generator[Request, Any, list[Client]]:
        """Bring a partial aggregate over the ring and down; return whose updates are in it.

        Until it is there, nobody else takes these updates, nor do their satellites bring them: no
        part of a sum can be taken out of it. None are in one that comes when the round is over.
        """
        number = self.version
        for other in ready:
            other.handed_over = True
        names = next(r for r in self.world.rings if here.name in r)
        ring = [Node(name, 0) for name in names]
        among = [names.index(o.name) for o in ready]
        added = yield from reduce(ring, names.index(here.name), self.partial, among=among)
        brought = False
        if self.version == number:
            receipt = yield Upload(self.partial, carry=False)
            brought = bool(receipt.done.all())
        for other in ready:
            if other.round == number:
                other.handed_over = False
        if not brought or self.version != number:
            return []
        return [other for other in ready if names.index(other.name) in added]


@dataclass(frozen=True, config=CHECKED)
class FedProxSatOptions(FedAvgSatOptions):
    """Options of rounds with a proximal term."""

    mu: NonNegativeFloat = option(0.01, "weight of the proximal term")
    partial: Literal["keep", "drop"] = option(
        "keep", "bring what is trained by the next contact; drop: only what is done"
    )


class FedProxSat(FedAvgSat, FedProx):
    """FedAvgSat with FedProx's proximal term: a client brings at its next contact what it has."""

    colour = "#0a5fd0"
    Options: ClassVar[type] = FedProxSatOptions

    @classmethod
    def rounds_counted_to(cls, options: Any) -> Literal["rise", "set"]:
        """Return how FLySTacK counts them: all of its FedProx programs to a rise."""
        return "rise"
