"""Networked experts for tests: small scenarios, and a small system without any network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import scenarios
from tests.kit.inner import learning as seam
from tests.kit.inner.sim import NamedBuild, RunExecution, build
from tests.kit.small import merged

NMOE: dict[str, Any] = {
    "seed": 3,
    "stop": {"cycles": 12},
    "orbit": {"source": "slots", "slots": {"seconds": 600}},
    "ground": {"clusters": [{"name": "A", "devices": 2}, {"name": "B", "devices": 3}]},
    "link": {
        "preset": "paper", "relay": "store", "sidelink": {"rate_mbps": 1, "distance_km": 0.3},
    },
    "compute": {"seconds_per_round": 60},
    "learning": {
        "method": "nmoe", "steps_per_round": 1, "batch_size": 4,
        "model": {"kind": "image-nmoe", "hidden": 8, "expert_hidden": 8},
        "data": {"kind": "digit-images"},
        "options": {
            "extractor": "fedce", "extractor_rounds": 2, "expert_rounds": 2, "gate_rounds": 2,
            "exchange": "experts", "inference_samples": 0,
        },
    },
}  # fmt: skip
"""Five clients in two slots that take turns, a few milliseconds of training each."""

TEN: dict[str, Any] = merged(NMOE, {
    "stop": {"cycles": 30},
    "ground": {"clusters": [{"name": "A", "devices": 10}]},
    "learning": {
        "steps_per_round": 10, "batch_size": 32, "step_size": 0.1, "gate_step_size_ratio": 1.0,
        "model": {"kind": "vector-nmoe", "hidden": 256, "expert_hidden": 16},
        "data": {"kind": "digits", "split": {"over": "devices", "kind": "shards", "classes": 2}},
        "options": {"extractor": "none", "expert_rounds": 20, "gate_rounds": 20},
    },
})  # fmt: skip
"""Ten clients with two digits each behind random features: the toy of the notes, in seconds."""


def nmoe(base: dict[str, Any] = NMOE, **changes: Any) -> scenarios.Scenario:
    return scenarios.from_dict(merged(base, changes))


def options(**changes: Any) -> dict[str, Any]:
    return {"options": changes}


def finished(scenario: scenarios.Scenario) -> tuple[Any, Any]:
    """The method as a run leaves it, and the result of the run."""
    run = RunExecution(NamedBuild(build(scenario)), None, checkpoint_every_s=10.0)
    return run.simulation.method, run.execute()


def events(result: Any, kind: str) -> Any:
    return result.events[result.events.kind == kind]


MODEL = seam.ModelConfig(
    kind="vector-nmoe", experts=5, top_k=2, hidden=12, expert_hidden=8, layers=2
)
VECTOR = seam.LearningConfig(
    3, ("a", "b"), (3, 2), MODEL, data=seam.Data(kind="digits", trial_samples=1),
    step_size=0.1, gate_step_size_ratio=0.5, steps_per_round=2, batch_size=8, precision="float64",
)  # fmt: skip
IMAGES = replace(
    VECTOR,
    model=replace(MODEL, kind="image-nmoe", hidden=8, layers=1),
    data=seam.Data(kind="digit-images", trial_samples=1),
)


class System:
    """Clients with random features and trained experts (stage 2 is over), all gates as drawn."""

    def __init__(self, config: seam.LearningConfig = VECTOR, rounds: int = 10) -> None:
        from tests.kit.inner import learning as kit

        self.kit = kit
        self.task = seam.Learner(config).task
        self.devices = dict(zip(config.clusters, config.devices, strict=True))
        self.server = kit.extractor.start_extractor(self.task, loss="none")
        found = {n: kit.experts.features(self.task, self.server, cluster=n) for n in self.devices}
        self.experts = {
            n: kit.experts.train_experts(
                self.task, found[n], cluster=n, rounds=[rounds] * k, first_round=[0] * k
            )
            for n, k in self.devices.items()
        }
        all_experts = self.experts.values()
        self.known = {
            n: kit.experts.knowledge(self.task, found[n], *all_experts) for n in self.devices
        }
        self.tested = kit.experts.tested(self.task, self.server, *all_experts)

    def start(self) -> dict[str, seam.Tensors]:
        gate = self.kit.gates.start_gate(self.task)
        return {n: self.kit.gates.spread(self.task, gate, cluster=n) for n in self.devices}

    def train(
        self, rounds: int, gates: dict[str, seam.Tensors] | None = None
    ) -> dict[str, seam.Tensors]:
        """The gates after so many rounds of every client by itself."""
        gates = gates or self.start()
        nothing = {n: [0] * k for n, k in self.devices.items()}
        return {n: self.trained(gates[n], n, [rounds] * len(nothing[n]), nothing[n]) for n in gates}

    def trained(self, gates: seam.Tensors, cluster: str, rounds: Any, first: Any) -> seam.Tensors:
        """The gates of one cluster after some rounds of each client, all experts in reach."""
        return self.kit.gates.train_gates(
            self.task, gates, self.known[cluster], cluster=cluster, rounds=rounds,
            first_round=first, reach=[True] * 5,
        )  # fmt: skip


IN_ORBIT: dict[str, Any] = {
    "seed": 3,
    "start": "2026-08-22T00:00:00Z",
    "stop": {"days": 0.25},
    "roles": {"server": "stations", "clients": "satellites"},
    "orbit": {
        "source": "walker", "pattern": "star", "satellites": 12, "planes": 2, "altitude_km": 1200,
        "inclination_deg": 86, "phasing": 1, "min_elevation_deg": 5,
    },
    "ground": {
        "antennas": "unlimited",
        "stations": [{"name": "Svalbard", "latitude_deg": 78.23, "longitude_deg": 15.39}],
    },
    "link": {
        "preset": "physical",
        "isl": {
            "within_plane": "ring", "between_planes": "neighbours", "terminals": 4,
            "rate_mbps": 0.5, "route": "earliest",
        },
    },
    "compute": {"seconds_per_round": 2},
    "learning": {
        "method": "nmoe", "steps_per_round": 2, "batch_size": 8, "step_size": 0.1,
        "gate_step_size_ratio": 1.0,
        "model": {"kind": "vector-nmoe", "hidden": 32, "expert_hidden": 8},
        "data": {"kind": "digits", "split": {"over": "clients", "kind": "shards", "classes": 2}},
        "options": {
            "extractor": "fedce", "extractor_rounds": 2, "expert_rounds": 6, "gate_rounds": 4,
            "inference_samples": 12, "inference_batch": 4, "inference_interval_s": 0.5,
        },
    },
}  # fmt: skip
"""Twelve satellites in two rings, with an expert each, whose messages travel from link to link."""
