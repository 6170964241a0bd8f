"""Fig. 7 of EMS-FL: accuracy on each local test set and on all of them, before and after tuning.

    python papers/ems_fl_fig_7.py

Means over five seeds, with their range. The paper's bars have the most related single expert, too:
`python papers/local_sets.py paper-exp1-small 5 30` measures it.
"""

from ems_fl import bars, by_set, rows_by_set
from paper_runs import by_variant, runs, save, table

VARIANTS = {
    "baseline": {"learning.method": "synchronous"},
    "EMS-FL": {"learning.method": "emsfl-enhanced"},
}


def main() -> None:
    """Tune by both schemes for 30 cycles, print and draw the accuracies."""
    keys = {"seed": 0, "stop.cycles": 30}
    made = by_variant(runs("ems_fl_tuning", "paper-exp1-small", keys, VARIANTS, seeds=5))
    models = {"start model": [by_set(run.result, first=True) for run in made["baseline"]]}
    models |= {name: [by_set(run.result) for run in made[name]] for name in VARIANTS}
    head, *rows = rows_by_set(models)
    print(table(head, rows))
    save(bars(models), "ems_fl_fig_7")


if __name__ == "__main__":
    main()
