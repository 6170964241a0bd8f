"""Fig. 3 of NMoE: F1 and local processing ratio of three ways to train extractor and gate.

    python papers/nmoe.py

Means of three seeds, on digits. `gates.py` has all ways, and CIFAR-10.
"""

from statistics import mean
from typing import Any

from gates import using
from paper_runs import Keys, by_variant, runs, save, table

VARIANTS: dict[str, Keys] = {
    "FedSC, FedGate": using("fedsc", "fedgate"),
    "centralised mixture": using("-", "central"),
    "local classifier": using("fedce", "local"),
}


def figures(result: Any) -> tuple[float, float]:
    """Return F1 and local ratio (%)."""
    last = result.metrics[result.metrics.scope == "global"].iloc[-1]
    return 100 * last.f1, 100 * last.local_ratio


def main() -> None:
    """Run them, print the table, and draw which expert the samples of each client go to."""
    made = by_variant(runs("nmoe", "nmoe-digits", {"seed": 0}, VARIANTS, seeds=3))
    rows = []
    for name, own in made.items():
        columns = zip(*(figures(run.result) for run in own), strict=True)
        rows.append([name, *(f"{mean(column):.1f}" for column in columns)])
    print("Fig. 3\n\n" + table(("", "F1 (%)", "LR (%)"), rows))
    for name, own in made.items():
        axes = own[0].result.plot.gating()
        save(axes.figure, f"nmoe_fig_3_{name.replace(', ', '_').replace(' ', '_')}")


if __name__ == "__main__":
    main()
