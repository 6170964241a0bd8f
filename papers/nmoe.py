"""Fig. 3 and the tables of NMoE: every way to train extractor and gate, on digits.

    python papers/nmoe.py

Three seeds: means in Fig. 3, medians (of F1 with its range) in the table. On CIFAR-10:
`python docs/studies/gates.py nmoe-cifar10 1 ...`, as the page says.
"""

import math
from statistics import mean, median
from typing import Any

from paper_runs import Keys, by_variant, runs, save, spread, table

OPTION = "learning.options."
SLOWLY = {f"{OPTION}extractor": "fedsc", f"{OPTION}extractor_step_size_ratio": 0.1}
VARIANTS: dict[str, Keys] = {
    "FedSC, FedGate": {**SLOWLY, f"{OPTION}gate": "fedgate"},
    "centralised mixture": {f"{OPTION}gate": "central"},
    "local classifier": {f"{OPTION}extractor": "fedce", f"{OPTION}gate": "local"},
    "FedSC, RollGate": {**SLOWLY, f"{OPTION}gate": "rollgate"},
    "FedSC, RanGate": {**SLOWLY, f"{OPTION}gate": "rangate"},
    "FedCE, FedGate": {f"{OPTION}extractor": "fedce", f"{OPTION}gate": "fedgate"},
    "FedCE, RollGate": {f"{OPTION}extractor": "fedce", f"{OPTION}gate": "rollgate"},
    "FedCE, RanGate": {f"{OPTION}extractor": "fedce", f"{OPTION}gate": "rangate"},
}
IN_FIG_3 = ("FedSC, FedGate", "centralised mixture", "local classifier")


def figures(result: Any) -> tuple[float, float, float, float, float]:
    """Return F1 and local ratio (%), MB and hours of training, and latency of an answer (s)."""
    last = result.metrics[result.metrics.scope == "global"].iloc[-1]
    asked = result.summary["inference"] or {"latency_mean_s": math.nan}
    rows, first_s = result.transfers, result.inferences.time_s.min()
    # Queries have payloads of their own, but share that of relays with gates: a gate's last relay
    # has ended before anybody asks.
    relayed = (rows.payload == "relay") & (rows.start_s >= first_s)
    training = rows[~(rows.payload.isin(("feature", "output")) | relayed)]
    ends = result.events[result.events.kind == "train_end"].time_s
    return (
        100 * last.f1,
        100 * last.local_ratio,
        training.delivered_bytes.sum() / 1e6,
        max([*ends, *training.end_s]) / 3600,
        asked["latency_mean_s"],
    )


def main() -> None:
    """Run all ways, print both tables, and draw which expert the samples of each client go to."""
    made = by_variant(runs("nmoe", "nmoe-digits", {"seed": 0}, VARIANTS, seeds=3))
    found = {name: [figures(run.result) for run in made[name]] for name in VARIANTS}
    columns = {name: list(zip(*own, strict=True)) for name, own in found.items()}
    rows = [[name, *(f"{mean(columns[name][k]):.1f}" for k in (0, 1))] for name in IN_FIG_3]
    print("Fig. 3\n\n" + table(("", "F1 (%)", "LR (%)"), rows))
    rows = [
        [
            name,
            spread(f1, "{:.1f}"),
            f"{median(local):.1f}",
            f"{median(sent):.2f}",
            f"{median(hours):.2f}",
            f"{median(latency):.3f}",
        ]
        for name, (f1, local, sent, hours, latency) in columns.items()
    ]
    head = ("", "F1 (%)", "LR (%)", "training (MB)", "hours", "latency (s)")
    print("\nTables I and II\n\n" + table(head, rows))
    for name in IN_FIG_3:
        axes = made[name][0].result.plot.gating()
        save(axes.figure, f"nmoe_fig_3_{name.replace(', ', '_').replace(' ', '_')}")


if __name__ == "__main__":
    main()
