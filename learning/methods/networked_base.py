"""What clients and satellite hold while networked experts are trained, and what stages share."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, ClassVar

import numpy as np

from learning.config import LearningConfig
from learning.method import Cluster, Method, Protocol, World
from learning.methods.networked_clients import Clients
from learning.methods.networked_options import NetworkedOptions
from learning.networked.checks import check_networked
from learning.networked.learner import NetworkedLearner
from learning.networked.sizes import sizes_of
from learning.peering import All, Compute, Node
from learning.requests import Cost, Floats, Ints, Mask, Measure, Meet, Note, Request, Train
from learning.rounds import Trained, Turn, take_turn
from learning.snapshots import finite
from learning.values import Handle, Operation

ASSEMBLED = Operation("learning.networked.assembled:assembled")


class Networked(Method):
    """A method whose clients are devices with one expert each, and the satellite their server.

    ``server`` is the shared extractor, ``experts`` and ``gates`` the clients' own, stacked over a
    cluster's devices, by cluster; they are filled as stages end. ``samples`` (K,) by cluster. All
    start weights are drawn from the scenario's seed, which everybody knows: they are never sent.
    """

    Options: ClassVar[type] = NetworkedOptions
    uses_lora: ClassVar[bool] = False
    waits_for_all: ClassVar[bool] = True

    def __init__(self, world: World, options: NetworkedOptions | None = None) -> None:
        super().__init__(world, options)
        said: NetworkedOptions = self.options
        self.net = NetworkedLearner(
            self.learner,
            combine=said.combine,
            estimator=said.estimator,
            radius=said.radius,
            momentum=said.momentum,
            largest_gradient=said.largest_gradient or None,
            extractor_step_size_ratio=said.extractor_step_size_ratio,
        )
        self.sizes = sizes_of(self.learner.config)
        self.clients = Clients(world.clusters, self.registry)
        self.server = self.net.start_extractor(said.loss)
        self.experts: dict[str, Handle] = {}
        self.gates: dict[str, Handle] = {}
        self.samples: dict[str, Ints] = {}
        self.arrivals: dict[str, int] = {}

    @classmethod
    def check(cls, config: LearningConfig) -> None:
        """Raise ValueError for a model that is not made of networked experts, one a device."""
        check_networked(config)

    def prepare(self) -> Protocol:
        """Ask how many samples each client has; a timing-only run takes those of a local round."""
        clusters = self.world.clusters
        default = [[self.sizes.samples] * cluster.devices for cluster in clusters]
        counts = yield Measure("samples", self.net.samples, default)
        pairs = zip(clusters, counts, strict=True)
        self.samples = {cluster.name: np.array(own, np.int64) for cluster, own in pairs}

    def meet(self, key: str) -> Protocol:
        """Wait until all clusters are here."""
        yield Meet(key, len(self.world.clusters))

    def admit(self, me: Cluster, *costs: Cost) -> Protocol:
        """Exclude the clients without the memory for a round of each of ``costs``; takes no time.

        That comes before a stage, so that nobody sends something for what it cannot take part in.
        """
        for cost in costs:
            able = self.clients.able[me.name]
            if able.any():
                asked = yield Train(cost, 0, able)
                self.clients.exclude(me.name, asked.excluded)

    def turn(self, me: Cluster, turn: Turn, who: Mask) -> Generator[Request, None, Trained]:
        """Take clients of a cluster through a turn with the satellite, and exclude who must be."""
        done = yield from take_turn(turn, who)
        self.clients.exclude(me.name, done.excluded)
        return done

    def compute(self, me: Cluster, flops: Floats) -> Protocol:
        """Let the cluster's clients compute ``flops`` (K,) side by side."""
        nodes = zip(self.clients.of(me.name), flops.tolist(), strict=True)
        yield All(tuple(self.computing(node, own) for node, own in nodes if own > 0))

    def computing(self, node: Node, flops: float) -> Generator[Request, float, float]:
        """Let one client compute; return when it has ended, s.

        Where a scenario gives the seconds of a local round, that is a supervised round of the
        extractor, however the extractor is trained: a device is as fast behind every one.
        """
        round_flops = float(self.sizes.extractor_round("ce").flops)
        return (yield Compute(node, flops, round_flops))

    def aggregated_here(self, key: str, detail: str) -> Note:
        """Count a new version of what the satellite holds, and say what it is."""
        self.aggregated(())
        return Note("aggregate", self.version, f"{key} {detail}")

    def finite(self, trained: Handle, who: Mask) -> Generator[Request, Any, Mask]:
        """Return those of ``who`` whose trained tensors are finite; refuse the others by name."""
        return finite(self.learner, trained, who)

    def arrived(self, me: Cluster, trained: Handle, who: Mask) -> Generator[Request, Any, Mask]:
        """Return those of ``who`` whose uploads are finite; refuse the others by name."""
        spoilt = who
        if who.any():
            number = self.arrivals.get(me.name, 0)
            spoilt = self.learner.spoiling.struck(me.name, number, me.devices) & who
            self.arrivals[me.name] = number + 1
        return finite(self.learner, self.learner.spoil(trained, spoilt), who, spoilt)

    def counted(self, who: Mapping[str, Mask]) -> str:
        """Describe how many of the clients have sent something."""
        sent = sum(int(mask.sum()) for mask in who.values())
        return f"clients:{sent}/{len(self.clients.nodes)}"

    def reach(self) -> dict[str, Mask] | None:
        """Experts (K, N) by cluster that may be asked; None where everybody holds one."""
        if self.clients.with_expert.all():
            return None
        return {c.name: self.clients.reach(c.name) for c in self.world.clusters}

    def model(self) -> Handle:
        """Return what there is: the extractor, and the clients' experts and gates."""
        names = [cluster.name for cluster in self.world.clusters]
        if set(self.experts) != set(names):
            return self.server
        gates = [self.gates[name] for name in names] if set(self.gates) == set(names) else []
        experts = [self.experts[name] for name in names]
        return self.learner.make(ASSEMBLED, self.server, *experts, *gates, clusters=names)
