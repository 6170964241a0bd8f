"""Small scenarios of networked experts for the tests of ``sim``."""

from __future__ import annotations

from typing import Any

import scenarios
from tests.kit.small import merged

NMOE: dict[str, Any] = {
    "seed": 3,
    "stop": {"cycles": 12},
    "orbit": {"source": "slots", "slots": {"seconds": 600}},
    "ground": {"clusters": [{"name": "A", "devices": 2}, {"name": "B", "devices": 3}]},
    "link": {
        "preset": "paper",
        "relay": "store",
        "sidelink": {"rate_mbps": 1, "distance_km": 0.3},
    },
    "compute": {"seconds_per_round": 60},
    "learning": {
        "method": "nmoe",
        "steps_per_round": 1,
        "batch_size": 4,
        "model": {"kind": "image-nmoe", "hidden": 8, "expert_hidden": 8},
        "data": {"kind": "digit-images"},
        "options": {
            "extractor": "fedce",
            "extractor_rounds": 2,
            "expert_rounds": 2,
            "gate_rounds": 2,
            "exchange": "experts",
            "inference_samples": 0,
        },
    },
}
"""Five clients in two slots that take turns, a few milliseconds of training each."""

TEN: dict[str, Any] = merged(
    NMOE,
    {
        "stop": {"cycles": 30},
        "ground": {"clusters": [{"name": "A", "devices": 10}]},
        "learning": {
            "steps_per_round": 10,
            "batch_size": 32,
            "step_size": 0.1,
            "gate_step_size_ratio": 1.0,
            "model": {"kind": "vector-nmoe", "hidden": 256, "expert_hidden": 16},
            "data": {"kind": "digits", "partition": "classes"},
            "options": {"extractor": "none", "expert_rounds": 20, "gate_rounds": 20},
        },
    },
)
"""Ten clients with two digits each behind random features: the toy of the notes, in seconds."""


def nmoe(base: dict[str, Any] = NMOE, **changes: Any) -> scenarios.Scenario:
    return scenarios.from_dict(merged(base, changes))


def options(**changes: Any) -> dict[str, Any]:
    return {"options": changes}
