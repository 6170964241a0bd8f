"""Small scenarios for the tests of ``sim``."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import scenarios

SLOTS: dict[str, Any] = {
    "seed": 3,
    "stop": {"cycles": 3},
    "orbit": {"source": "slots", "slots": {"seconds": 600, "idle": 1}},
    "ground": {"clusters": [{"name": "A", "devices": 2}, {"name": "B", "devices": 3}]},
    "link": {"preset": "paper"},
    "compute": {"seconds_per_round": 200},
    "learning": {
        "method": "emsfl",
        "steps_per_round": 1,
        "batch_size": 4,
        "gate_tuning_cycles": 1,
        "lora": {"rank": 2},
        "pretraining": {"backbone_steps": 3, "expert_steps": 3, "gate_steps": 3},
        "model": {"experts": 2, "hidden": 16, "expert_hidden": 16},
    },
}
"""Two clusters in three slots, a few milliseconds of training a contact."""

ORBIT: dict[str, Any] = {
    **deepcopy(SLOTS),
    "start": "2026-08-22T00:00:00Z",
    "stop": {"days": 1.5},
    "orbit": {"source": "circular", "altitude_km": 600, "inclination_deg": 97.8},
    "ground": {
        "clusters": [
            {
                "name": "North",
                "latitude_deg": 60,
                "longitude_deg": 20,
                "devices": 3,
                "radius_km": 60,
            },
            {"name": "South", "latitude_deg": -35, "longitude_deg": 150, "devices": 2},
        ]
    },
    "link": {"preset": "physical"},
}
"""A real orbit over two clusters."""

NEAR = [
    {"name": "Here", "latitude_deg": 60, "longitude_deg": 20},
    {"name": "There", "latitude_deg": 58, "longitude_deg": 25},
    {"name": "Yonder", "latitude_deg": 62, "longitude_deg": 27},
]
"""Three clusters that one satellite sees at once."""


OVER_GRID: dict[str, Any] = {
    **{"learning.train": False, "learning.method": "fedavg", "learning.options": {}},
    **{"link.isl.route": "earliest", "link.isl.between_planes": "grid"},
}
"""Keys over ``iridium-isl``: FedAvg for its timing, over a mesh of four links a satellite."""


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    result = deepcopy(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def slots(**changes: Any) -> scenarios.Scenario:
    return scenarios.from_dict(merged(SLOTS, changes))


def orbit(**changes: Any) -> scenarios.Scenario:
    return scenarios.from_dict(merged(ORBIT, changes))


def fixed(**rates_mbps: float) -> dict[str, Any]:
    """Links of fixed rates: ``fixed(uplink=1e-5)``."""
    return {way: {"rate": "fixed", "fixed_rate_mbps": rate} for way, rate in rates_mbps.items()}
