"""The clients of networked experts: all devices of all clusters; client i holds expert i."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from learning.experts import ExpertRegistry
from learning.method import Cluster
from learning.peering import Node
from learning.policies import Problem
from learning.policies.identity import identity
from learning.requests import Ints, Mask
from learning.streams import stream


class Clients:
    """The N clients in canonical order, and who of them holds an expert.

    ``able`` (K,) by cluster are those that have the memory for the training that goes on: the
    others take no part in it. Who is able when experts are handed out gets the own one, and keeps
    it when the memory does not suffice for a gate later on. Who holds none asks the others.
    """

    def __init__(self, clusters: Sequence[Cluster], registry: ExpertRegistry) -> None:
        self.clusters = tuple(clusters)
        self.registry = registry
        self.nodes = tuple(Node(c.name, device) for c in clusters for device in range(c.devices))
        self.able = {c.name: np.ones(c.devices, bool) for c in clusters}
        self._numbers = {node: number for number, node in enumerate(self.nodes)}

    def hand_out(self, seed: int) -> None:
        """Give every able client the expert of its own number, and room for no other."""
        room = np.concatenate([self.able[c.name] for c in self.clusters]).astype(np.int64)
        problem = Problem(np.zeros((len(self.nodes), len(self.registry.changes))), room)
        self.registry.hand_out(identity(problem, stream(seed, "assign")))

    def trained(self, cluster: str, rounds: Ints, finite: Mask) -> None:
        """Count what has become of a cluster's experts; who has got none that works loses it."""
        for node, count, works in zip(self.of(cluster), rounds, finite, strict=True):
            expert = self.number(node)
            if not works:
                self.registry.release(expert, [expert])
            elif count:
                self.registry.changed([expert])

    def number(self, node: Node) -> int:
        """Return the client's place in canonical order, which is its expert's index."""
        return self._numbers[node]

    def own(self, node: Node) -> int | None:
        """Return the expert that a client holds; None for one without."""
        number = self.number(node)
        return number if self.with_expert[number] else None

    def of(self, cluster: str) -> tuple[Node, ...]:
        """Return a cluster's clients."""
        return tuple(node for node in self.nodes if node.cluster == cluster)

    def everybody(self, cluster: str) -> Mask:
        """Return a mask (K,) of all."""
        return np.ones_like(self.able[cluster])

    def mask(self, cluster: str, nodes: Collection[Node]) -> Mask:
        """Return a mask (K,) of those among ``nodes``."""
        return np.array([node in nodes for node in self.of(cluster)], bool)

    def exclude(self, cluster: str, who: Mask) -> None:
        """Let ``who`` (K,) take no part in training from now on."""
        self.able[cluster] = self.able[cluster] & ~who

    @property
    def able_nodes(self) -> tuple[Node, ...]:
        """Those that take part in training."""
        return tuple(node for node in self.nodes if self.able[node.cluster][node.device])

    @property
    def holders(self) -> tuple[Node, ...]:
        """Those that hold an expert."""
        return tuple(n for n, has in zip(self.nodes, self.with_expert, strict=True) if has)

    @property
    def with_expert(self) -> Mask:
        """Experts (N,) that can be asked; none before they are handed out."""
        return np.asarray(self.registry.holders.any(axis=0), bool)

    def reach(self, cluster: str) -> Mask:
        """Experts (K, N) that each client of ``cluster`` may be answered by, links apart."""
        return np.tile(self.with_expert, (len(self.able[cluster]), 1))
