"""Where the advantage of EMS-FL goes when a contact holds more than one local round.

    python papers/gain.py [seeds] [picture]

The gain is cycles to 85 % of the synchronous baseline over those of enhanced EMS-FL: by medians in
the table, seed by seed in the picture (a file of any kind that matplotlib writes).
"""

from __future__ import annotations

import math
import sys
from statistics import median

from batch import Outcome, final, grouped, ratio, run_all, seeded, using
from paper_runs import spread

ROUNDS = (1, 2, 4, 8, "fill")
METHODS = ("synchronous", "emsfl-enhanced")


def main(seeds: str = "5", picture: str | None = None) -> None:
    """Run, print the table, and draw it if asked to."""
    n = int(seeds)
    # Thirty-second rounds, so that a slot of ten minutes has room for many of them; disconnected
    # phases stay those of the paper: one round a slot, three in a gap.
    fixed = {"learning.rounds.per_gap_max": 3, "compute.seconds_per_round": 30}
    points = [
        (
            "paper-slots",
            {**fixed, "learning.rounds.per_contact": rounds, **using(method, "paper-slots")},
        )
        for rounds in ROUNDS
        for method in METHODS
    ]
    found = iter(grouped(run_all(seeded(points, n)), n))
    print(f"paper-slots, seeds 0 to {n - 1}: cycles to 0.85, median (range); final accuracy\n")
    print(f"{'':<22}{'synchronous':>22}{'final':>8}{'emsfl-enhanced':>22}{'final':>8}{'gain':>8}")
    by_seed: list[list[float]] = []
    for rounds in ROUNDS:
        baseline, own = next(found), next(found)
        both = zip(baseline, own, strict=True)
        by_seed.append([one.cycles / other.cycles for one, other in both])
        gain = ratio((row.cycles for row in baseline), (row.cycles for row in own))
        print(f"rounds a contact {rounds!s:<5}{_cells(baseline)}{_cells(own)}{gain:>8}")
    if picture is not None:
        draw(by_seed, picture)


def draw(by_seed: list[list[float]], path: str) -> None:
    """Draw the gain of each seed over the rounds of a contact, and the medians."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 3.4), layout="constrained")
    axes = figure.subplots()
    for place, gains in enumerate(by_seed):
        known = [gain for gain in gains if math.isfinite(gain)]
        axes.plot([place] * len(known), known, "o", color="tab:blue", alpha=0.4)
    places = range(len(by_seed))
    axes.plot(places, [median(gains) for gains in by_seed], "_", color="tab:blue", markersize=22)
    axes.axhline(1.0, color="grey", linewidth=1.0)
    names = ["all that fit" if rounds == "fill" else str(rounds) for rounds in ROUNDS]
    axes.set_xticks(places, names)
    axes.set_xlabel("local rounds in a contact")
    axes.set_ylabel("gain in cycles to 85 %")
    axes.set_ylim(bottom=0.0)
    figure.savefig(path)


def _cells(rows: list[Outcome]) -> str:
    return f"{spread(row.cycles for row in rows):>22}{final(rows):>8}"


if __name__ == "__main__":
    main(*sys.argv[1:])
