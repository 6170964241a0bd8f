"""Expert-driven model splitting (Algorithm 1) in a method, and the handover of experts."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from learning.clients.cluster import ClusterState
from learning.methods.base import NOBODY, ExpertRegistry, GlobalModelMethod, Protocol, World
from learning.methods.options import CHECKED
from learning.policies.model_splitting import (
    assignment_probability,
    expert_classes,
    expert_driven,
    home_clusters,
)
from learning.policies.problem import Problem
from learning.requests.cluster import Assign, Floats, Ints, Mask, Measure, Note, Request
from learning.requests.event_details import GIVES, TAKES, parts_named
from learning.rng import stream


@dataclass(frozen=True, config=CHECKED)
class EmsFlOptions:
    """Options of both forms of EMS-FL."""

    threshold: float = Field(
        0.1, ge=0, le=1, description="relevance below which an expert counts for nobody, eq. (32)"
    )
    resplit_cycles: int = Field(
        0, ge=0, description="complete cycles after which experts are split anew; 0: never"
    )


class SplitsExperts(GlobalModelMethod):
    """A method whose clusters train experts of their own, drawn by Algorithm 1."""

    Options: ClassVar[type] = EmsFlOptions
    needs_experts: ClassVar[int] = 1
    splits_experts: ClassVar[bool] = True

    def __init__(self, world: World, options: EmsFlOptions | None = None) -> None:
        super().__init__(world, options)
        self.splitting = Splitting(self.registry)

    def prepare(self) -> Protocol:
        """Split the experts by the trial data that the clusters shared beforehand."""
        relevance = yield from self.measure_relevance("relevance")
        drawn = self.drawn(relevance, number=0)
        self.splitting.redraw(0, drawn)
        self.registry.hand_out(drawn == np.arange(len(relevance))[:, None])
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

    def upload_experts(self, devices: ClusterState) -> Protocol:
        """Upload E_c and aggregate it (35), with what a short pass has left of the last upload.

        While the cluster's experts change hands, new updates are only made of what it has trained
        of those that leave, so that in the end nothing is on its way.
        """
        cluster = devices.cluster.index
        if owned := self.registry.held_by(cluster):
            who = None
            if cluster in self.splitting.changing:
                who = devices.has_unsent(self.splitting.leaving(cluster))
            devices.offer(owned, who=who)
        yield from self.send(devices)

    def hand_over(self, devices: ClusterState) -> Protocol:
        """Let go of the experts that leave a cluster, and take those that are free for it.

        That waits until all that the devices have trained of an expert is aggregated. Devices that
        do not answer shall not hold it up for ever: if a whole contact brings nothing more of what
        is missing, that is given up.
        """
        splitting, cluster = self.splitting, devices.cluster.index
        leaving, waits = splitting.leaving(cluster), cluster in splitting.changing
        splitting.changing.discard(cluster)
        if not leaving and not splitting.free_for(cluster):
            return
        missing = devices.pending | devices.has_unsent(leaving)
        if missing.any():
            if not waits or devices.progressed:
                splitting.changing.add(cluster)
                return
            yield from self.send(devices, carry=False)
            devices.forget(leaving, devices.has_unsent(leaving))
            silent = f"devices:{int(missing.sum())}/{len(missing)}"
            detail = f"hand-over without the updates of {silent}: no answer"
            yield Note("drop", self.version, detail)
        gone, taken = splitting.change_hands(cluster)
        if taken:
            devices.require_download()
        for verb, experts in ((GIVES, gone), (TAKES, taken)):
            if experts:
                yield Note("assign", self.version, f"{verb} {parts_named(experts)}")

    def conclude(self) -> Protocol:
        """Measure the relevance once more: what training did to the gate's own mass.

        It goes with the clusters that hold the experts now, whoever they were last drawn for.
        """
        relevance = yield from self.measure_relevance("relevance")
        yield self.assignment(relevance, self.registry.owner)

    def measure_relevance(self, name: str) -> Generator[Request, Any, Floats]:
        """Relevance of every expert for every cluster (29), shape (C, E)."""
        default = paired_relevance(
            len(self.world.clusters), len(self.experts), self.learner.architecture.top_k
        )
        weights = self.weights
        measured = yield Measure(name, lambda: self.learner.relevance(weights), default.tolist())
        return np.asarray(measured)

    def drawn(self, relevance: Floats, number: int) -> Ints:
        """Draw the cluster (E,) of each expert; every splitting has a random stream of its own."""
        name = ("assign", number) if number else ("assign",)
        no_limit = np.full(len(relevance), len(self.experts))
        problem = Problem(relevance, no_limit, threshold=self.options.threshold)
        return np.asarray(expert_driven(problem, stream(self.world.seed, *name)).argmax(axis=0))

    def assignment(self, relevance: Floats, owner: Ints) -> Assign:
        """Describe which expert is whose, with the probabilities of equation (33)."""
        threshold = self.options.threshold
        probability = assignment_probability(relevance, threshold)
        classes = tuple(expert_classes(relevance, threshold))
        assigned = owner == np.arange(len(relevance))[:, None]
        return Assign(relevance, assigned, probability, expert_class=classes)


def paired_relevance(clusters: int, experts: int, top_k: int) -> Floats:
    """Relevance (C, E) for a timing-only run, which measures none: that of homes, rows sum to K."""
    home = home_clusters(experts, clusters).T
    homes = home.sum(axis=1, keepdims=True)
    at_home = np.minimum(1.0, top_k / homes)
    elsewhere = (top_k - at_home * homes) / np.maximum(experts - homes, 1)
    return np.asarray(np.where(home, at_home, elsewhere))


# Who trains which expert while the experts are split anew from time to time (Algorithm 1).


class Splitting:
    """Who holds which expert of ``registry``, and the cluster (E,) that it was ``drawn`` for.

    An expert changes hands in two steps, so that no two clusters ever train it: its owner lets go
    of it, and from then on the cluster that it was drawn for can take it; it has no owner in
    between. A splitting that is replaced by the next one before it was carried out
    leaves nothing behind: only the last one counts. ``changing`` are the clusters that still have
    to send what they trained of an expert that leaves them.
    """

    def __init__(self, registry: ExpertRegistry) -> None:
        self.registry = registry
        self.drawn: Ints = np.full(len(registry.bytes), NOBODY)
        self.number = 0
        self.changing: set[int] = set()

    def redraw(self, number: int, drawn: Ints) -> None:
        """Let splitting ``number`` say who shall own what; who holds what does not change yet."""
        self.number, self.drawn = number, drawn

    def trained_by(self, cluster: int) -> list[int]:
        """Return the experts E_c that ``cluster`` trains: those that it holds and shall keep."""
        return self._drawn_for(cluster, self.registry.owner == cluster)

    def leaving(self, cluster: int) -> list[int]:
        """Return the experts that ``cluster`` holds and shall let go of."""
        kept = self.trained_by(cluster)
        return [expert for expert in self.registry.held_by(cluster) if expert not in kept]

    def free_for(self, cluster: int) -> list[int]:
        """Return the experts that nobody holds and ``cluster`` shall take."""
        return self._drawn_for(cluster, self.registry.owner == NOBODY)

    def change_hands(self, cluster: int) -> tuple[list[int], list[int]]:
        """Let ``cluster`` go of what leaves it and take what is free for it; return both."""
        gone, taken = self.leaving(cluster), self.free_for(cluster)
        self.registry.hold(cluster, gone, held=False)
        self.registry.hold(cluster, taken)
        return gone, taken

    def _drawn_for(self, cluster: int, among: Mask) -> list[int]:
        listed: list[int] = np.flatnonzero(among & (self.drawn == cluster)).tolist()
        return listed
