"""Scenarios of idealised slots, in which each cluster has one in turn."""

from collections.abc import Mapping, Sequence
from typing import Any

import scenarios


def in_slots(
    seed: int, cycles: int, clusters: Sequence[Mapping[str, Any]], learning: Mapping[str, Any]
) -> scenarios.Scenario:
    """Return a scenario with a slot of ten minutes for each cluster, and a minute a round."""
    return scenarios.from_dict(
        {
            "seed": seed,
            "stop": {"cycles": cycles},
            "ground": {"clusters": clusters},
            "orbit": {"source": "slots", "slots": {"count": len(clusters), "seconds": 600}},
            "link": {"preset": "paper"},
            "compute": {"seconds_per_round": 60},
            "learning": learning,
        }
    )
