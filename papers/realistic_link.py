"""What a less favourable link does to EMS-FL and to its baselines: timing only.

    python papers/realistic_link.py [days]

The scenario is quickstart-8b, whose handhelds are in line of sight, with nothing lost but what its
budget says. `whole` counts the uploads that got through in these days, and `lost` is the share of
those of the first row that did not, method by method. `days` are those until the server had used
twelve updates of each city (`-`: not within these days). Rounds in a visit are those that results
chose for EMS-FL (8 in the contact, 8 in the gap) and for the tuned baseline (16); the paper's has
one.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import leomix

SCENARIO = "quickstart-8b"
DAYS = 13.0
UPDATES = 12
CONTACT, GAP = "learning.rounds.per_contact", "learning.rounds.per_gap_max"
UP_DB, DOWN_DB = "link.uplink.other_losses_db", "link.downlink.other_losses_db"
METHODS: Mapping[str, Mapping[str, Any]] = {
    "emsfl-enhanced": {"learning.method": "emsfl-enhanced", CONTACT: 8, GAP: 8},
    "synchronous": {"learning.method": "synchronous", CONTACT: 16},
    "synchronous, 1 round": {"learning.method": "synchronous", CONTACT: 1},
}
LINKS: Mapping[str, Mapping[str, Any]] = {
    "as it is": {},
    "3 dB more are lost": {UP_DB: 3, DOWN_DB: 3},
    "6 dB more are lost": {UP_DB: 6, DOWN_DB: 6},
    "in a city": {"link.environment": "urban"},
    "passes above 25 deg": {"orbit.min_elevation_deg": 25},
}
WIDTH = 26


def timed(keys: Mapping[str, Any], days: float) -> tuple[int, float | None]:
    """Return whole uploads, and the day of the twelfth used update of the last city."""
    fixed = {"learning.train": False, "stop.cycles": None, "stop.days": days}
    result = leomix.run(leomix.load(SCENARIO, {**fixed, **keys}))
    twelfth = result.updates.groupby("cluster").time_s.nth(UPDATES - 1)
    cities = len(result.scenario.ground.clusters)
    day = None if len(twelfth) < cities else float(twelfth.max()) / 86_400
    return len(result.updates), day


def main(days: str = str(DAYS)) -> None:
    """Print the table."""
    print(f"{SCENARIO}, {float(days):g} days: updates that got through whole, and how many fewer")
    print("than over the link as it is; day of the twelfth of each city\n")
    print(" " * 22 + "".join(f"{name:>{WIDTH}}" for name in METHODS))
    print(" " * 22 + f"{'whole':>10}{'lost':>8}{'days':>8}" * len(METHODS))
    first: dict[str, int] = {}
    for link, keys in LINKS.items():
        row = f"{link:<22}"
        for name, method in METHODS.items():
            whole, day = timed({**keys, **method}, float(days))
            lost = 1 - whole / first.setdefault(name, whole)
            row += f"{whole:>10}{f'{lost:.0%}':>8}{'-' if day is None else f'{day:.2f}':>8}"
        print(row, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
