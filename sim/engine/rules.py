"""The rules of every client, as a build says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learning.learner import LearningRules
from sim.devices.devices import Computing
from sim.engine.learning_task import corruption_of
from sim.network.rules import Rules

if TYPE_CHECKING:
    from sim.engine.setup import Build


def rules_of(build: Build) -> dict[str, Rules]:
    """Return the rules of every client of a build, by the name of its cluster."""
    plan = build.plan
    churn = {} if plan.faults is None else plan.faults.churn
    closing = build.world.closing
    return {
        cluster.name: Rules(
            sessions=plan.sessions(cluster),
            computing=Computing(compute, churn.get(cluster.name)),
            transmitter=build.transmitter,
            closing=closing,
            cut_transfers=build.scenario.link.cut_transfers,
            faults=plan.faults,
        )
        for cluster, compute in zip(plan.clusters, build.compute, strict=True)
    }


def learning_rules_of(build: Build) -> LearningRules:
    """Return what holds for the learning of a build."""
    learning = build.scenario.learning
    return LearningRules(
        learning.step_size,
        learning.gate_step_size_ratio,
        corruption_of(build.scenario),
    )
