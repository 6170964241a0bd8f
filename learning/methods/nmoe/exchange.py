"""What gates are trained on: every expert's outputs on every training client's samples.

The labels, and the samples themselves, stay with their client. Everything goes through the
satellite: the experts to the clients that train a gate, or those clients' features to the experts
and the outputs back.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.clients.round_trip import RoundTrip
from learning.methods.base import Protocol
from learning.methods.nmoe.system import Networked
from learning.requests.cluster import Cluster, Mask
from learning.requests.payload import Payload
from learning.requests.peers import Node


class Exchange:
    """The exchange for the clients ``learners`` that will train a gate."""

    def __init__(self, system: Networked, learners: Collection[Node]) -> None:
        self.system = system
        self.learners = frozenset(learners)
        self.holders = system.clients.holders
        taught = {node: self._samples(node) for node in self.learners}
        self.taught = sum(taught.values())
        self.asked = {node: self.taught - taught.get(node, 0) for node in self.holders}

    def cluster(self, me: Cluster) -> Protocol:
        """Exchange experts or features, whichever the scenario says or is fewer bytes."""
        if self.way == "experts":
            yield from self._exchange_experts(me)
        else:
            yield from self._exchange_features(me)

    @property
    def way(self) -> str:
        """``experts`` or ``features``."""
        said: str = self.system.options.exchange
        if said != "auto":
            return said
        return "experts" if self.experts_bytes <= self.features_bytes else "features"

    @property
    def experts_bytes(self) -> float:
        """Bytes of all experts up, and of the others' experts down to each learner."""
        numbers = len(self._wanted) + len(self.learners) * (len(self.holders) - 1)
        return numbers * self.system.sizes.expert_bytes

    @property
    def features_bytes(self) -> float:
        """Bytes of features up and down to every other expert, and of outputs up and back down."""
        sizes, asked = self.system.sizes, sum(self.asked.values())
        features = (self.taught + asked) * sizes.feature_bytes
        outputs = (asked + self.taught * (len(self.holders) - 1)) * sizes.output_bytes
        return features + outputs

    @property
    def _wanted(self) -> frozenset[Node]:
        """Clients whose expert somebody else needs."""
        return frozenset(node for node in self.holders if self.learners - {node})

    def _exchange_experts(self, me: Cluster) -> Protocol:
        system, sizes = self.system, self.system.sizes
        up, others = Payload("expert", sizes.expert_bytes), len(self.holders) - 1
        yield from system.turn(me, RoundTrip(up=up), self._mask(me, self._wanted))
        yield from system.meet("experts")
        down = Payload("experts", others * sizes.expert_bytes)
        yield from system.turn(
            me, RoundTrip(down=down), self._mask(me, self.learners) & (others > 0)
        )

    def _exchange_features(self, me: Cluster) -> Protocol:
        """Features up, to all experts, their outputs up, and back to whose samples they are."""
        system, sizes = self.system, self.system.sizes
        mine, own = self._mask(me, self.learners), system.samples[me.name]
        asked = np.array([self.asked.get(node, 0) for node in system.clients.of(me.name)])
        others = len(self.holders) - 1
        up = _payload("features", own * sizes.feature_bytes)
        yield from system.turn(me, RoundTrip(up=up), mine & (others > 0))
        yield from system.meet("features")
        down = _payload("features", asked * sizes.feature_bytes)
        yield from system.turn(me, RoundTrip(down=down), asked > 0)
        yield from system.compute(me, asked * sizes.expert_flops)
        up = _payload("outputs", asked * sizes.output_bytes)
        yield from system.turn(me, RoundTrip(up=up), asked > 0)
        yield from system.meet("outputs")
        down = _payload("outputs", own * others * sizes.output_bytes)
        yield from system.turn(me, RoundTrip(down=down, personal=True), mine & (others > 0))

    def _samples(self, node: Node) -> int:
        return int(self.system.samples[node.cluster][node.device])

    def _mask(self, me: Cluster, nodes: Collection[Node]) -> Mask:
        return self.system.clients.mask(me.name, nodes)


def _payload(name: str, size: NDArray[Any]) -> Payload:
    return Payload(name, np.asarray(size, float))
