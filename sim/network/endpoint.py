"""Endpoint: one client's end of its link; the steps of its chains, and what fails on the way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from learning import stream
from learning.requests.cluster import (
    WAITS_FOR_ALL,
    Cluster,
    Cost,
    Download,
    Quorum,
    Upload,
)
from learning.requests.payload import Payload
from learning.requests.peers import Node
from learning.requests.reasons import Reason
from sim.devices.devices import Devices
from sim.devices.faults import Faults
from sim.facts.directions import Way
from sim.facts.faults import MemoryLacks
from sim.facts.stream import Facts
from sim.facts.transfers import Outcome
from sim.network.books import Books, Ledger
from sim.network.legs import LegLog
from sim.world.topology import Topology
from statements.arrays import Floats, Ints, Mask

if TYPE_CHECKING:  # simpy is imported where a run is
    from sim.clock import Clock


def everybody(who: Mask | None, k: int) -> Mask:
    """Return ``who`` as a mask (K,); None stands for all devices."""
    return np.ones(k, bool) if who is None else np.asarray(who, bool)


def way_of(step: Upload | Download) -> Way:
    """Return which way a step sends its payload."""
    return Way.TO_SERVER if isinstance(step, Upload) else Way.TO_CLIENT


CutTransfers = Literal["resume", "restart", "drop"]
"""What becomes of a transfer that a contact cuts off: ``link.cut_transfers``."""


@dataclass(frozen=True)
class Ending:
    """When a chain is over, and why, if not because all its devices are through or cut off.

    It may be ``closed`` before: for a quorum that was reached, or a deadline. What the end of the
    run interrupts (``run_over``) no pass has cut off.
    """

    time_s: float
    closed: Reason = Reason.NONE
    run_over: bool = False


OF_CUT_OFF: dict[CutTransfers, Outcome] = {
    "resume": Outcome.CARRIED,
    "restart": Outcome.RESTARTED,
    "drop": Outcome.DROPPED,
}
"""The outcome of a transfer that has begun and is cut off, by the rule under which it began."""


@dataclass(frozen=True, eq=False)
class Shared:
    """What the clients of a run have in common.

    ``topology`` says where they and their server are; what happens goes to ``facts``, what legs
    came to by way of the ``log``, and their bytes into the ``books``. ``closing`` says whom a chain
    with uploads waits for, ``cut_transfers`` what becomes of a transfer that a contact cuts off,
    ``faults`` what fails (None: nothing).
    """

    clock: Clock
    topology: Topology
    facts: Facts
    log: LegLog
    books: Books
    closing: Quorum = WAITS_FOR_ALL
    cut_transfers: CutTransfers = "resume"
    faults: Faults | None = None


class Endpoint:
    """What the steps of one client's chains share, whichever chain they are of.

    Its devices; the ``ledger`` of payloads that are open; the ``faults`` that are drawn for its
    link (None: nothing fails); ``sent_s`` (K,), the seconds in which the devices have sent to the
    server; and what it has in common with other clients, as :class:`Shared` has it.
    """

    def __init__(self, devices: Devices, shared: Shared) -> None:
        self.devices = devices
        self.clock = shared.clock
        self.facts = shared.facts
        self.log = shared.log
        self.books = shared.books
        self.closing = shared.closing
        self.cut_transfers = shared.cut_transfers
        self.ledger = Ledger(devices.cluster, shared.topology, shared.books)
        self.faults = None if shared.faults is None else LinkFaults(shared.faults, self.cluster)
        self.sent_s: Floats = np.zeros(devices.cluster.devices)
        self._lack_memory: Mask = np.zeros(devices.cluster.devices, bool)

    @property
    def cluster(self) -> Cluster:
        """The cluster whose end it is."""
        return self.devices.cluster

    def tell_memory_lacks(self, excluded: Mask, cost: Cost) -> None:
        """Tell which devices cannot hold what they were to train; of each once."""
        new = np.flatnonzero(excluded & ~self._lack_memory)
        if not len(new):
            return
        self._lack_memory = self._lack_memory | excluded
        self.facts.emit(
            MemoryLacks(
                time_s=self.clock.now,
                cluster=self.cluster.name,
                device=new,
                needed_bytes=np.broadcast_to(cost.memory_bytes, excluded.shape)[new],
                held_bytes=np.broadcast_to(self.devices.memory_bytes, excluded.shape)[new],
            )
        )


# What fails on the link of one client, leg by leg of its chains.


@dataclass(frozen=True, eq=False)
class LegFaults:
    """What goes wrong on a leg; None where nothing of a kind can.

    Of so many ``packets`` (K,) so many are ``resent``: of what is sent, ``air_share`` (K,) is not
    packets sent again. ``corrupted`` (K,) marks what goes over the link as a whole and is then
    refused.
    """

    packets: Ints | None = None
    resent: Ints | None = None
    air_share: Floats | None = None
    corrupted: Mask | None = None


FLAWLESS = LegFaults()
"""Nothing goes wrong."""


class LinkFaults:
    """Draws the faults of every leg of one cluster, for all devices (K) whether they send or not.

    A leg has streams of its own: by its payload and its way, by the second at which its session
    begins, and by its number among such legs. So what is drawn depends on no other leg, nor on the
    order of those at one instant, which the last bit of a contact's end may decide.
    """

    def __init__(self, faults: Faults, cluster: Cluster) -> None:
        self._faults = faults
        self._cluster = cluster
        self._legs: Counter[tuple[object, ...]] = Counter()
        self._messages: Counter[tuple[object, ...]] = Counter()

    def repeats(self) -> float:
        """How many times a packet is sent on the average."""
        packets = self._faults.packets
        return 1.0 if packets is None else 1.0 / (1.0 - packets.loss)

    def packets_of(self, payload: Payload, target: Node) -> tuple[int, int]:
        """Packets of a message to another satellite, and how many of them are sent again."""
        held = self._faults
        size = float(payload.bytes)
        if held.packets is None or not size:
            return 1, 0
        name = (target.cluster, target.device, payload.name, int(payload.version))
        number = self._messages[name]
        self._messages[name] += 1
        draws = stream(held.seed, "packets between", self._cluster.name, *name, number)
        packets = np.ceil(np.array([size / held.packets.bytes])).astype(np.int64)
        return int(packets[0]), int(sent_again(draws, packets, held.packets.loss)[0])

    def draw(
        self,
        way: Way,
        payload: str,
        session_s: float,
        who: Mask,
        left_bytes: Floats,
        *,
        together: bool | None,
    ) -> LegFaults:
        """Decide which packets of a leg are lost, which uploads are corrupted.

        Those in ``who`` (K,) send ``left_bytes`` (K,) of a payload over the session that begins at
        ``session_s``; ``together`` says whether as one broadcast, None that it takes no time and
        loses nothing.
        """
        held = self._faults
        leg = (self._cluster.name, payload, way, round(session_s))
        number = self._legs[leg]
        self._legs[leg] += 1
        packets = resent = air_share = corrupted = None
        if held.packets is not None and together is not None:
            loss = held.packets.loss
            draws = stream(held.seed, "packets", *leg, number)
            packets = np.ceil(left_bytes / held.packets.bytes).astype(np.int64)
            again = sent_to_all if together else sent_again
            resent = again(draws, np.where(who, packets, 0), loss)
            air_share = packets / np.maximum(packets + resent, 1)
        if held.uploads is not None and way is Way.TO_SERVER:
            draws = stream(held.seed, "uploads", *leg, number)
            # A row for each device, so that the draws of those before a new one stay. The first of
            # its three numbers decides; without the others, old runs would meet other faults.
            refused = draws.random((len(who), 3))[:, 0]
            corrupted = who & (refused < held.uploads.corrupted) & (left_bytes > 0)
        return LegFaults(packets, resent, air_share, corrupted)


def sent_again(draws: np.random.Generator, packets: Ints, loss: float) -> Ints:
    """How many packets (K,) are sent again until all are through, each device for itself.

    A packet is lost with probability ``loss`` whenever it is sent: negative binomial, of one
    uniform draw a device, so that none depends on what the others send.
    """
    from scipy.stats import nbinom  # takes longer to import than a short run takes

    drawn = draws.random(len(packets))
    again = nbinom.ppf(drawn, np.maximum(packets, 1), 1.0 - loss)
    return np.where(packets > 0, np.maximum(again, 0), 0).astype(np.int64)


def sent_to_all(draws: np.random.Generator, packets: Ints, loss: float) -> Ints:
    """How many packets (K,) are broadcast again until every receiver has all of them.

    Receivers lose packets each for itself; one that any of them lacks is sent again to all.
    Receivers of fewer packets are through with the others.
    """
    receivers = np.count_nonzero(packets)
    again = 0
    lacking = int(packets.max())
    before = 1.0
    turn = 0
    while lacking:
        turn += 1
        # Probability that some receiver lacks a packet after so many turns.
        after = -np.expm1(receivers * np.log1p(-(loss**turn)))
        lacking = int(draws.binomial(lacking, after / before))
        before = after
        again = again + lacking
    most = max(int(packets.max()), 1)
    share: Floats = packets / most
    return np.rint(again * share).astype(np.int64)
