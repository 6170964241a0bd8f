"""Scenarios of idealised slots, in which each cluster has one in turn."""

import scenarios


def in_slots(seed, cycles, clusters, learning):
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
