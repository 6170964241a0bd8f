"""Fig. 8 and 9 of EMS-FL: eight experts from random weights, over cycles and on each test set.

    python papers/ems_fl_fig_8_9.py

Digits in place of GLUE, five seeds; runs end after 20 cycles, and the enhanced form tunes its gate
in the last two.
"""

from ems_fl import HEAD, bars, by_set, cells, curves, ratio, rows_by_set
from paper_runs import Keys, by_variant, printed, runs, save, table

VARIANTS: dict[str, Keys] = {
    "baseline": {"learning.method": "synchronous"},
    "standard EMS-FL": {"learning.method": "emsfl"},
    "EMS-FL": {"learning.method": "emsfl-enhanced"},
}
STEP = "step size 0.05"


def main() -> None:
    """Train by three schemes, print both tables and draw both figures."""
    keys = {"seed": 0, "stop.cycles": 20, "learning.step_size": 0.05}
    made = by_variant(runs("ems_fl_training", "paper-exp2-small", keys, VARIANTS, seeds=5))
    print("Fig. 8\n")
    print(table(HEAD, [[STEP, name, *cells(made[name])] for name in VARIANTS]), end="\n\n")
    figure = f"{STEP}: cycles of baseline over those of EMS-FL"
    taken = ratio(made["baseline"], made["EMS-FL"])
    print(printed({figure: taken}, {figure: ("4", abs(taken - 4) <= 1)}))
    print("\nFig. 9\n")
    models = {name: [by_set(run.result) for run in made[name]] for name in VARIANTS}
    head, *rows = rows_by_set(models)
    print(table(head, rows))
    save(curves({STEP: {name: made[name] for name in VARIANTS}}), "ems_fl_fig_8")
    save(bars(models), "ems_fl_fig_9")


if __name__ == "__main__":
    main()
