"""What goes wrong on one cluster's link to the satellites, leg by leg of its chains."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from learning import stream
from learning.requests.cluster import Cluster
from learning.requests.payload import Payload
from learning.requests.peers import Node
from sim.devices.faults import Faults
from sim.facts.directions import Way
from sim.links.session_beam import SessionBeam
from statements.arrays import Floats, Ints, Mask


@dataclass(frozen=True, eq=False)
class Sending:
    """What a leg is to send: ``left_bytes`` (K,) of a ``payload`` of those in ``who`` (K,).

    It goes over the session that begins at ``session_s``. What is ``personal`` is not broadcast.
    """

    way: Way
    payload: str
    session_s: float
    who: Mask
    left_bytes: Floats
    personal: bool


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

    def draw(self, asked: Sending, beam: SessionBeam | None) -> LegFaults:
        """Decide which packets of a leg are lost, which uploads are corrupted.

        A leg without a ``beam`` takes no time, and loses nothing.
        """
        held = self._faults
        leg = (self._cluster.name, asked.payload, asked.way, round(asked.session_s))
        number = self._legs[leg]
        self._legs[leg] += 1
        packets = resent = air_share = corrupted = None
        if held.packets is not None and beam is not None:
            loss = held.packets.loss
            draws = stream(held.seed, "packets", *leg, number)
            packets = np.ceil(asked.left_bytes / held.packets.bytes).astype(np.int64)
            together = beam.is_broadcast and not asked.personal
            again = sent_to_all if together else sent_again
            resent = again(draws, np.where(asked.who, packets, 0), loss)
            air_share = packets / np.maximum(packets + resent, 1)
        if held.uploads is not None and asked.way is Way.TO_SERVER:
            draws = stream(held.seed, "uploads", *leg, number)
            # A row for each device, so that the draws of those before a new one stay. The first of
            # its three numbers decides; without the others, old runs would meet other faults.
            refused = draws.random((len(asked.who), 3))[:, 0]
            corrupted = asked.who & (refused < held.uploads.corrupted) & (asked.left_bytes > 0)
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
