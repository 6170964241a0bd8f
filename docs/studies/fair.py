"""EMS-FL against other methods, each with settings that were chosen for it.

    python docs/studies/fair.py [seeds] [folder] [jobs]

The scenario is quickstart-8b. Step size and local rounds of each method are those with the highest
mean accuracy on validation samples after two days, over five seeds that are not used again. The row
of the paper has its one round per contact, and a step size that was chosen in the same way. The
chosen settings are then run without a validation split, with other seeds: 1 and following. The
folder has all runs (`tuned`, `tuned-paper`, `runs`); runs that are there are not run again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from by_seed import (
    SHARE,
    Measure,
    Step,
    accuracy_after,
    average_until,
    compared,
    measured,
    print_means,
    reached,
    sent,
    summary,
)

import leomix

SCENARIO = "quickstart-8b"
STEP_SIZES = (0.03, 0.1, 0.3, 1.0)
ROUNDS = (1, 4, 8, 16)
"""Rounds per contact and at most per gap. A pass of eight minutes holds up to 24 of them."""
DAYS = 2
"""Settings are compared after so many days."""
TUNED_ON = 101
"""The first of the seeds that settings are chosen with; results are of seeds from 1 on."""
TUNING_SEEDS = 5
LAST_DAY = 13
"""Days until which accuracy is averaged: all runs cover them."""
FINELY = {"learning.evaluate_every_hours": 3}

UNBUFFERED = {
    "learning.method": "fedbuff",
    "learning.options.buffer_size": 1,
    "learning.options.staleness": "constant",
}
CHANGED = {"learning.upload": "changed"}
IN_GAPS = {"learning.options.trains": "gaps"}
CONTENDERS: dict[str, dict[str, Any]] = {
    "emsfl-enhanced": {"learning.method": "emsfl-enhanced"},
    "emsfl": {"learning.method": "emsfl"},
    "synchronous": {"learning.method": "synchronous"},
    "synchronous, changed": {"learning.method": "synchronous", **CHANGED},
    "fedbuff": UNBUFFERED,
    "fedbuff, changed": {**UNBUFFERED, **CHANGED},
    "fedavg": {"learning.method": "fedavg", **IN_GAPS},
    "fedavg, changed": {"learning.method": "fedavg", **IN_GAPS, **CHANGED},
    "model per city, changed": {"learning.method": "fedavg-per-cluster", **IN_GAPS, **CHANGED},
    "local": {"learning.method": "local"},
}
"""`changed`: parts that a client has not changed are not sent."""
PAPER = "synchronous, as in the paper"
OF_THE_PAPER = {PAPER: {"learning.method": "synchronous", "learning.rounds.per_contact": 1}}
OWN = "emsfl-enhanced"

TESTED = (
    Measure("days to 0.85", reached(0.85, "hours", 24), "{:.2f}", ratios=True),
    Measure("days to 0.90", reached(0.90, "hours", 24), "{:.2f}", ratios=True),
    Measure(f"after {DAYS} days", accuracy_after(DAYS), "{:.3f}", SHARE),
    Measure("time-averaged", average_until(LAST_DAY), "{:.3f}", SHARE),
    Measure("last accuracy", summary("accuracy_final"), "{:.3f}", SHARE),
)
COSTS = (
    Measure("GB up to 0.90", sent(0.90, "uplink"), "{:.2f}"),
    Measure("GB down to 0.90", sent(0.90, "downlink"), "{:.2f}"),
    Measure("MJ to 0.90", reached(0.90, "energy_j", 1e6), "{:.2f}"),
    Measure("gradient steps to 0.90", reached(0.90, "gradient_steps"), "{:.0f}"),
    Measure("GB of a device", summary("device_memory_bytes", 1e9), "{:.1f}"),
)


def main(seeds: str = "10", folder: str = "runs/fair", jobs: str = "2") -> None:
    """Tune, run what was chosen, and print both tables."""
    place = Path(folder)
    chosen = tuned(place, int(jobs))
    print(f"{SCENARIO}: chosen by validation accuracy after {DAYS} days, {TUNING_SEEDS} seeds\n")
    print(f"{'':<30}{'step size':>10}{'rounds':>8}")
    for name, keys in chosen.items():
        rounds = keys.get("learning.rounds", {"per_contact": 1})["per_contact"]
        print(f"{name:<30}{keys['learning.step_size']:>10g}{rounds:>8}")
    table = measured(
        SCENARIO,
        chosen,
        (*TESTED, *COSTS),
        out=place / "runs",
        fixed=FINELY,
        seeds=int(seeds),
        jobs=int(jobs),
    )
    print(f"\nseeds 1 to {seeds}: mean [95 % interval], of days the geometric mean\n")
    print_means(table, TESTED, 30, 22)
    print()
    print_means(table, COSTS, 30, 24)
    print(f"\n{OWN} against each: days as a ratio, accuracy as a difference\n")
    others = [name for name in table if name != OWN]
    cells, count = compared([Step(table, OWN, name, TESTED) for name in others])
    print(" " * 30 + "".join(f"{measure.head:>40}" for measure in TESTED))
    for name, row in zip(others, cells, strict=True):
        print(f"{name:<30}" + "".join(f"{cell:>40}" for cell in row))
    print(f"\np is corrected for all {count} tests (Holm); the intervals are not")


def tuned(place: Path, jobs: int) -> dict[str, dict[str, Any]]:
    """Return the keys that were chosen for each contender, the setting of the paper last."""
    rounds = [{"per_contact": each, "per_gap_max": each} for each in ROUNDS]
    grids = (
        ("tuned", CONTENDERS, {"learning.step_size": STEP_SIZES, "learning.rounds": rounds}),
        ("tuned-paper", OF_THE_PAPER, {"learning.step_size": STEP_SIZES}),
    )
    chosen: dict[str, dict[str, Any]] = {}
    for name, contenders, keys in grids:
        found = leomix.tune(
            SCENARIO,
            keys,
            out=place / name,
            overrides={"seed": TUNED_ON, "learning.data.validation": 0.2, **FINELY},
            variants=contenders,
            at_days=DAYS,
            replications=TUNING_SEEDS,
            jobs=jobs,
            resume=(place / name).exists(),
        )
        chosen |= found.chosen
        for notice in found.notices():
            print(f"note: {notice}", file=sys.stderr)
    return chosen


if __name__ == "__main__":
    main(*sys.argv[1:])
