"""The exchange before stage 3 of NMoE: a gate is trained on the outputs of all experts.

Either the experts are sent to the clients that train a gate, or the features of those clients to
the experts and the outputs back, through the satellite. Labels and samples stay with their client.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from learning.methods.base import Protocol
from learning.methods.nmoe.system import Networked
from learning.requests.cluster import Cluster
from learning.requests.payload import Payload
from learning.requests.peers import Node


class Exchange:
    """The exchange for the clients ``learners``, which will train a gate.

    ``wanted`` are the clients whose expert another client needs.
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
        if self.of_experts:
            yield from self._exchange_experts(me)
        else:
            yield from self._exchange_features(me)

    @property
    def of_experts(self) -> bool:
        """Whether experts are exchanged rather than features.

        Experts go up, and all others' down to each learner. Features go up and down to all other
        experts, and outputs up and down.
        """
        wanted, sizes = self.system.options.exchange, self.system.sizes
        if wanted != "auto":
            return bool(wanted == "experts")
        others, asked = len(self.holders) - 1, sum(self.asked.values())
        experts = len(self.wanted) + len(self.learners) * others
        features = (self.samples + asked) * sizes.feature_bytes
        outputs = (asked + self.samples * others) * sizes.output_bytes
        return bool(experts * sizes.expert_bytes <= features + outputs)

    def _exchange_experts(self, me: Cluster) -> Protocol:
        system, size = self.system, self.system.sizes.expert_bytes
        wanted, learners = (system.clients.mask(me.name, n) for n in (self.wanted, self.learners))
        yield from system.round_trip(me, wanted, up=Payload("expert", size))
        yield from system.meet("experts")
        others = len(self.holders) - 1
        down = Payload("experts", others * size)
        yield from system.round_trip(me, learners & (others > 0), down=down)

    def _exchange_features(self, me: Cluster) -> Protocol:
        """Features up and down to all experts; outputs up and down to the owners of the samples."""
        system, sizes = self.system, self.system.sizes
        mine = system.clients.mask(me.name, self.learners)
        own = system.samples[me.name].astype(float)
        asked = np.array([self.asked.get(node, 0) for node in system.clients.of(me.name)])
        others = len(self.holders) - 1
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
