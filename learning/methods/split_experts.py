"""Expert-driven model splitting (EMS-FL, Algorithm 1) as a part of a method: when, and by what."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from learning.assignment import assignment_probability, expert_classes
from learning.method import Method, Protocol, World
from learning.methods.splitting import Splitting
from learning.policies.expert_driven import expert_driven
from learning.policies.problem import Problem
from learning.requests import Assign, Floats, Ints, Measure, Request
from learning.streams import stream
from learning.values import Handle


@dataclass(frozen=True)
class EmsFlOptions:
    """Options of both forms of EMS-FL.

    ``threshold``: relevance below which an expert does not count for a cluster, eq. (32).
    ``resplit_cycles``: complete cycles after which the experts are split anew, 0 for never.
    """

    threshold: float = 0.1
    resplit_cycles: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold: {self.threshold} should lie in 0 to 1")
        if self.resplit_cycles < 0:
            raise ValueError(f"resplit_cycles: {self.resplit_cycles} should be 0 or more")


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
