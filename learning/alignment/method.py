"""Client-expert alignment: experts per client by fitness, load and capacity.

After Chen et al., arXiv 2507.05685, which names the three parts; the formulas are in
docs/methods.md.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import AfterValidator, NonNegativeFloat, NonNegativeInt
from pydantic.dataclasses import dataclass

from learning.alignment.policy import (
    Capacity,
    Needs,
    averaged,
    capacity,
    deficit,
    explored,
    first_fitness,
)
from learning.clients.cluster import ClusterState
from learning.clients.updates import changes_in, merge
from learning.losses import check_classes
from learning.methods.base import Protocol, World
from learning.methods.fedavg import FedAvg
from learning.methods.options import CHECKED, Share, option
from learning.methods.surface import Traits
from learning.policies import POLICIES
from learning.policies.problem import Problem, asked, even_bounds
from learning.registry import Register
from learning.requests.cluster import Assign, Cluster, Cost, Forecast, Measure
from learning.requests.facts import Note, Used
from learning.requests.request import Request
from learning.rng import stream
from learning.settings import LearningConfig
from statements.arrays import Floats, Ints, Mask


@dataclass(frozen=True, config=CHECKED)
class AlignedOptions:
    """Options of client-expert alignment."""

    policy: Annotated[str, AfterValidator(POLICIES.known)] = option(
        "balanced-fitness", "who trains what: one of learning.policies or MODULE:NAME"
    )
    capacity: NonNegativeInt = option(0, "most experts per device; 0: as its means allow")
    deficit_weight: NonNegativeFloat = option(
        0.0, "fitness that the expert gains which has fallen furthest behind"
    )
    exploration: Share = option(0.0, "probability that a device swaps one of its experts")


class Aligned(FedAvg):
    """Federated rounds in which every device trains experts that fit it.

    When a round begins the server asks what each device can hold, train and carry in its next
    contact, and a policy assigns experts by fitness, load and that capacity. A device downloads
    what is shared and its experts, trains them with its gate kept to them, and uploads; with it
    go the samples that its experts serve, and how well. The server moves an expert by the mean
    change of its devices, each by the samples it served there, and what is shared (the gate, and a
    backbone that is trained) by n_k / n. Clients are all devices in canonical order.
    """

    colour = "#0b4a6b"
    registers: ClassVar[Mapping[str, Register[Any]]] = {"policies": POLICIES}
    Options: ClassVar[type] = AlignedOptions
    needs = replace(FedAvg.needs, experts=1)
    traits: ClassVar[Traits] = replace(FedAvg.traits, takes_personal=False)

    def __init__(self, world: World, options: AlignedOptions | None = None) -> None:
        super().__init__(world, options)
        ends = np.cumsum([0, *(cluster.devices for cluster in world.clusters)]).tolist()
        pairs = zip(world.clusters, pairwise(ends), strict=True)
        self.rows = {cluster.name: slice(*span) for cluster, span in pairs}
        self.shape = ends[-1], len(self.experts)
        self.registry.hand_out(np.zeros(self.shape, bool))
        self.policy = POLICIES.find(self.options.policy)
        self.fitness = first_fitness(*self.shape, world.seed)
        self.assignments: Ints = np.zeros(len(self.experts), np.int64)
        sizes = self.learner.architecture
        cost = self.learner.round_cost
        carried = sizes.download_bytes, sizes.upload_bytes
        # Of a round with 1, 2, ... E experts; whole experts go down.
        parts = (self.experts[: k + 1] for k in self.experts)
        self.required = [
            Needs(cost(p, p, gate=True), *(by(p, gate=True) for by in carried)) for p in parts
        ]
        self.samples: Ints = np.zeros(self.shape, np.int64)
        self.scored: Floats = np.zeros(self.shape)
        self.served: Ints = np.zeros(self.shape, np.int64)
        self.begun = 0
        self.reported: dict[str, tuple[str, ...]] = {}

    @classmethod
    def check(cls, config: LearningConfig) -> None:
        """Raise ValueError for what has no classes: experts are measured by how many are right."""
        check_classes(config.loss, "alignment")

    # -- the beginning of a round

    def prepare(self) -> Protocol:
        """Ask for the samples' shares, and assign the first round's experts."""
        yield from super().prepare()
        yield from self.begin_round()

    def begin_round(self) -> Protocol:
        """Profile the devices, assign experts, and write the result of the last round.

        ``samples`` of an assignment's rows are those that experts served in the round before.
        """
        takes = yield from self.profile()
        assigned = self.assign(takes)
        self.registry.hand_out(assigned)
        self.assignments = self.assignments + assigned.sum(axis=0)
        self.absent = {name for name, rows in self.rows.items() if not assigned[rows].any()}
        if assigned.any() or self.served.any():
            yield Assign(self.fitness, assigned, samples=self.served, by_device=True)
        self.served = np.zeros(self.shape, np.int64)

    def sit_out(self) -> Protocol:
        """Try again to begin a round that nobody can take part in."""
        if not self.registry.holders.any():
            yield from self.begin_round()

    def profile(self) -> Generator[Request, Any, Ints]:
        """Return how many experts (C,) every client takes, and report those that sit out.

        A cluster that the plan holds no contact for any more sits out. If it will soon be over for
        another one too, so is the plan: a last round of a few clusters, whose data are not those of
        all, is not begun, and nobody takes any.
        """
        profiles: dict[str, Capacity] = {}
        left = []
        for cluster in self.world.clusters:
            outlook = yield Forecast(cluster.name, fresh=True)
            if outlook is None:
                nothing = np.zeros(cluster.devices, np.int64)
                why = ("no contact is left for it",) * cluster.devices
                profiles[cluster.name] = Capacity(nothing, why)
            else:
                profiles[cluster.name] = capacity(outlook, self.required, outlook.rounds)
                left.append(outlook.sessions)
        over = len(left) < len(profiles) and min(left, default=0) < 2
        takes = np.concatenate([profile.experts for profile in profiles.values()])
        if over:
            return np.zeros_like(takes)
        yield from self.report(profiles)
        return np.asarray(np.minimum(takes, self.options.capacity or len(self.experts)))

    def report(self, profiles: dict[str, Capacity]) -> Protocol:
        """Write who sits out and why into the events, where that is new."""
        for name, profile in profiles.items():
            if profile.why == self.reported.get(name, ("",) * len(profile.why)):
                continue
            for why in sorted(set(profile.why) - {""}):
                out = ",".join(str(k) for k, own in enumerate(profile.why) if own == why)
                yield Note("fault", self.version, f"devices {out} of {name} sit out: {why}")
            self.reported[name] = profile.why

    def assign(self, takes: Ints) -> Mask:
        """Return who trains what (C, E) in the round that begins."""
        if not takes.any():
            return np.zeros(self.shape, bool)
        options: AlignedOptions = self.options
        least, most = even_bounds(takes, len(self.experts))
        behind = options.deficit_weight * deficit(self.assignments)
        problem = Problem(self.fitness, takes, least, most, behind)
        draws = stream(self.world.seed, "assign", self.begun)
        self.begun += 1
        assigned = asked(self.policy, options.policy, problem, draws)
        return explored(assigned, problem, options.exploration, draws)

    # -- a cluster's part of it

    def holds(self, me: Cluster) -> Mask:
        """Return the cluster's rows of the assignment."""
        return self.registry.holders[self.rows[me.name]]

    def cost(self, devices: ClusterState) -> Cost:
        """Return what a local round takes of each device; who sits out counts for one expert."""
        held = np.maximum(devices.holds.sum(axis=1), 1)
        costs = [self.required[k - 1].cost for k in held.tolist()]
        flops, memory = np.array([(cost.flops, cost.memory_bytes) for cost in costs], float).T
        size = self.learner.architecture.expert_bytes
        return Cost(flops, memory, size * held)

    def trained(self, devices: ClusterState, who: Mask) -> Protocol:
        """Measure what the experts of the devices in ``who`` do on their data."""
        rows = self.rows[devices.name]
        state = devices.state
        reach = devices.holds & who[:, None]
        if state is None or not reach.any():
            return
        config = self.learner.config
        default = {
            "samples": (reach * config.steps_per_round * config.batch_size).tolist(),
            "score": self.fitness[rows].tolist(),
        }
        found = yield Measure("usage", lambda: self.measured(devices, reach), default)
        self.samples[rows] = np.where(who[:, None], found["samples"], self.samples[rows])
        self.scored[rows] = np.where(who[:, None], found["score"], self.scored[rows])

    def measured(self, devices: ClusterState, reach: Mask) -> dict[str, Any]:
        """Return the samples that experts serve, and what they score there, (K, E) each."""
        assert devices.state is not None  # for the type checker: somebody has trained
        used = self.learner.number(
            "learning.training.evaluation:usage",
            devices.state.whole,
            cluster=devices.name,
            reach=reach,
        )
        return {"samples": used["samples"], "score": used["accuracy"]}

    # -- the end of a round

    def merge_round(self, shares: dict[str, float]) -> Generator[Request, Any, Sequence[int]]:
        """Move every expert by its use, and what is shared by samples; learn from both.

        A device's share of an expert's use is ``u_ce / sum_c u_ce``, 0 where nobody used it.
        """
        used = []
        for update in self.updates:
            rows = self.rows[update.cluster]
            used.append(update.who[:, None] * self.samples[rows])
            self.served[rows] = self.served[rows] + used[-1]
        total = np.maximum(self.served.sum(axis=0), 1)
        changes: Ints = np.zeros(len(self.experts), np.int64)
        for update, own in zip(self.updates, used, strict=True):
            share = shares[update.cluster]
            usage = own / total
            self.weights, told = merge(self.learner, self.weights, update, share, usage=usage)
            yield Used([told], self.version, self.round)
            changes = changes + changes_in(self.learner, update.cluster, own > 0)
        self.fitness = averaged(self.fitness, self.scored, self.served)
        self.aggregated(self.experts, changes)
        return np.flatnonzero(changes).tolist()
