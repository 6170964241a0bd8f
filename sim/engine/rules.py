"""The rules of every client, as a build says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.devices.devices import Computing
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
