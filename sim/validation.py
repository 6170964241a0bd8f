"""``leomix validate``: what a scenario would do, without doing it."""

from __future__ import annotations

import numpy as np

import scenarios
from sim.build import Build
from sim.units_text import data_size, table


def plan_text(built: Build) -> str:
    """Describe contacts, link and payloads of a scenario that is ready to run."""
    plan, sizes = built.plan, built.learner.architecture
    experts = list(range(sizes.experts))
    overridden = scenarios.resolved_link(built.scenario)["overridden"]
    lines = [
        f"method {built.scenario.learning.method}, seed {built.scenario.seed}, start "
        f"{plan.start:%Y-%m-%dT%H:%M:%SZ}, {plan.stop_s / 86400:.2f} days, "
        f"{built.cycles} complete cycles",
        f"link preset {built.scenario.link.preset!r}, overridden: "
        f"{', '.join(overridden) or 'nothing'}",
        f"one expert's factors {data_size(sizes.upload_bytes([0], gate=False))}, gate "
        f"{data_size(sizes.upload_bytes([], gate=True))}, all experts and gate "
        f"{data_size(sizes.upload_bytes(experts, gate=True))}",
        _round(built),
        _clusters(built),
    ]
    return "\n".join(lines)


def _round(built: Build) -> str:
    """FLOPs of a local round, and the memory that it takes with one expert or all of them."""
    everything = list(range(built.learner.architecture.experts))
    costs = (built.learner.round_cost(held, held, gate=True) for held in ([0], everything))
    one, whole = (data_size(float(cost.memory_bytes)) for cost in costs)
    flops = built.learner.round_cost(everything, everything, gate=True).flops
    return (
        f"a round {flops:.2e} FLOPs, in {one} of memory with one expert, {whole} with all "
        "(estimated)"
    )


def _clusters(built: Build) -> str:
    header = ["cluster", "devices", "contacts", "served", "median service s", "least upload"]
    rows = []
    for cluster in built.plan.clusters:
        here = [c for c in built.plan.contacts if c.cluster.name == cluster.name]
        lasts = np.array([c.end_s - c.start_s for c in here if c.served])
        counted = [c for c in here if c.served or not built.plan.constellation]
        least = min(float(c.links.capacity_bytes.min()) for c in counted)
        rows.append(
            [
                cluster.name,
                str(cluster.devices),
                str(len(here)),
                str(len(built.plan.served(cluster))),
                f"{np.median(lasts):.0f}",
                data_size(least),
            ]
        )
    return table(header, rows)
