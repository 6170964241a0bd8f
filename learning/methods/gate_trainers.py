"""The gate trainers of NMoE, FedGate, RollGate and RanGate, and the baselines without a gate."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from learning.gates import GateTrainer
from learning.method import Cluster, Protocol
from learning.methods.networked_base import Networked
from learning.peering import Node
from learning.requests import Mask
from learning.streams import stream
from learning.values import Handle


class FedGate(GateTrainer):
    """Federated averaging of the gates: ``gate_rounds`` rounds of all clients in parallel.

    A round is local training, upload, the mean by samples, and download. With ``gate_sync`` only
    that part of the gate is sent and averaged, and the rest stays each client's own.
    """

    def __init__(self, system: Networked) -> None:
        super().__init__(system)
        self.averaged: dict[str, Handle] = {}
        self.sent: dict[str, Mask] = {}

    def train(self, me: Cluster) -> Protocol:
        """Take part in every round."""
        for number in range(self.options.gate_rounds):
            self.sent[me.name] = yield from self.round(me, self.able(me))
            yield from self.meet(f"round {number}")
            yield from self.average()
            if self.averaged:
                yield from self.download(me, self.everybody(me), self.averaged)

    def average(self) -> Protocol:
        """Average what has been sent, once: the first of those that met does it."""
        sent, self.sent = self.sent, {}
        if any(who.any() for who in sent.values()):
            self.averaged = self.system.net.share_gates(self.system.gates, sent, self.names)
            yield self.system.aggregated_here("gate", self.system.counted(sent))

    @property
    def names(self) -> tuple[str, ...]:
        """Tensors of a gate that are averaged."""
        names: tuple[str, ...] = self.options.synchronised
        return names


class RollGate(GateTrainer):
    """One gate that is passed from client to client; each trains it on its own data.

    ``gate_rounds`` passes over all clients, in canonical order or in one drawn for each pass. A
    client that cannot be reached is left out of that pass. The last one sends the gate to the
    satellite, and all get it from there.
    """

    def __init__(self, system: Networked) -> None:
        super().__init__(system)
        self.holder: Node | None = None
        self.rolling = system.net.start_gate()

    def train(self, me: Cluster) -> Protocol:
        """Pass the gate on whenever one of the cluster's clients holds it."""
        for number, target in enumerate(self.order):
            yield from self.pass_on(me, target)
            yield from self.meet(f"pass {number}")
            if self.holder == target and target.cluster == me.name:
                yield from self.train_at(me, target)
        if self.holder is not None:
            yield from self.publish(me, self.holder)

    @cached_property
    def order(self) -> tuple[Node, ...]:
        """Every stop of the gate, pass by pass."""
        nodes = self.learners()
        passes = range(self.options.gate_rounds)
        if self.options.gate_order == "fixed":
            return tuple(node for _ in passes for node in nodes)
        draws = (stream(self.system.world.seed, "gate", "order", number) for number in passes)
        return tuple(nodes[place] for draw in draws for place in draw.permutation(len(nodes)))

    def pass_on(self, me: Cluster, target: Node) -> Protocol:
        """Send the gate to ``target``, if one of the cluster's clients holds it."""
        if self.holder is None:
            self.holder = target
        if self.holder.cluster == me.name and self.holder != target:
            there = yield from self.send(self.holder, target)
            self.holder = target if there else self.holder

    def train_at(self, me: Cluster, holder: Node) -> Protocol:
        """Train the gate on the data of the client that holds it; refuse a broken one."""
        system, mine = self.system, self.system.clients.mask(me.name, [holder])
        rounds = yield from self.take_time(me, mine)
        gates = self.trained(me, system.net.spread(self.rolling, me.name), rounds)
        fine = yield from system.finite(gates, mine)
        if fine.any():
            system.gates[me.name] = system.learner.select(mine, gates, system.gates[me.name])
            self.rolling = system.net.take_gate(system.gates, holder)


class RanGate(GateTrainer):
    """One client, drawn uniformly, trains the gate on its own data and sends it to all others."""

    def train(self, me: Cluster) -> Protocol:
        """Train ``gate_rounds`` times if one of the cluster's clients was drawn."""
        chosen = self.chosen
        if chosen is None:
            return
        mine = self.system.clients.mask(me.name, [chosen])
        for _ in range(self.options.gate_rounds if mine.any() else 0):
            yield from self.local(me, mine)
        yield from self.publish(me, chosen)

    def learners(self) -> tuple[Node, ...]:
        """The one client that trains."""
        return () if self.chosen is None else (self.chosen,)

    @cached_property
    def chosen(self) -> Node | None:
        """A client out of those that can train a gate; None without any."""
        nodes = self.system.clients.able_nodes
        draw = stream(self.system.world.seed, "gate", "client")
        return nodes[int(draw.integers(len(nodes)))] if nodes else None


class LocalExperts(GateTrainer):
    """The local classifier: every client answers by its own expert; nothing is sent."""

    way: ClassVar[str] = "local"

    def cluster(self, me: Cluster) -> Protocol:
        """Exchange nothing."""
        yield from self.train(me)

    def train(self, me: Cluster) -> Protocol:
        """Train nothing."""
        yield from ()


class RandomRouting(LocalExperts):
    """Experts drawn uniformly for every sample: the other reading of RanGate; nothing to train."""

    way: ClassVar[str] = "random"
