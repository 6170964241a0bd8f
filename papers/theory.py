"""Theorems 1 and 2 beside runs: the squared gradient over T cycles of EMS-FL and its baseline.

    python papers/theory.py [seeds] [step]

Runs of EMS-FL and its baseline in the small Experiment 1, as the analysis has them: a device a
cluster, one step a round over a minibatch as large as its data, whole matrices, eta_E = step /
sqrt(T) over T cycles. The gate's step eta_U is gamma times that with EMS-FL, so that eta_E =
eta_U / gamma, and as large as the experts' in the baseline. Theorem 1 speaks of steps up to
eta_U / gamma = 1 / sqrt(T): of these runs with a step of at most 1. Data are spread evenly
(gamma 1) or all at home (gamma = C = 3).

The table has the squared gradient of the global loss in the mean over the ends of all T cycles and
at the last one, with 95 % intervals over seeds; the ratio is that of EMS-FL to the baseline, a
geometric mean over seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from statistics import mean
from typing import Any

from by_seed import OWN_DATA, mean_of
from paper_runs import by_variant, runs

SCENARIO = "paper-exp1-small"
CYCLES = (16, 64)
SHARES = {"even": 0.3333, "at home": 1.0}
"""Share of a cluster's samples that are of its own domain, of three."""
GAMMA = {"even": 1.0, "at home": 3.0}
LARGEST_STEP = 1.0
"""Times 1 / sqrt(T): the largest eta_U / gamma of which Theorem 1 speaks."""
BASELINE, OWN = "synchronous", "emsfl"
METRIC = "squared_gradient_norm"
FIXED: dict[str, Any] = {
    "ground.clusters": [{"name": name, "devices": 1} for name in "ABC"],
    "learning.lora.rank": None,
    "learning.steps_per_round": 1,
    "learning.batch_size": 400,
    "learning.metrics": [METRIC],
}


def runs_of(data: str, seeds: int, step: float) -> dict[str, list[Any]]:
    """Return the runs of each method and T, one a seed: `METHOD T`."""
    variants = {
        f"{method} {cycles}": {
            "learning.method": method,
            # The theorems have each expert in one cluster.
            **({"learning.options.resplit_cycles": 0} if method == OWN else {}),
            "learning.step_size": step / cycles**0.5,
            "learning.gate_step_size_ratio": GAMMA[data] if method == OWN else 1.0,
            "stop.cycles": cycles,
        }
        for method in (BASELINE, OWN)
        for cycles in CYCLES
    }
    fixed = {"seed": 0, **FIXED, OWN_DATA: SHARES[data]}
    return by_variant(runs(SCENARIO, variants, fixed=fixed, seeds=seeds))


def squared_gradients(run: Any) -> tuple[float, float]:
    """Return the squared gradient in the mean over the ends of all cycles, and at the last one."""
    rows = run.metrics[run.metrics.scope == "global"]
    by_cycle = rows.groupby("cycle")[METRIC].last().to_numpy()
    return float(by_cycle[1:].mean()), float(by_cycle[-1])


def cell(values: Sequence[float], *, ratios: bool = False) -> str:
    """Show the mean with its 95 % interval over seeds; of ratios the geometric mean."""
    middle, *ends = mean_of(values, ratios=ratios)
    low, high = ends or (middle, middle)
    return f"{middle:.3g} ({low:.3g}..{high:.3g})"


def main(seeds: str = "10", step: str = "2") -> None:
    """Run, and print the table."""
    n, size = int(seeds), float(step)
    allowed = "within" if size <= LARGEST_STEP else "above"
    print(f"{SCENARIO}, seeds 0 to {n - 1}, eta_E = {size:g} / sqrt(T), eta_U = gamma eta_E")
    print(f"{allowed} Theorem 1's condition, eta_E <= eta_U / gamma <= 1 / sqrt(T)")
    print("\nsquared gradient of the global loss: mean over the ends of T cycles, and at the last")
    heads = f"{'baseline':>30}{'EMS-FL':>30}{'ratio':>30}"
    print(f"{'data':<9}{'gamma':>6}{'T':>4}  {'':<6}{heads}")
    for data in SHARES:
        made = runs_of(data, n, size)
        densities = (run.summary["density_ratio"].values() for run in made[f"{OWN} {CYCLES[-1]}"])
        gamma = mean(map(mean, densities))
        for cycles in CYCLES:
            both = [
                [squared_gradients(run) for run in made[f"{m} {cycles}"]] for m in (BASELINE, OWN)
            ]
            for place, name in enumerate(("mean", "last")):
                base, own = ([pair[place] for pair in method] for method in both)
                ratios = [b / a for a, b in zip(base, own, strict=True)]
                cells = (cell(base), cell(own), cell(ratios, ratios=True))
                shown = "".join(f"{text:>30}" for text in cells)
                print(f"{data:<9}{gamma:>6.2f}{cycles:>4}  {name:<6}{shown}")


if __name__ == "__main__":
    main(*sys.argv[1:])
