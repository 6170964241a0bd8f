"""Faults of a run: outages, churn, stragglers, and what fails on a link.

Presence of devices in closed form.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from learning import stream
from learning.requests.cluster import Cluster
from learning.requests.payload import Payload
from learning.requests.peers import Node
from scenarios.faults import Packets, Uploads
from sim.devices.outages import Intervals, Outages, drawn_spells
from sim.facts.directions import Way
from sim.world.world import World
from statements.arrays import Floats, Ints, Mask


class Presence:
    """K devices that are away during their spells; all in closed form, without a step of time.

    Times may be inf, for a device that is never ready: results for it have no meaning.
    """

    def __init__(self, away: Sequence[Intervals]) -> None:
        self.away = tuple(away)
        most = max((len(spells.begin_s) for spells in away), default=0)
        shape = len(self.away), most + 1
        self._begin_s = np.full(shape, np.inf)
        self._end_s = np.full(shape, np.inf)
        self._lost_s = np.zeros(shape)
        for k, spells in enumerate(self.away):
            count = len(spells.begin_s)
            self._begin_s[k, :count] = spells.begin_s
            self._end_s[k, :count] = spells.end_s
            self._lost_s[k, 1 : count + 1] = np.cumsum(spells.end_s - spells.begin_s)
            self._lost_s[k, count + 1 :] = self._lost_s[k, count]
        self._rows = np.arange(len(self.away))

    def present(self, time_s: Floats) -> Mask:
        """Which devices (K,) are there at their times (K,)."""
        begun = self._begun(time_s)
        return (begun == 0) | (time_s >= self._end_of(begun))

    def leaves_s(self, time_s: Floats) -> Floats:
        """When each device (K,) that is there leaves next; inf for never."""
        return self._begin_s[self._rows, self._begun(time_s)]

    def returns_s(self, time_s: Floats) -> Floats:
        """The times (K,) themselves, or when the devices return that are away then."""
        return np.where(self.present(time_s), time_s, self._end_of(self._begun(time_s)))

    def present_s(self, from_s: Floats, to_s: Floats) -> Floats:
        """Seconds (K,) that the devices are there between two times; 0 where they are reversed."""
        lost_s = self._lost_by_s(to_s) - self._lost_by_s(from_s)
        return np.maximum(to_s - from_s - lost_s, 0.0)

    def after_s(self, from_s: Floats, work_s: Floats) -> Floats:
        """When the devices (K,) have been there for ``work_s`` (K,) since ``from_s``: the first
        such time."""
        worked_s = from_s - self._lost_by_s(from_s) + work_s
        # Time present by each leaving, which those who have worked longer have seen.
        by_leaving_s = np.where(np.isfinite(self._begin_s), self._begin_s - self._lost_s, np.inf)
        seen = np.count_nonzero(by_leaving_s < worked_s[:, None], axis=1)
        return np.maximum(worked_s + self._lost_s[self._rows, seen], from_s)

    def _begun(self, time_s: Floats) -> Ints:
        """How many spells (K,) have begun by the times; of a device that is never ready, none."""
        begun = self._begin_s[:, :-1] <= np.where(np.isfinite(time_s), time_s, -1.0)[:, None]
        return np.count_nonzero(begun, axis=1)

    def _end_of(self, begun: Ints) -> Floats:
        """When the last of so many spells ends (K,)."""
        return self._end_s[self._rows, np.maximum(begun - 1, 0)]

    def _lost_by_s(self, time_s: Floats) -> Floats:
        """Seconds (K,) that the devices have been away by the times."""
        begun = self._begun(time_s)
        rest_s = np.maximum(self._end_of(begun) - time_s, 0.0)
        lost_s = self._lost_s[self._rows, begun] - rest_s
        return np.where(begun > 0, lost_s, 0.0)


@dataclass(frozen=True, eq=False)
class Faults:
    """The faults of one run.

    ``outages`` by name, ``churn`` and ``slowdown`` (K,) of devices by cluster: of those alone to
    whom it happens. ``packets`` and ``uploads`` say what fails on links.
    """

    seed: int
    outages: Outages
    churn: Mapping[str, Presence]
    slowdown: Mapping[str, Floats]
    packets: Packets | None = None
    uploads: Uploads | None = None


def faults_of(
    world: World, clusters: Sequence[Cluster], outages: Outages, span_s: float
) -> Faults | None:
    """Return the faults of a run over ``span_s``; None where nothing can fail.

    ``outages`` are those of :func:`sim.devices.outages.outages_of`.
    """
    kinds = type(world.faults).model_fields
    if not any(getattr(world.faults, kind) for kind in kinds):
        return None
    seed = world.seed
    names = {c.name: [("churn", c.name, k) for k in range(c.devices)] for c in clusters}
    away = {c: drawn_spells("churn", world, each, span_s) for c, each in names.items()}
    return Faults(
        seed=seed,
        outages=outages,
        churn={
            name: Presence(each) for name, each in away.items() if any(len(s.begin_s) for s in each)
        },
        slowdown=slowdown_of(world, clusters),
        packets=world.faults.packets,
        uploads=world.faults.uploads,
    )


def slowdown_of(world: World, clusters: Sequence[Cluster]) -> dict[str, Floats]:
    """Return the factors (K,) by which devices compute slower, for clusters with slow ones."""
    stragglers = world.faults.stragglers
    if stragglers is None:
        return {}
    drawn = {c.name: stream(world.seed, "straggler", c.name).random(c.devices) for c in clusters}
    slow = {
        name: np.where(draw < stragglers.share, stragglers.slowdown, 1.0)
        for name, draw in drawn.items()
    }
    return {name: times for name, times in slow.items() if (times > 1.0).any()}


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
        """Packets of the next message to another satellite, and how many of them are sent again.

        They are the same until :meth:`count` says that such a message is sent.
        """
        held = self._faults
        size = float(payload.bytes)
        if held.packets is None or not size:
            return 1, 0
        name = _name_of(payload, target)
        number = self._messages[name]
        draws = stream(held.seed, "packets between", self._cluster.name, *name, number)
        packets = np.ceil(np.array([size / held.packets.bytes])).astype(np.int64)
        return int(packets[0]), int(sent_again(draws, packets, held.packets.loss)[0])

    def count(self, payload: Payload, target: Node) -> None:
        """Count a message to another satellite that is sent: the next one has other draws."""
        self._messages[_name_of(payload, target)] += 1

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


def _name_of(payload: Payload, target: Node) -> tuple[object, ...]:
    return target.cluster, target.device, payload.name, int(payload.version)


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
