"""Rules: what holds for each client from a time on, as a build says; they never change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from learning.learner import LearningRules
from learning.requests.cluster import Quorum
from sim.devices.devices import Computing
from sim.devices.energy import Transmitter
from sim.devices.faults import Faults
from sim.engine.learning_task import corruption_of
from sim.network.ledger import CutTransfers
from sim.plan.planned_sessions import PlannedSessions

if TYPE_CHECKING:
    from sim.engine.setup import Build


@dataclass(frozen=True, eq=False)
class Rules:
    """What holds for one client: its sessions, how its devices compute and send, what fails.

    A fork gives every client new rules. A chain that goes on then, and a disconnected phase, end by
    the rules under which they began. ``closing`` says whom a chain with uploads waits for,
    ``cut_transfers`` what becomes of a transfer that a contact cuts off, ``faults`` what goes wrong
    on the link (None: nothing).
    """

    sessions: PlannedSessions
    computing: Computing
    transmitter: Transmitter
    closing: Quorum
    cut_transfers: CutTransfers
    faults: Faults | None = None


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
