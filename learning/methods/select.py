"""Select: an agent chooses who takes part in a round, and when the server aggregates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import AfterValidator
from pydantic.dataclasses import dataclass

from learning.clients.cluster import ClusterState
from learning.clients.updates import Weighted
from learning.methods.asynchronous import AsynchronousOptions
from learning.methods.base import Protocol, World
from learning.methods.fedavg import FedAvg, FedAvgOptions
from learning.methods.options import CHECKED, option
from learning.methods.surface import Traits
from learning.metrics import VALIDATED, pooled_figures
from learning.registry import Register
from learning.requests.cluster import Cluster, Measure
from learning.requests.decide import Agent, Decide, Decision, Observation, Situation
from learning.requests.facts import Aggregated, Range
from learning.rng import stream
from statements.arrays import Ints, Mask

# Agents: who decides in a run that nobody plays from outside.


MakeAgent = Callable[[Sequence[Cluster], int], Agent]
"""Makes the agent of one run, of its clusters and its seed; an agent may have a state."""

AGENTS: Register[MakeAgent] = Register(
    "agent",
    "leomix.agents",
    {
        "everyone": "learning.methods.select:everyone",
        "random": "learning.methods.select:at_random",
        "soonest": "learning.methods.select:soonest",
    },
    "a function of clusters and seed that returns an agent",
)


def everyone(clusters: Sequence[Cluster], _seed: int) -> Agent:
    """Choose all clients, and wait for all: the rounds of FedAvg."""
    all_of_them = np.ones(len(clusters), bool)
    return lambda _observation: Decision(all_of_them)


def at_random(clusters: Sequence[Cluster], seed: int) -> Agent:
    """Toss a coin for each client, and one for whether to aggregate."""
    rng = stream(seed, "agent")

    def decide(_observation: Observation) -> Decision:
        *clients, aggregate = rng.random(len(clusters) + 1) < 0.5
        return Decision(np.array(clients), bool(aggregate))

    return decide


def soonest(clusters: Sequence[Cluster], _seed: int) -> Agent:
    """Choose the half of the clients whose next contacts begin first, and wait for half of those.

    Who is in contact is too late for this one: its next contact counts as the last of all.
    """
    wanted = max(1, len(clusters) // 2)

    def decide(seen: Observation) -> Decision:
        wait_s = np.where(seen.wait_s > 0.0, seen.wait_s, np.inf)
        chosen = np.zeros(len(clusters), bool)
        chosen[np.argsort(wait_s, kind="stable")[:wanted]] = True
        return Decision(chosen, bool(2 * seen.arrived.sum() >= wanted))

    return decide


# The method.


@dataclass(frozen=True, config=CHECKED)
class SelectOptions(AsynchronousOptions, FedAvgOptions):
    """Options of Select."""

    agent: Annotated[str, AfterValidator(AGENTS.known)] = option(
        "everyone", "who decides: everyone, random, soonest, or MODULE:NAME"
    )
    measures: bool = option(False, "whether the agent is told the accuracy of each new version")


class Select(FedAvg):
    """FedAvg whose agent chooses the clients of a round, and when the server aggregates.

    The agent is asked before time begins, and whenever the update of a cluster has arrived as a
    whole. If it aggregates, or nobody is under way any more, the server adds the mean of what has
    arrived, by samples, each update divided for its staleness; the next round begins, with the
    clients that the agent has chosen. Who is under way then goes on, and its update counts when it
    arrives: a cluster has one update at a time. A choice of nobody who could take part is a choice
    of all.

    An agent that chooses all, and waits for all, makes it FedAvg.
    """

    colour = "#6b4400"
    traits: ClassVar[Traits] = replace(
        FedAvg.traits,
        takes_personal=False,
        asynchronous=True,
        waits_for_all=True,
        decides=True,
    )
    Options: ClassVar[type] = SelectOptions
    registers: ClassVar[Mapping[str, Register[Any]]] = {"agents": AGENTS}
    alone_is_sgd: ClassVar[bool] = True

    def __init__(self, world: World, options: Any = None) -> None:
        super().__init__(world, options)
        self.agent = AGENTS.find(self.options.agent)(world.clusters, world.seed)
        self.chosen: set[str] = set()
        self.begun_version: dict[str, int] = {}
        self.accuracy = math.nan
        self.measured: int | None = None

    # -- a round

    def prepare(self) -> Protocol:
        """Ask for the shares of the samples, and for the first round's clients."""
        yield from super().prepare()
        yield from self.decide()

    def close_round(self, now_s: float, *, arrived: bool) -> Protocol:
        """Ask the agent, if a cluster has arrived or nobody else will."""
        if arrived or self.is_full():
            yield from self.decide()

    def decide(self) -> Protocol:
        """Ask for a decision, and follow it."""
        yield from self.measure()
        decision = yield Decide(self.situation(), self.agent)
        names = self.named(decision)
        if decision.aggregate or self.is_full():
            yield from self.end_round()
            able = {cluster.name for cluster in self.world.clusters} - self.absent
            self.chosen = (names & able) or able

    def end_round(self) -> Protocol:
        """Aggregate what has arrived, of clusters too of which only a part has."""
        unfinished = {name: who for name, who in self.sent.items() if name not in self.arrived}
        for name in {update.cluster for update in self.updates} - set(self.arrived):
            self.arrived[name] = self.cluster_share(self.sides[name])
        yield from super().end_round()
        self.sent = unfinished

    def enter_round(self, devices: ClusterState) -> None:
        """Begin an update, if a cluster has none; what it begins with is the model of now."""
        if devices.name not in self.sent:
            self.begun_version[devices.name] = self.version
        super().enter_round(devices)

    @property
    def parties(self) -> set[str]:
        """Names of the clusters that are chosen, or still under way since an earlier round."""
        return (self.chosen | set(self.sent)) - self.absent

    def sits_out(self, name: str) -> bool:
        """Whether a cluster has nothing to do in this round."""
        return name not in self.parties

    def is_given_up(self, number: int) -> bool:
        """Return False: what was begun in an earlier round is stale, and still of use."""
        return False

    def has_model(self, devices: ClusterState) -> Mask:
        """Return which devices (K,) have a model that is as new as their present update."""
        return devices.complete & (devices.version >= self.begun_version[devices.name])

    @property
    def ended_by(self) -> str:
        """Say what ends a round that does not wait for all."""
        return "the agent aggregates"

    # -- the mean

    def weighted(self, shares: dict[str, float]) -> list[Weighted]:
        """Return the updates by their clusters' shares, each divided for its staleness."""
        weighted: list[Weighted] = []
        for update in self.updates:
            own = self.shares[update.cluster]
            for part, divisor in self.options.by_age(update, self.version):
                weighted.append((part, shares[update.cluster] / divisor))
                self.merged += float(own[part.who].sum()) / divisor
        return weighted

    def aggregation(self, experts: Sequence[int]) -> Aggregated:
        """Return what a round has aggregated, and how old that was."""
        told = super().aggregation(experts)
        if told.staleness is None:
            return told
        behind = [update.behind(self.version - 1) for update in self.updates]
        return replace(told, staleness=Range.of(np.concatenate(behind)))

    # -- the agent

    def measure(self) -> Protocol:
        """Measure the accuracy of the server's model, if the agent is told and it is another."""
        if self.options.measures and self.measured != self.version:
            self.measured = self.version
            accuracy = yield Measure("accuracy", self.measured_accuracy, None)
            self.accuracy = math.nan if accuracy is None else accuracy

    def measured_accuracy(self) -> float | None:
        """Return the accuracy of the server's model, on validation samples where there are some."""
        figures = pooled_figures(self.scores())
        accuracy: float | None = figures.get(VALIDATED[0], figures["accuracy"])
        return accuracy

    def situation(self) -> Situation:
        """Return what the server knows now."""
        names = [cluster.name for cluster in self.world.clusters]
        sizes = self.learner.architecture
        arrived = np.array([name in self.arrived for name in names])
        return Situation(
            version=self.version,
            accuracy=self.accuracy,
            merged=self.merged,
            chosen=np.array([name in self.chosen for name in names]),
            working=np.array([name in self.sent for name in names]) & ~arrived,
            arrived=arrived,
            staleness=np.array([self.version - self.oldest(me) for me in self.world.clusters]),
            share=np.array([self.shares[name].sum() for name in names]),
            cost=self.learner.round_cost(
                self.experts, self.experts, gate=True, copies=self.memory_copies
            ),
            upload_bytes=self.traits.payload_copies * sizes.upload_bytes(self.experts, gate=True),
            download_bytes=self.traits.payload_copies
            * sizes.download_bytes(self.experts, gate=True),
        )

    def oldest(self, me: Cluster) -> int:
        """Return the version of the oldest model that a cluster works on, or that has arrived."""
        devices = self.devices(me)
        name = me.name
        bases: list[Ints] = [u.version[u.who] for u in self.updates if u.cluster == name]
        if name in self.sent:
            training = self.has_model(devices) & ~self.sent[name] & ~devices.pending
            bases += [devices.offered_version[devices.pending], devices.version[training]]
        return min([self.version, *np.concatenate([*bases, np.zeros(0, np.int64)]).tolist()])

    def named(self, decision: Any) -> set[str]:
        """Return the names of the clients that a decision chooses; refuse what is none."""
        clusters = self.world.clusters
        clients = np.asarray(getattr(decision, "clients", None))
        if not isinstance(decision, Decision) or clients.shape != (len(clusters),):
            found = f"{type(decision).__name__} with clients of shape {clients.shape}"
            raise ValueError(
                f"agent {self.options.agent!r} returns a {found}; it must be a Decision with "
                f"clients of shape ({len(clusters)},): a truth value for each"
            )
        return {cluster.name for cluster, chosen in zip(clusters, clients, strict=True) if chosen}
