"""Gate trainers of NMoE (arXiv 2511.01743): FedGate, RollGate, RanGate, and baselines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar, get_args

import numpy as np

from learning.architecture.kinds import input_spec
from learning.methods.base import Protocol
from learning.nmoe.gates import GateTrainer
from learning.nmoe.options import GATE_TENSORS, Gate
from learning.nmoe.system import Networked
from learning.requests.cluster import Cluster, Measure
from learning.requests.facts import Cause, Note
from learning.requests.payload import Payload
from learning.requests.peers import Node, Send
from learning.rng import stream
from learning.values.lazy import Handle
from statements.arrays import Mask


class FedGate(GateTrainer):
    """Federated averaging of the gates: ``gate_rounds`` rounds of all clients in parallel.

    A round is local training, upload, the mean by samples, and download. With ``gate_sync`` only
    that tensor of the gate is sent and averaged; the other stays each client's own.
    """

    def __init__(self, system: Networked) -> None:
        super().__init__(system)
        self.averaged: dict[str, Handle] = {}
        self.sent: dict[str, Mask] = {}
        sync = self.options.gate_sync
        self.names = GATE_TENSORS if sync == "all" else (sync,)

    def train(self, me: Cluster) -> Protocol:
        """Run all rounds for one cluster."""
        for number in range(self.options.gate_rounds):
            self.sent[me.name] = yield from self.round(me, self.system.clients.able[me.name])
            yield from self.system.meet(f"gate round {number}")
            sent, self.sent = self.sent, {}  # the first cluster after the barrier averages for all
            if any(who.any() for who in sent.values()):
                self.averaged = self.shared(sent)
                yield from self.system.averaged("gate", sent, self.contacts, weighted=True)
            if self.averaged:
                yield from self.download(me, self.system.clients.everybody(me.name), self.averaged)


class RollGate(GateTrainer):
    """One gate is passed from client to client; each trains it on its own data.

    ``gate_rounds`` passes over all clients, in canonical order. A client that cannot be reached is
    skipped in that pass. The last client sends the gate to the satellite, from which all others
    download it.
    """

    def __init__(self, system: Networked) -> None:
        super().__init__(system)
        self.holder: Node | None = None
        self.rolling = system.learner.make("learning.nmoe.training.gates:start_gate")

    def train(self, me: Cluster) -> Protocol:
        """Pass the gate on whenever a client of the cluster holds it.

        It trains on the data of each holder; one that is not finite then is refused.
        """
        for number, target in enumerate(self.order):
            if self.holder is None:
                self.holder = target
            if self.holder.cluster == me.name and self.holder != target:
                arrival = yield Send(self.holder, target, self.payload())
                self.holder = target if arrival.delivered else self.holder
            yield from self.system.meet(f"gate pass {number}")
            if self.holder == target and target.cluster == me.name:
                held = self.system.gates
                mine = self.system.clients.mask(me.name, [target])
                rounds = yield from self.take_time(me, mine)
                rolling = self.spread(self.rolling, me.name)
                held[me.name] = self.system.learner.select(mine, rolling, held[me.name])
                yield from self.count(me, rounds)
                self.rolling = self.gate_of(target)
        if self.holder is not None:
            yield from self.publish(me, self.holder)

    @cached_property
    def order(self) -> tuple[Node, ...]:
        """The clients that the gate visits, pass by pass."""
        nodes = self.learners()
        return tuple(nodes) * self.options.gate_rounds


class RanGate(GateTrainer):
    """One client, drawn uniformly, trains the gate on its own data and sends it to all others."""

    def train(self, me: Cluster) -> Protocol:
        """Train ``gate_rounds`` times in the cluster of the client that was drawn."""
        chosen = self.chosen
        if chosen is None:
            return
        mine = self.system.clients.mask(me.name, [chosen])
        for _ in range(self.options.gate_rounds if mine.any() else 0):
            yield from self.count(me, (yield from self.take_time(me, mine)))
        yield from self.publish(me, chosen)

    def learners(self) -> tuple[Node, ...]:
        """The client that trains."""
        return () if self.chosen is None else (self.chosen,)

    @cached_property
    def chosen(self) -> Node | None:
        """A random client out of those that can train a gate; None if there is none."""
        nodes = self.system.clients.able_nodes
        draw = stream(self.system.world.seed, "gate", "client")
        return nodes[int(draw.integers(len(nodes)))] if nodes else None


class LocalExperts(GateTrainer):
    """The local classifier: every client answers with its own expert; nothing is sent."""

    routing: ClassVar[str] = "local"

    def train(self, me: Cluster) -> Protocol:
        """Train nothing."""
        yield from ()

    cluster = train  # nothing is exchanged


class RandomRouting(LocalExperts):
    """Experts are drawn uniformly per sample: the other reading of RanGate; nothing is trained."""

    routing: ClassVar[str] = "random"


# The centralised baseline: all samples go to the satellite, which trains everything.


LABEL_BYTES = 1


class Central(GateTrainer):
    """The baseline without privacy, which replaces all three stages.

    Clients upload their raw samples: a byte per pixel (other features in the format of weights) and
    a byte for the label. The server trains extractor, experts and gate jointly, for as many rounds
    as the three stages have together, in no simulated time. Client i then downloads the extractor,
    the gate and expert i. A mixture that is not finite is refused: no client holds an expert.
    """

    trains_everything: ClassVar[bool] = True

    def __init__(self, system: Networked) -> None:
        super().__init__(system)
        self.done = False

    def cluster(self, me: Cluster) -> Protocol:
        """Upload the samples, wait for those of all clusters, and download what was trained."""
        system = self.system
        everybody = system.clients.everybody(me.name)
        sizes = system.sizes
        spec = input_spec(system.learner.config)
        number = 1 if spec.form == "image" else sizes.native_bytes
        sample_bytes = math.prod(spec.shape) * number + LABEL_BYTES
        up = Payload("samples", np.asarray(system.samples[me.name] * sample_bytes, float))
        yield from system.round_trip(me, everybody, up=up)
        yield from system.meet("samples")
        yield from self.train(me)
        if not system.clients.with_expert.any():
            return
        shared = Payload("extractor", sizes.kept_bytes(sizes.extractor, sizes.gate), 1)
        yield from system.round_trip(me, everybody, down=shared)
        own = Payload("expert", sizes.expert_bytes, 1)
        yield from system.round_trip(me, everybody, down=own, personal=True)

    def train(self, me: Cluster) -> Protocol:
        """Train at the server; the first cluster after the barrier does it for all."""
        system = self.system
        options = self.options
        if self.done:
            return
        self.done = True
        rounds = options.extractor_rounds + options.expert_rounds + options.gate_rounds
        make = system.learner.make
        number = system.learner.number
        whole = make("learning.nmoe.training.gates:central", rounds=rounds)
        finite = Measure(
            "finite", lambda: number("learning.training.state:all_finite", whole), default=True
        )
        if not (yield finite):
            what = "the mixture trained at the server is refused: not finite"
            detail = f"{what}; lower learning.step_size"
            yield Note("fault", system.version, detail, cause=Cause.UPDATE_NOT_FINITE)
            system.registry.hand_out(np.zeros_like(system.registry.holders))
            return
        system.server = whole
        gate = make("learning.nmoe.training.gates:central_gate", whole)
        for cluster in system.clients.clusters:
            system.experts[cluster.name] = make(
                "learning.nmoe.training.gates:central_experts", whole, cluster=cluster.name
            )
            system.gates[cluster.name] = self.spread(gate, cluster.name)
        system.registry.changed(range(len(system.clients.nodes)))
        yield system.aggregated_here("model", f"rounds:{rounds} at the server")


GATE_TRAINERS: Mapping[str, type[GateTrainer]] = dict(
    zip(
        get_args(Gate),
        (FedGate, RollGate, RanGate, RandomRouting, LocalExperts, Central),
        strict=True,
    )
)
"""Gate trainers by what ``learning.options.gate`` calls them."""
