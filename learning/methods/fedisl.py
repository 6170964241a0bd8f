"""FedISL, FedLEO and AutoFLSat: planes of satellites learn over the rings of their links.

Razmi, Matthiesen, Dekorsy and Popovski, On-Board Federated Learning for Dense LEO Constellations
(arXiv 2111.12769); Elmahallawy and Luo, Optimizing Federated Learning in LEO Satellite
Constellations via Intra-Plane Model Propagation and Sink Satellite Scheduling (arXiv 2302.13447);
Kim et al., Space for Improvement: Navigating the Design Space for Federated Learning in Satellite
Constellations (arXiv 2411.00263), whose waterfall is that of its code, FLySTacK
(github.com/gkim65/federated-satellites).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from learning.methods.base import Protocol, World
from learning.methods.fedavg import FedAvg
from learning.methods.options import CHECKED
from learning.methods.surface import Needs, Traits
from learning.requests.cluster import (
    Cluster,
    Forecast,
    NextContact,
    Outlook,
    Receipt,
    Train,
    Upload,
)
from learning.requests.payload import Payload
from learning.requests.peers import All, NextLink, Node, Send, Wait
from learning.requests.request import Request
from learning.requests.ring import Gate, allreduce, broadcast, distance, reduce
from statements.arrays import Floats, Ints

SESSIONS = 16
"""How many sessions of each satellite are looked at for one that holds the upload."""


@dataclass(frozen=True, config=CHECKED)
class FedIslOptions:
    """Options of rounds over the rings of planes."""

    local_rounds: int = Field(1, ge=1, description="local rounds that a satellite trains")


class Plane:
    """The satellites of a plane, in the order of their ring.

    ``lookout`` counts when they begin to look out for a source and when one is found, ``tried``
    holds the places and sessions in which the model of this round has been asked for, ``trained``
    is open at each place once it has trained what it has last been given.
    """

    def __init__(self, method: FedIsl, members: Sequence[Cluster]) -> None:
        self.names = tuple(me.name for me in members)
        self.devices = [method.devices(me) for me in members]
        self.ring = [Node(name, 0) for name in self.names]
        self.lookout = 0
        self.tried: set[tuple[int, int]] = set()
        self.trained: dict[int, Gate] = {}


class FedIsl(FedAvg):
    """Synchronous rounds of planes that are rings of inter-satellite links.

    In each plane the first satellite that sees the server, the source, downloads the model and
    sends it both ways round the ring, and each satellite trains as soon as it has it. Of several in
    view as a round begins the source is the first of the ring; if its contact is over too soon,
    another one in view takes its place. A partial aggregate of the
    plane, as large as one model, is gathered at the sink, which uploads it: of all members the one
    with the earliest contact that is long enough, by the forecast, once the aggregate can be there.
    The round ends when all planes have arrived, with the mean over all satellites by samples.
    """

    colour = "#6b4400"
    Options: ClassVar[type] = FedIslOptions
    needs: ClassVar[Needs] = replace(FedAvg.needs, satellites=True, isl=("within_plane",))
    traits: ClassVar[Traits] = replace(
        FedAvg.traits,
        waits_for_all=True,
        uses_isl=("within_plane",),
    )
    alone_is_sgd: ClassVar[bool] = False
    ends_by_own_rule: ClassVar[bool] = True

    def __init__(self, world: World, options: Any = None) -> None:
        super().__init__(world, options)
        clusters = {me.name: me for me in world.clusters}
        self.planes = [Plane(self, [clusters[name] for name in ring]) for ring in world.rings]
        self.planes_arrived: list[Plane] = []

    @property
    def each_update_is_a_transfer(self) -> bool:
        """Whether the update of every client has come in a transfer: a ring brings their sum."""
        return False

    def cluster(self, me: Cluster) -> Protocol:
        """The first satellite begins the first round; all others are part of what follows."""
        if me.index == 0:
            yield from self.begin_round()

    def begin_round(self) -> Protocol:
        """Let each plane look out for the model of the round."""
        for plane in self.planes:
            for devices in plane.devices:
                devices.cancel_transfers()
            plane.tried = set()
            yield from self.look_out(plane)

    def look_out(self, plane: Plane) -> Protocol:
        """Let all satellites of a plane seek the server; who sees it first is the source."""
        plane.lookout += 1
        places = range(len(plane.ring))
        yield All(tuple(self.seek(plane, k, plane.lookout) for k in places), 0.0, plane.names)

    def seek(self, plane: Plane, place: int, lookout: int) -> Protocol:
        """Download the model of the round, unless another one of the plane has begun to."""
        number = self.version
        devices = plane.devices[place]
        while contact := (yield NextContact()):
            if plane.lookout != lookout or self.version != number:
                return
            if (place, contact.session) in plane.tried:
                continue  # nothing has come of this contact
            plane.tried.add((place, contact.session))
            plane.lookout += 1  # all others leave it to this one
            down = yield devices.download("model", self.server, self.experts)
            devices.receive(down)
            if down.done.all():
                yield from self.lead(plane, place, float(down.end_s[0]))
            else:
                yield from self.look_out(plane)
            return

    # -- a plane's part of a round

    def lead(self, plane: Plane, source: int, begun_s: float) -> Protocol:
        """Send the model round, let all train, gather what they have at the sink, upload it."""
        server = self.server
        ring = plane.ring
        number = self.version
        sizes = self.learner.architecture
        gates = [Gate(f"{node} trains in round {number}") for node in ring]

        def trains(place: int) -> Protocol:
            earlier, plane.trained[place] = plane.trained.get(place), gates[place]
            if earlier is not None:  # it trains on where a link has failed, and the round is over
                yield from earlier.wait()
            if number == self.version:
                yield from self.train(plane, place)
            yield from gates[place].open()

        def begins(place: int) -> Protocol:
            devices = plane.devices[place]
            if place != source:
                devices.receive(Receipt.whole(devices.download("model", server, self.experts)))
            yield All((trains(place),), 0.0, (plane.names[place],))

        def is_done(place: int) -> Protocol:
            if place in has_s:
                yield from gates[place].wait()

        yield from begins(source)
        down = Payload("model", sizes.download_bytes(self.experts, gate=True), self.version)
        has_s = {source: begun_s} | (yield from broadcast(ring, source, down, begins))
        sink = yield from self.sink(plane, source, has_s)
        places = yield from reduce(ring, sink, self.partial, is_done)
        yield All((self.bring(plane, sorted(places)),), 0.0, (plane.names[sink],))

    def train(self, plane: Plane, place: int) -> Generator[Request, Any, float]:
        """Let one satellite train; return when it has."""
        devices = plane.devices[place]
        number = self.version
        work = yield Train(self.cost(devices), self.options.local_rounds)
        if number == self.version:  # else a link has failed, and the round is over
            devices.train(work, self.experts, gate=True)
            devices.offer(self.experts, gate=True)
        return float(work.end_s[0])

    def sink(
        self, plane: Plane, source: int, has_s: dict[int, float]
    ) -> Generator[Request, Any, int]:
        """Return the member that can begin to upload first, of those that have the model.

        The aggregate is there when it has come from the last one to train: each link takes as long
        as on the model's way out.
        """
        ring = plane.ring
        cost = self.cost(plane.devices[source])
        size = self.partial.bytes
        links = {place: distance(ring, source, place) for place in has_s}
        link_s = max((has_s[p] - has_s[source]) / max(links[p], 1) for p in has_s)
        seen = {}
        begins_s = {}
        for place in has_s:
            seen[place] = yield Forecast(plane.names[place], sessions=SESSIONS)
        round_s = {p: float(seen[p][0].round_s(cost)[0]) for p in has_s if seen[p]}
        # No forecast is known of who is not seen again: it may be as slow as the slowest.
        slow_s = max(round_s.values(), default=0.0)
        rounds = self.options.local_rounds
        trained_s = {p: has_s[p] + rounds * round_s.get(p, slow_s) for p in has_s}
        for place in has_s:
            there_s = max(trained_s[p] + distance(ring, p, place) * link_s for p in has_s)
            begins = (self.upload_from_s(o, there_s, size) for o in seen[place])
            begins_s[place] = next(filter(np.isfinite, begins), np.inf)
        return min(begins_s, key=lambda place: (begins_s[place], place))

    def upload_from_s(self, outlook: Outlook, there_s: float, size: float | Floats) -> float:
        """When what is there at a time can be uploaded in the rest of a session; inf if never.

        The session carries it if the rest has the time for it, at its mean rate.
        """
        begin_s = max(outlook.start_s, there_s)
        share = (outlook.end_s - begin_s) / (outlook.end_s - outlook.start_s)
        return begin_s if share > 0.0 and share * outlook.uplink_bytes[0] >= size else np.inf

    def bring(self, plane: Plane, places: Sequence[int]) -> Protocol:
        """Upload the aggregate, in as many contacts as it takes; the last plane ends the round."""
        while (yield NextContact()):
            receipt = yield Upload(self.partial)
            if receipt.done.all():
                yield from self.collect_plane(plane, places, receipt.contact_id)
                self.planes_arrived.append(plane)
                break
        if len(self.planes_arrived) == len(self.planes):
            self.planes_arrived = []
            yield from self.end_round()

    def collect_plane(
        self, plane: Plane, places: Sequence[int], contact_id: Ints | None = None
    ) -> Protocol:
        """Take the updates of a plane that are part of its aggregate."""
        for place in places:
            devices = plane.devices[place]
            if devices.pending.any():
                sent = Receipt.whole(Upload(devices.payload("model")), contact_id)
                update = yield from devices.arrived(sent)
                if update is not None:
                    self.updates.append(update)
                    self.arrived[devices.name] = float(self.shares[devices.name].sum())


class FedLeo(FedIsl):
    """FedLEO: rounds of FedISL, with a sink by future windows that are long enough.

    A window under way when the aggregate can be there is no choice, however much of it is left: the
    sink has the earliest contact that begins later and carries the upload.
    """

    colour = "#0b4a6b"
    traits: ClassVar[Traits] = replace(FedIsl.traits, takes_personal=False)

    def upload_from_s(self, outlook: Outlook, there_s: float, size: float | Floats) -> float:
        """When a session begins that is still to come and carries the upload; inf for any other."""
        begin_s = super().upload_from_s(outlook, there_s, size)
        return begin_s if outlook.start_s >= there_s else np.inf


# AutoFLSat: planes that exchange what they have without the ground.


Pairs = list[tuple[int, int]]
"""Planes, counted from 0, of which the first sends to the second, at the same time."""


def waterfall(planes: int) -> list[Pairs]:
    """Return the steps by which every plane gets the mean of all.

    The outermost planes send inwards, from both sides at a time, until the middle one, or the
    upper one of the two in the middle, has what all have; then the mean goes out again.
    """
    half = planes // 2
    last = planes - 1
    inwards = [[(k, k + 1), (last - k, last - k - 1)] for k in range((planes - 1) // 2)]
    outwards = [[(k + 1, k), (last - k - 1, last - k)] for k in reversed(range(half))]
    if planes % 2:
        return inwards + outwards
    return [*inwards, [(half - 1, half)], [(half, half - 1)], *outwards[1:]]


WAIT_S = 125.0
"""From one step, or from training, to the link of the next step, s, as in FLySTacK."""
WINDOW_S = 200.0
"""What the window of a link between planes has to exceed, s, as in FLySTacK."""


class AutoFlSat(FedIsl):
    """Synchronous cycles of planes that are rings, and exchange what they have over other links.

    In a cycle all satellites train, those of a plane reduce what they have round its ring, and
    the planes exchange partial aggregates by the :func:`waterfall`: each step over the first window
    between any two satellites of two neighbouring planes that begins more than WAIT_S after the
    step before began, and is long enough. Whoever gets something sends it round its ring. The next
    cycle begins with the mean over all satellites by samples.
    """

    colour = "#4c2aa0"
    needs: ClassVar[Needs] = replace(FedIsl.needs, isl=("within_plane", "between_planes"))
    traits: ClassVar[Traits] = replace(FedIsl.traits, uses_isl=("within_plane", "between_planes"))

    def cluster(self, me: Cluster) -> Protocol:
        """Run all cycles, with the first satellite; all others are part of them."""
        if me.index == 0:
            yield from self.begin_round()
            while (yield from self.cycle()):
                yield from self.end_round()

    def begin_round(self) -> Protocol:
        """Let all satellites have the mean of the last cycle: the waterfall has brought it."""
        for plane in self.planes:
            for devices in plane.devices:
                down = devices.download("model", self.server, self.experts)
                devices.receive(Receipt.whole(down))
        yield from ()

    def cycle(self) -> Generator[Request, Any, bool]:
        """Train and exchange; return False where the plan has not enough links left."""
        planes = self.planes
        ends_s = yield All(tuple(self.train_plane(plane) for plane in planes))
        from_s = max(ends_s)
        for pairs in waterfall(len(planes)):
            steps = (self.step(planes[one], planes[other], from_s) for one, other in pairs)
            begun_s = yield All(tuple(steps))
            if None in begun_s:
                return False
            from_s = max(begun_s)
        for plane in planes:
            yield from self.collect_plane(plane, range(len(plane.ring)))
        return True

    def train_plane(self, plane: Plane) -> Generator[Request, Any, float]:
        """Train, and let a whole plane have its aggregate; return when the last one has trained."""
        tasks = tuple(self.train(plane, place) for place in range(len(plane.ring)))
        ends_s = yield All(tasks, at=plane.names)
        yield from allreduce(plane.ring, self.partial)
        return float(max(ends_s))

    def step(
        self, source: Plane, target: Plane, from_s: float
    ) -> Generator[Request, Any, float | None]:
        """Send from one plane to another; return when its window began, None if there is none."""
        after_s = from_s + WAIT_S
        while link := (yield NextLink(source.ring, target.ring, after_s, WINDOW_S)):
            yield Wait(link.start_s)
            arrival = yield Send(link.source, link.target, self.partial, wait=True)
            if arrival.delivered:
                yield from broadcast(target.ring, target.ring.index(link.target), self.partial)
                return float(link.start_s)
            after_s = link.start_s
        return None
