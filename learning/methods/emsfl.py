"""EMS-FL: expert-driven model splitting and asynchronous federated tuning (Algorithms 1 to 3)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from learning.assignment import assign_experts, assignment_probability
from learning.cluster_side import ClusterSide
from learning.method import Cluster, Method, Protocol, World
from learning.requests import (
    Assign,
    Chain,
    Cost,
    Download,
    Floats,
    Measure,
    NextContact,
    Note,
    Payload,
    Request,
    Train,
    TrainUntilContact,
    Upload,
)
from learning.streams import stream
from learning.values import Handle


@dataclass(frozen=True)
class EmsFlOptions:
    """``threshold``: relevance below which an expert does not count for a cluster, eq. (32)."""

    threshold: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold: {self.threshold} should lie in 0 to 1")


class EmsFl(Method):
    """Standard EMS-FL: each cluster trains its own experts all the time, the gate when connected.

    Server state: the model, and the cluster that owns each expert. Two clusters never own the
    same one, so that uploads never compete.
    """

    Options: ClassVar[type] = EmsFlOptions

    def __init__(self, world: World, options: EmsFlOptions | None = None) -> None:
        super().__init__(world, options)
        self.experts = list(range(self.learner.architecture.experts))
        self.server = self.learner.start()
        self.owner = np.zeros(len(self.experts), np.int64)

    def prepare(self) -> Protocol:
        """Algorithm 1, on the trial data that the clusters shared beforehand."""
        relevance = yield from self.measure_relevance()
        self.owner = assign_experts(
            relevance, self.options.threshold, stream(self.world.seed, "assign")
        )
        yield self.assignment(relevance)

    def conclude(self) -> Protocol:
        """Measure the relevance once more: what training did to the gate's own mass."""
        relevance = yield from self.measure_relevance()
        yield self.assignment(relevance)

    def cluster(self, me: Cluster) -> Protocol:
        """Algorithm 2, cluster side and server side of each contact."""
        side = ClusterSide(self.learner, me)
        mine = np.flatnonzero(self.owner == me.index).tolist()
        masked = not self.tunes_gate(cycle=0)
        # The start model and E_c are on the devices before time begins: it is what is tuned.
        side.provide(self.server, mine if masked else self.experts)
        while True:
            if mine:
                work, contact = yield TrainUntilContact(self.cost(mine, masked), side.complete)
                side.train(work, mine, masked=masked)
            else:
                contact = yield NextContact()
            if contact is None:
                return
            yield from self.upload_experts(me, side, mine)
            masked = not self.tunes_gate(contact.cycle)
            if masked:
                yield from self.refresh(side, mine)
            else:
                yield from self.tune(me, side, mine)

    def upload_experts(self, me: Cluster, side: ClusterSide, mine: Sequence[int]) -> Protocol:
        """Upload E_c and aggregate it, equation (35)."""
        if mine:
            side.offer(mine)
        if not side.pending.any():
            return
        receipt = yield Upload(side.payload(_named("experts", mine)), side.pending)
        done = side.deliver(receipt)
        if not done.any():
            return
        stale = side.staleness(self.version, done)
        self.server = side.merge(self.server, done)
        self.version += 1
        devices = f"devices:{int(done.sum())}/{me.devices}"
        yield Note("aggregate", self.version, f"{_named('experts', mine)} {devices} {stale}")

    def tune(self, me: Cluster, side: ClusterSide, mine: Sequence[int]) -> Protocol:
        """Download the whole model, train E_c and the gate, upload and aggregate the gate (36)."""
        model = side.download("model", self.server, self.version, self.experts)
        size = self.learner.architecture.upload_bytes([], gate=True)
        gate = Payload("gate", size, model.payload.version)
        cost = self.learner.round_cost(mine, self.experts, gate=True)
        down, work, up = yield Chain((model, Train(cost), Upload(gate, carry=False)))
        side.receive(down)
        side.train(work, mine, gate=True)
        trained = work.rounds > 0
        done = up.done & trained
        if done.any():
            self.server = side.merge_gate(self.server, done)
            self.version += 1
            yield Note("aggregate", self.version, f"gate devices:{int(done.sum())}/{me.devices}")
        elif not work.excluded.all():
            why = up.reason if trained.any() else down.reason
            yield Note("fault", self.version, f"gate lost: {why or 'no round ended'}")
        back = yield Download(Payload("gate", size, self.version), carry=False)
        side.receive_gate(self.server, back.done)

    def refresh(self, side: ClusterSide, mine: Sequence[int]) -> Protocol:
        """Download the cluster's own aggregated experts, and train them (Algorithm 3)."""
        if not mine:
            return
        name = _named("experts", mine)
        experts = side.download(name, self.server, self.version, mine, gate=False)
        down, work = yield Chain((experts, Train(self.cost(mine, masked=True))))
        side.receive(down)
        side.train(work, mine, masked=True)

    def tunes_gate(self, cycle: int) -> bool:
        """Return whether contacts in this cycle tune the gate: always, in standard EMS-FL."""
        return True

    def cost(self, mine: Sequence[int], masked: bool) -> Cost:
        """Cost of one round on E_c; under the mask only E_c is loaded."""
        return self.learner.round_cost(mine, mine if masked else self.experts, gate=False)

    def measure_relevance(self) -> Generator[Request, Any, Floats]:
        """Relevance of every expert for every cluster (29), shape (C, E)."""
        default = paired_relevance(
            len(self.world.clusters), len(self.experts), self.learner.architecture.top_k
        )
        server = self.server
        measured = yield Measure(
            "relevance", lambda: self.learner.relevance(server), default.tolist()
        )
        return np.asarray(measured)

    def assignment(self, relevance: Floats) -> Assign:
        """Describe who owns which expert, with the probabilities of equation (33)."""
        probability = assignment_probability(relevance, self.options.threshold)
        return Assign(relevance, probability, self.owner)

    def model(self) -> Handle:
        """Return the model at the satellite."""
        return self.server


class EnhancedEmsFl(EmsFl):
    """Enhanced EMS-FL (Algorithm 3): a masked gate, only E_c in memory, the gate tuned at the end.

    In the last ``learning.gate_tuning_cycles`` cycles it goes on as standard EMS-FL.
    """

    def tunes_gate(self, cycle: int) -> bool:
        """Return whether the cycle is one of the last."""
        return cycle >= self.world.cycles - self.world.gate_tuning_cycles


def paired_relevance(clusters: int, experts: int, top_k: int) -> Floats:
    """Relevance (C, E) for a timing-only run, which measures none: paired in turn, rows sum to K.

    Expert e is at home in cluster e mod C, and cluster c with expert c mod E.
    """
    c, e = np.ogrid[:clusters, :experts]
    home = (e % clusters == c) | (c % experts == e)
    homes = home.sum(axis=1, keepdims=True)
    at_home = np.minimum(1.0, top_k / homes)
    elsewhere = (top_k - at_home * homes) / np.maximum(experts - homes, 1)
    relevance: Floats = np.where(home, at_home, elsewhere)
    return relevance


def _named(kind: str, experts: Sequence[int]) -> str:
    return f"{kind}:{','.join(map(str, experts))}"
