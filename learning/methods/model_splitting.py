"""Expert-driven model splitting (Algorithm 1) in a method, and the handover of experts."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

import numpy as np

from learning.methods.base import NOBODY, ExpertRegistry, Method, Protocol, World
from learning.methods.options import EmsFlOptions
from learning.policies.model_splitting import assignment_probability, expert_classes, expert_driven
from learning.policies.problem import Problem
from learning.requests.cluster import Assign, Floats, Ints, Measure, Request
from learning.rng import stream
from learning.values.lazy import Handle


class SplitsExperts(Method):
    """A method whose clusters train experts of their own, drawn by Algorithm 1."""

    Options: ClassVar[type] = EmsFlOptions
    splits_experts: ClassVar[bool] = True

    def __init__(self, world: World, options: EmsFlOptions | None = None) -> None:
        super().__init__(world, options)
        self.experts = list(range(self.learner.architecture.experts))
        self.server = self.learner.start()
        self.splitting = Splitting(self.registry, len(world.clusters))

    def prepare(self) -> Protocol:
        """Split the experts by the trial data that the clusters shared beforehand."""
        relevance = yield from self.measure_relevance("relevance")
        self.splitting.begin(self.drawn(relevance, number=0))
        yield self.assignment(relevance, self.splitting.drawn)

    def split_again(self, cycle: int) -> Protocol:
        """Split the experts anew, if that is due in ``cycle``; who holds what does not change yet.

        It is done at the first contact after every ``resplit_cycles`` complete cycles.
        """
        every = self.options.resplit_cycles
        number = cycle // every if every else 0
        if number <= self.splitting.number:
            return
        relevance = yield from self.measure_relevance(f"relevance in cycle {cycle}")
        self.splitting.redraw(number, self.drawn(relevance, number))
        yield self.assignment(relevance, self.splitting.drawn)

    def conclude(self) -> Protocol:
        """Measure the relevance once more: what training did to the gate's own mass.

        It goes with the clusters that hold the experts now, whoever they were last drawn for.
        """
        relevance = yield from self.measure_relevance("relevance")
        yield self.assignment(relevance, self.splitting.owner)

    def measure_relevance(self, name: str) -> Generator[Request, Any, Floats]:
        """Relevance of every expert for every cluster (29), shape (C, E)."""
        default = paired_relevance(
            len(self.world.clusters), len(self.experts), self.learner.architecture.top_k
        )
        server = self.server
        measured = yield Measure(name, lambda: self.learner.relevance(server), default.tolist())
        return np.asarray(measured)

    def drawn(self, relevance: Floats, number: int) -> Ints:
        """Draw the cluster (E,) of each expert; every splitting has a random stream of its own."""
        name = ("assign", number) if number else ("assign",)
        no_limit = np.full(len(relevance), len(self.experts))
        problem = Problem(relevance, no_limit, threshold=self.options.threshold)
        owner: Ints = expert_driven(problem, stream(self.world.seed, *name)).argmax(axis=0)
        return owner

    def assignment(self, relevance: Floats, owner: Ints) -> Assign:
        """Describe which expert is whose, with the probabilities of equation (33)."""
        threshold = self.options.threshold
        probability = assignment_probability(relevance, threshold)
        classes = tuple(expert_classes(relevance, threshold))
        assigned = owner == np.arange(len(relevance))[:, None]
        return Assign(relevance, assigned, probability, expert_class=classes)

    def model(self) -> Handle:
        """Return the model at the satellite."""
        return self.server


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


# Who trains which expert while the experts are split anew from time to time (Algorithm 1).


class Splitting:
    """Who of the ``clusters`` holds which expert of ``registry``, and who shall own it.

    An expert changes hands in two steps, so that no two clusters ever train it: its owner lets go
    of it, and from then on the cluster that it was drawn for can take it. ``owner`` (E,) is
    ``NOBODY`` in between. A splitting that is replaced by the next one before it was carried out
    leaves nothing behind: only the last one counts.
    """

    def __init__(self, registry: ExpertRegistry, clusters: int) -> None:
        self.registry = registry
        self.clusters = clusters
        self.drawn: Ints = np.full(len(registry.bytes), NOBODY)
        self.number = 0

    @property
    def owner(self) -> Ints:
        """The cluster (E,) that holds each expert, as the registry knows it."""
        return self.registry.owner

    def begin(self, drawn: Ints) -> None:
        """Let every cluster own what was drawn for it, before time begins."""
        self.drawn = drawn
        self.registry.hand_out(drawn == np.arange(self.clusters)[:, None])

    def redraw(self, number: int, drawn: Ints) -> None:
        """Let splitting ``number`` say who shall own what; who holds what does not change yet."""
        self.number, self.drawn = number, drawn

    def owned_by(self, cluster: int) -> list[int]:
        """Return the experts that ``cluster`` holds: nobody else may train them."""
        return self.registry.held_by(cluster)

    def trained_by(self, cluster: int) -> list[int]:
        """Return the experts E_c that ``cluster`` trains: those that it holds and shall keep."""
        return self._listed((self.owner == cluster) & (self.drawn == cluster))

    def leaving(self, cluster: int) -> list[int]:
        """Return the experts that ``cluster`` holds and shall let go of."""
        return self._listed((self.owner == cluster) & (self.drawn != cluster))

    def free_for(self, cluster: int) -> list[int]:
        """Return the experts that nobody holds and ``cluster`` shall take."""
        return self._listed((self.owner == NOBODY) & (self.drawn == cluster))

    def change_hands(self, cluster: int) -> tuple[list[int], list[int]]:
        """Let ``cluster`` go of what leaves it and take what is free for it; return both."""
        gone, taken = self.leaving(cluster), self.free_for(cluster)
        self.registry.release(cluster, gone)
        self.registry.give(cluster, taken)
        return gone, taken

    def _listed(self, which: np.ndarray) -> list[int]:
        listed: list[int] = np.flatnonzero(which).tolist()
        return listed
