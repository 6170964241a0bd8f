"""FedProx's own experiment: clients that a pass leaves unfinished, dropped or kept.

    python docs/studies/stragglers.py [seeds] [rounds] [steps]

Synthetic(1, 1) of Li et al. (arXiv 1812.06127): 30 clients, logistic regression, plain SGD. In each
round a satellite passes over ten of them, drawn at random. Of these 0, 50 or 90 %, drawn as well,
have a pass that is too short: it ends behind one to nine of their ten local rounds, which are
``steps`` of SGD together. FedAvg drops what these have done, FedProx averages it, with mu = 0 and
with mu = 1. Passes are the same for all methods. Figures are the mean accuracy of the last quarter
of the rounds over the test samples of all clients, mean and 95 % interval over seeds; a seed draws
the data, too. Behind them stands what mu = 1 adds to mu = 0 with the same seeds.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from statistics import mean, stdev
from typing import Any

import numpy as np
from scipy import stats

CLIENTS, CHOSEN, LOCAL_ROUNDS = 30, 10, 10
ROUND_S, LOCAL_ROUND_S = 600.0, 40.0
START = datetime(2026, 8, 15, tzinfo=UTC)
SHAPE = {"in_features": 60, "out_features": 10}
SHARES = (0.0, 0.5, 0.9)
METHODS: dict[str, dict[str, Any]] = {
    "fedavg, drops": {"method": "fedavg"},
    "fedprox, mu 0": {"method": "fedprox", "options": {"mu": 0.0}},
    "fedprox, mu 1": {"method": "fedprox", "options": {"mu": 1.0}},
}


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean, and half of its 95 % interval by Student's t; nan of fewer than three."""
    if len(values) < 3:
        return mean(values), math.nan
    quantile = float(stats.t.ppf(0.975, len(values) - 1))
    return mean(values), quantile * stdev(values) / math.sqrt(len(values))


def passes(share: float, rounds: int, seed: int) -> str:
    """Return the windows of all clients, as CSV; of a ``share`` of each round's they are short."""
    draw = np.random.default_rng(seed)
    lines = ["site,rise_utc,duration_s"]
    for number in range(rounds):
        rise = START + timedelta(seconds=number * ROUND_S)
        chosen = draw.permutation(CLIENTS)[:CHOSEN]
        early = draw.integers(1, LOCAL_ROUNDS, CHOSEN)
        short = np.arange(CHOSEN) < round(share * CHOSEN)
        ends = np.where(short, early, LOCAL_ROUNDS)
        # Half a local round more than are ended: the upload does not change how many those are.
        for client, whole in zip(chosen, ends, strict=True):
            lines.append(f"{name_of(client)},{rise.isoformat()},{(whole + 0.5) * LOCAL_ROUND_S}")
    # The last round ends when somebody comes back.
    end = START + timedelta(seconds=rounds * ROUND_S)
    return "\n".join([*lines, f"{name_of(0)},{end.isoformat()},1"])


def name_of(client: int) -> str:
    """Return what a client is called."""
    return f"client-{client:02d}"


def scenario(
    method: dict[str, Any], share: float, seed: int, rounds: int, steps: int
) -> dict[str, Any]:
    """Return a run of ``rounds`` rounds in which a ``share`` of the passes are too short."""
    windows = passes(share, rounds, seed)
    return {
        "seed": seed,
        "stop": {},
        "orbit": {"source": "contacts", "windows": windows, "beams": CHOSEN},
        "ground": {"clusters": [{"name": name_of(client)} for client in range(CLIENTS)]},
        "link": {"preset": "paper"},
        "compute": {"seconds_per_round": LOCAL_ROUND_S},
        "learning": {
            **method,
            "rounds": {"per_contact": LOCAL_ROUNDS},
            "steps_per_round": steps // LOCAL_ROUNDS,
            "batch_size": 10,
            "step_size": 0.1,
            "evaluate_every_hours": ROUND_S / 3600,
            "aggregation": {"when": "deadline", "deadline_s": ROUND_S - 10},
            "model": {"kind": "torch.nn:Linear", "arguments": SHAPE},
            "data": {"kind": "synthetic", "arguments": {"alpha": 1, "beta": 1}},
        },
    }


def late_accuracy(run: dict[str, Any]) -> float:
    """Return the mean accuracy of the last quarter of a run's rounds."""
    import scenarios
    import sim

    found = sim.run(scenarios.from_dict(run)).evaluations
    return float(np.mean([e.accuracy for e in found if e.hours > 0.75 * found[-1].hours]))


def main(seeds: str = "3", rounds: str = "30", steps: str = "500") -> None:
    """Run, and print the table."""
    print(f"Synthetic(1, 1), {CLIENTS} clients, {rounds} rounds of {steps} steps, {seeds} seeds:")
    print("accuracy, mean of the last quarter of the rounds\n")
    print(f"{'stragglers':<16}" + "".join(f"{share:>20.0%}" for share in SHARES))
    found: dict[str, list[list[float]]] = {}
    for method, settings in METHODS.items():
        found[method] = [
            [
                late_accuracy(scenario(settings, share, seed, int(rounds), int(steps)))
                for seed in range(int(seeds))
            ]
            for share in SHARES
        ]
        show(method, found[method])
    without, term = (np.array(found[f"fedprox, mu {mu}"]) for mu in (0, 1))
    show("mu 1 less mu 0", (term - without).tolist(), "+.3f")


def show(name: str, rows: list[list[float]], form: str = ".3f") -> None:
    """Print the mean and the interval of each share's seeds."""
    cells = ("{:{f}} +- {:.3f}".format(*interval(seeded), f=form) for seeded in rows)
    print(f"{name:<16}" + "".join(f"{cell:>20}" for cell in cells), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
