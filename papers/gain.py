"""Where the advantage of EMS-FL goes: with more local rounds in a contact, and with idle slots.

    python papers/gain.py [seeds]

The gain is cycles (or slots) to 85 % of the synchronous baseline over those of enhanced EMS-FL, by
medians over seeds. Idle slots (Remark 4) are slots without any cluster in view; those runs end at
85 % and are evaluated after each slot.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from by_seed import FINAL, cycles_to, reached
from paper_runs import Keys, by_variant, ratio, runs, spread

import leomix

SCENARIO = "paper-slots"
TARGET = 0.85
ROUNDS = (1, 2, 4, 8, "fill")
IDLE = (0, 4, 12)
METHODS = ("synchronous", "emsfl-enhanced")
CYCLES = cycles_to(TARGET)


def both_methods(
    fixed: Keys, key: str, values: Sequence[Any], seeds: int
) -> Mapping[Any, list[list[Any]]]:
    """Return the runs of the baseline and those of EMS-FL for each value of a key."""
    variants = {
        f"{value} {name}": {key: value, "learning.method": name}
        for value in values
        for name in METHODS
    }
    made = by_variant(runs(SCENARIO, variants, fixed={"seed": 0, **fixed}, seeds=seeds))
    return {value: [made[f"{value} {name}"] for name in METHODS] for value in values}


def main(seeds: str = "5") -> None:
    """Run, and print both tables."""
    n, slot_h = int(seeds), leomix.load(SCENARIO).orbit.slots.seconds / 3600
    # Thirty-second rounds, so that a slot of ten minutes has room for many of them; disconnected
    # phases stay those of the paper: one round a slot, three in a gap.
    fixed = {"learning.rounds.per_gap_max": 3, "compute.seconds_per_round": 30}
    by_rounds = both_methods(fixed, "learning.rounds.per_contact", ROUNDS, n)
    print(f"{SCENARIO}, seeds 0 to {n - 1}: cycles to 0.85, median (range); final accuracy\n")
    print(f"{'':<22}{'synchronous':>22}{'final':>8}{'emsfl-enhanced':>22}{'final':>8}{'gain':>8}")
    for rounds, pair in by_rounds.items():
        cells = (f"{spread(map(CYCLES, own)):>22}{mean(map(FINAL.of, own)):>8.3f}" for own in pair)
        print(f"rounds a contact {rounds!s:<5}{''.join(cells)}{gain(CYCLES, pair):>8}")
    until = {"stop.accuracy": TARGET, "learning.evaluate_every_hours": slot_h}
    slots = reached(TARGET, "hours", slot_h)
    print(f"\n{SCENARIO}, seeds 0 to {n - 1}: time to {TARGET:.2f}, median (range)\n")
    print(f"{'':<5}{'synchronous':>33}{'emsfl-enhanced':>33}{'gain':>16}")
    heads = f"{'cycles':>15}{'slots':>18}"
    print(f"{'idle':<5}{heads}{heads}{'cycles':>8}{'slots':>8}")
    for idle, pair in both_methods(until, "orbit.slots.idle", IDLE, n).items():
        cells = (
            f"{spread(map(CYCLES, own)):>15}{spread(map(slots, own), '{:.0f}'):>18}" for own in pair
        )
        print(f"{idle:<5}{''.join(cells)}{gain(CYCLES, pair):>8}{gain(slots, pair):>8}")


def gain(figure: Any, pair: Sequence[Sequence[Any]]) -> str:
    """Show how many times more the baseline takes."""
    return ratio(*(map(figure, own) for own in pair))


if __name__ == "__main__":
    main(*sys.argv[1:])
