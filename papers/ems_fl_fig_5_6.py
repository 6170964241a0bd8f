"""Fig. 5 and 6 of EMS-FL: accuracy over cycles at three step sizes, by step size and by scheme.

    python papers/ems_fl_fig_5_6.py

The step sizes are ours, as those of the paper were not available; five seeds.
"""

from ems_fl import HEAD, cells, curves, ratio
from paper_runs import printed, runs, save, table

STEP = "learning.step_size"
STEPS = (0.02, 0.1, 0.5)
VARIANTS = {
    "EMS-FL": {"learning.method": "emsfl-enhanced"},
    "baseline": {"learning.method": "synchronous"},
}


def main() -> None:
    """Run both schemes, print cycles to the target beside the paper's, and draw both figures."""
    made = runs("ems_fl_steps", "paper-exp1-small", {"seed": 0}, VARIANTS, {STEP: STEPS}, 5)
    groups = {
        (f"step size {step:g}", name): [
            run for run in made if (run.values[STEP], run.variant) == (step, name)
        ]
        for step in STEPS
        for name in VARIANTS
    }
    print(table(HEAD, [[*names, *cells(own)] for names, own in groups.items()]), end="\n\n")
    steps = [f"step size {step:g}" for step in STEPS]
    taken = {step: ratio(groups[step, "baseline"], groups[step, "EMS-FL"]) for step in steps}
    asked = {
        steps[1]: ("2", abs(taken[steps[1]] - 2) <= 0.5),
        steps[0]: ("at least 1", taken[steps[0]] >= 1),
        steps[2]: ("at least 1", taken[steps[2]] >= 1),
    }
    figure = "{}: cycles of baseline over those of EMS-FL".format
    measured = {figure(step): value for step, value in taken.items()}
    print(printed(measured, {figure(step): said for step, said in asked.items()}))
    save(curves({s: {n: groups[s, n] for n in VARIANTS} for s in steps}), "ems_fl_fig_5")
    save(curves({n: {s: groups[s, n] for s in steps} for n in VARIANTS}), "ems_fl_fig_6")


if __name__ == "__main__":
    main()
