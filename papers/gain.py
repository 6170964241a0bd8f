"""Where the advantage of EMS-FL goes: with more local rounds in a contact, and with idle slots.

    python papers/gain.py [seeds]

The gain is cycles (or slots) to 85 % of the synchronous baseline over those of enhanced EMS-FL, by
medians over seeds. Idle slots (Remark 4) are slots without any cluster in view; those runs end at
85 % and are evaluated after each slot.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from batch import TARGET, Outcome, Settings, final, grouped, ratio, run_all, seeded, slot_s_of
from paper_runs import spread

SCENARIO = "paper-slots"
ROUNDS = (1, 2, 4, 8, "fill")
IDLE = (0, 4, 12)
METHODS = ("synchronous", "emsfl-enhanced")


def both_methods(rows: Sequence[Settings], seeds: int) -> list[list[list[Outcome]]]:
    """Return for each row of settings the outcomes of the baseline and those of EMS-FL, by seed."""
    points = [(SCENARIO, {**row, "learning.method": name}) for row in rows for name in METHODS]
    return grouped(grouped(run_all(seeded(points, seeds)), seeds), len(METHODS))


def main(seeds: str = "5") -> None:
    """Run, and print both tables."""
    n, slot_h = int(seeds), slot_s_of(SCENARIO) / 3600
    # Thirty-second rounds, so that a slot of ten minutes has room for many of them; disconnected
    # phases stay those of the paper: one round a slot, three in a gap.
    fixed = {"learning.rounds.per_gap_max": 3, "compute.seconds_per_round": 30}
    by_rounds = both_methods([{**fixed, "learning.rounds.per_contact": r} for r in ROUNDS], n)
    print(f"{SCENARIO}, seeds 0 to {n - 1}: cycles to 0.85, median (range); final accuracy\n")
    print(f"{'':<22}{'synchronous':>22}{'final':>8}{'emsfl-enhanced':>22}{'final':>8}{'gain':>8}")
    for rounds, pair in zip(ROUNDS, by_rounds, strict=True):
        cells = "".join(f"{spread(o.cycles for o in own):>22}{final(own):>8}" for own in pair)
        print(f"rounds a contact {rounds!s:<5}{cells}{cycles_ratio(pair):>8}")
    until = {"stop.accuracy": TARGET, "learning.evaluate_every_hours": slot_h}
    by_idle = both_methods([{**until, "orbit.slots.idle": idle} for idle in IDLE], n)
    print(f"\n{SCENARIO}, seeds 0 to {n - 1}: time to {TARGET:.2f}, median (range)\n")
    print(f"{'':<5}{'synchronous':>33}{'emsfl-enhanced':>33}{'gain':>16}")
    heads = f"{'cycles':>15}{'slots':>18}"
    print(f"{'idle':<5}{heads}{heads}{'cycles':>8}{'slots':>8}")
    for idle, pair in zip(IDLE, by_idle, strict=True):
        cells = "".join(_cycles_and_slots(own, slot_h) for own in pair)
        slots = ratio(*([outcome.hours / slot_h for outcome in own] for own in pair))
        print(f"{idle:<5}{cells}{cycles_ratio(pair):>8}{slots:>8}")


def cycles_ratio(pair: Sequence[Sequence[Outcome]]) -> str:
    """Show how many times more cycles the baseline takes."""
    return ratio(*([outcome.cycles for outcome in own] for own in pair))


def _cycles_and_slots(outcomes: Sequence[Outcome], slot_h: float) -> str:
    slots = spread((outcome.hours / slot_h for outcome in outcomes), "{:.0f}")
    return f"{spread(outcome.cycles for outcome in outcomes):>15}{slots:>18}"


if __name__ == "__main__":
    main(*sys.argv[1:])
