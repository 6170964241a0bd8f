"""Stage 3 of NMoE (arXiv 2511.01743): the exchange before it, and the steps of gate trainers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from learning.clients.updates import finite
from learning.methods.base import Protocol
from learning.nmoe.options import GATE_TENSORS
from learning.nmoe.system import Networked
from learning.requests.cluster import Cluster, Cost, Train, Work
from learning.requests.payload import Payload
from learning.requests.peers import Node
from learning.requests.request import Request
from learning.values.lazy import Handle
from statements.arrays import Ints, Mask


class Exchange:
    """The exchange for the clients ``learners``, which will train a gate on all experts' outputs.

    Either the experts are sent to these clients, or their features to the experts and the outputs
    back, through the satellite. Labels and samples stay with their client. ``wanted`` are the
    clients whose expert another client needs.
    """

    def __init__(self, system: Networked, learners: Collection[Node]) -> None:
        self.system = system
        self.learners = frozenset(learners)
        self.holders = system.clients.holders
        samples = {node: int(system.samples[node.cluster][node.device]) for node in self.learners}
        self.samples = sum(samples.values())
        self.asked = {node: self.samples - samples.get(node, 0) for node in self.holders}
        self.wanted = [node for node in self.holders if self.learners - {node}]

    def cluster(self, me: Cluster) -> Protocol:
        """Exchange experts or features: what the scenario asks for, or what takes fewer bytes."""
        system = self.system
        sizes = self.system.sizes
        others = len(self.holders) - 1
        wanted, mine = (system.clients.mask(me.name, n) for n in (self.wanted, self.learners))
        if self.of_experts:
            yield from system.round_trip(me, wanted, up=Payload("expert", sizes.expert_bytes))
            yield from system.meet("experts")
            down = Payload("experts", others * sizes.expert_bytes)
            yield from system.round_trip(me, mine & (others > 0), down=down)
            return
        # Features up and down to all experts; outputs up and down to the owners of the samples.
        own = system.samples[me.name].astype(float)
        asked = np.array([self.asked.get(node, 0) for node in system.clients.of(me.name)])
        up = Payload("features", own * sizes.feature_bytes)
        yield from system.round_trip(me, mine & (others > 0), up=up)
        yield from system.meet("features")
        down = Payload("features", asked * sizes.feature_bytes)
        yield from system.round_trip(me, asked > 0, down=down)
        yield from system.compute(me, asked * sizes.forward_flops(sizes.expert))
        up = Payload("outputs", asked * sizes.output_bytes)
        yield from system.round_trip(me, asked > 0, up=up)
        yield from system.meet("outputs")
        down = Payload("outputs", own * others * sizes.output_bytes)
        yield from system.round_trip(me, mine & (others > 0), down=down, personal=True)

    @property
    def of_experts(self) -> bool:
        """Whether experts are exchanged rather than features.

        Experts go up, and all others' down to each learner. Features go up and down to all other
        experts, and outputs up and down.
        """
        wanted = self.system.options.exchange
        sizes = self.system.sizes
        if wanted != "auto":
            return bool(wanted == "experts")
        others = len(self.holders) - 1
        asked = sum(self.asked.values())
        experts = len(self.wanted) + len(self.learners) * others
        features = (self.samples + asked) * sizes.feature_bytes
        outputs = (asked + self.samples * others) * sizes.output_bytes
        return bool(experts * sizes.expert_bytes <= features + outputs)


class GateTrainer(ABC):
    """Trains the gates; ``learning.options.gate`` names which one does.

    ``system`` is the method, and ``system.gates`` are the gates that clients hold, stacked
    (K, ...), by cluster; extractor and experts are frozen. One object serves all clusters: they
    share its attributes, which may change between yields only.

    ``routing`` is how clients choose experts: by their ``gate``, at ``random``, or ``local`` (their
    own expert only). With ``trains_everything`` stages 1 and 2 are skipped: this trainer replaces
    them. ``names`` are the tensors of a gate that leave the client.
    """

    routing: ClassVar[str] = "gate"
    trains_everything: ClassVar[bool] = False
    names: tuple[str, ...] = GATE_TENSORS

    def __init__(self, system: Networked) -> None:
        self.system = system
        self.options = system.options
        self.rounds: dict[str, Ints] = {}
        self.contacts: dict[str, Ints] = {}
        self.knowledge: dict[str, Handle] = {}
        self._exchange: Exchange | None = None
        self._published: dict[str, Handle] | None = None

    @abstractmethod
    def train(self, me: Cluster) -> Protocol:
        """Train the gates of one cluster's clients, in parallel with the other clusters."""

    def learners(self) -> Sequence[Node]:
        """Clients that train a gate: they need the outputs of all experts on their samples."""
        return self.system.clients.able_nodes

    def cluster(self, me: Cluster) -> Protocol:
        """Stage 3 of one cluster: the exchange, then :meth:`train`.

        A client whose gate is not finite in the end gets the gate as it was drawn.
        """
        system = self.system
        if self._exchange is None:
            self._exchange = Exchange(system, self.learners())
        yield from self._exchange.cluster(me)
        self.knowledge[me.name] = system.learner.make(
            "learning.nmoe.training.experts:knowledge",
            system.features(me.name),
            *system.all_experts(),
        )
        self.rounds[me.name] = np.zeros(me.devices, np.int64)
        drawn = self.spread(system.learner.make("learning.nmoe.training.gates:start_gate"), me.name)
        system.gates[me.name] = drawn
        yield from self.train(me)
        everybody = system.clients.everybody(me.name)
        gates = system.gates[me.name]
        sound = yield from finite(system.learner, gates, everybody)
        system.gates[me.name] = self.kept(sound, everybody, gates, drawn)

    # -- steps to write train() with

    def take_time(self, me: Cluster, who: Mask) -> Generator[Request, Work, Ints]:
        """Spend the time of local rounds at clients in ``who``; return the rounds granted (K,)."""
        done = yield Train(self.cost(me), who=who)
        self.system.clients.exclude(me.name, done.excluded & who)
        return done.rounds

    def round(self, me: Cluster, who: Mask) -> Generator[Request, Any, Mask]:
        """Clients in ``who`` (K,) train their gates, and send them to the satellite.

        Returns whose gates (K,) are there, and finite.
        """
        done = yield from self.system.round_trip(me, who, cost=self.cost(me), up=self.up())
        self.contacts[me.name] = done.contact_id
        return (yield from self.count(me, done.rounds))

    def count(self, me: Cluster, rounds: Ints) -> Generator[Request, Any, Mask]:
        """Train the gates for ``rounds`` (K,) granted by the clock; return who (K,) has a new one.

        A gate that is not finite is refused: its client keeps its previous gate.
        """
        gates = self.system.gates
        who = rounds > 0
        trained = self.trained(me, gates[me.name], rounds)
        sound = yield from finite(self.system.learner, trained, who)
        gates[me.name] = self.kept(sound, who, trained, gates[me.name])
        return sound

    def kept(self, sound: Mask, who: Mask, gates: Handle, before: Handle) -> Handle:
        """Return ``gates`` (K, ...), but ``before`` of those in ``who`` that are not ``sound``."""
        refused = who & ~sound
        return self.system.learner.select(~refused, gates, before) if refused.any() else gates

    def trained(self, me: Cluster, gates: Handle, rounds: Ints) -> Handle:
        """Return ``gates`` (K, ...) after ``rounds`` (K,) more, over all experts that are held."""
        before = self.rounds[me.name]
        self.rounds[me.name] = before + rounds
        if not rounds.any():
            return gates
        return self.system.learner.make(
            "learning.nmoe.training.gates:train_gates",
            gates,
            self.knowledge[me.name],
            cluster=me.name,
            rounds=rounds,
            first_round=before,
            reach=self.system.clients.with_expert,
        )

    def gate_of(self, client: Node) -> Handle:
        """Return the gate of one client."""
        held = self.system.gates[client.cluster]
        return self.system.learner.make(
            "learning.nmoe.training.gates:take_gate", held, device=client.device
        )

    def spread(self, gate: Handle, cluster: str) -> Handle:
        """Return one gate as all K devices of ``cluster`` hold it, (K, ...)."""
        return self.system.learner.make(
            "learning.nmoe.training.gates:spread", gate, cluster=cluster
        )

    def shared(self, who: Mapping[str, Mask]) -> dict[str, Handle]:
        """Return all gates, by cluster, with ``names`` averaged over clients in ``who`` by samples.

        Other tensors stay each client's own.
        """
        make = self.system.learner.make
        gates = self.system.in_order(self.system.gates)
        how = {"clusters": list(gates), "who": [who[name] for name in gates]}
        mean = make(
            "learning.training.aggregation:average", *gates.values(), **how, names=self.names
        )
        return {
            name: make("learning.nmoe.training.gates:with_mean", own, mean)
            for name, own in gates.items()
        }

    def download(self, me: Cluster, who: Mask, gates: Mapping[str, Handle]) -> Protocol:
        """Clients in ``who`` (K,) download ``gates``; the whole cluster holds them from then on."""
        yield from self.system.round_trip(me, who, down=self.payload())
        self.system.gates[me.name] = gates[me.name]

    def publish(self, me: Cluster, source: Node) -> Protocol:
        """Send the gate of one client to the satellite and from there to all others."""
        mine = self.system.clients.mask(me.name, [source])
        yield from self.system.round_trip(me, mine, up=self.up())
        if mine.any():
            yield self.system.aggregated_here("gate", f"client:{source}")
        yield from self.system.meet("gate published")
        if self._published is None:
            gate = self.gate_of(source)
            clusters = self.system.world.clusters
            self._published = {c.name: self.spread(gate, c.name) for c in clusters}
        yield from self.download(me, ~mine, self._published)

    def cost(self, me: Cluster) -> Cost:
        """Cost of a local round of the clients (K,); they hold all experts that were exchanged."""
        system = self.system
        exchange = self._exchange
        everyone = exchange is not None and exchange.of_experts
        experts = len(system.clients.holders) if everyone else 1
        return system.sizes.gate_round(system.samples[me.name], experts)

    def payload(self) -> Payload:
        """What is sent of a gate to a client."""
        sizes = self.system.sizes
        return Payload("gate", sizes.kept_bytes(sizes.gate_part(self.names)), self.system.version)

    def up(self) -> Payload:
        """What is sent of a gate to the satellite."""
        return self.system.upload("gate", self.system.sizes.gate_part(self.names))
