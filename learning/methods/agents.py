"""Agents: who decides in a run that nobody plays from outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from learning.registry import Register
from learning.requests.cluster import Cluster
from learning.requests.decide import Agent, Decision, Observation
from learning.rng import stream

MakeAgent = Callable[[Sequence[Cluster], int], Agent]
"""Makes the agent of one run, of its clusters and its seed; an agent may have a state."""

AGENTS: Register[MakeAgent] = Register(
    "agent",
    "leomix.agents",
    {
        "everyone": "learning.methods.agents:everyone",
        "random": "learning.methods.agents:at_random",
        "soonest": "learning.methods.agents:soonest",
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
