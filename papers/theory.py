"""Theorems 1 and 2 beside runs: gradients, deviations, bounds, and the squared gradient over T.

    python papers/theory.py [seeds] [step]

Runs of EMS-FL and its baseline in the small Experiment 1, as the analysis has them: a device a
cluster, one step a round over a minibatch as large as its data, whole matrices, eta_E = step /
sqrt(T) over T cycles. The gate's step eta_U is gamma times that with EMS-FL, so that eta_E =
eta_U / gamma, and as large as the experts' in the baseline. Theorem 1 speaks of steps up to
eta_U / gamma = 1 / sqrt(T): of these runs with a step of at most 1. Data are spread evenly
(gamma 1) or all at home (gamma = C = 3).

The first table has squared norms at the start and at the end of the longest runs, means over
seeds: of the gradient of the global loss by experts and gate; of the deviations (24), (25), (39)
and (41) of a cluster's full gradient, means over clusters (of (39) sums over the clusters' own
experts); and L, the largest curvature there by power iteration. The second has the squared
gradient in the mean over the ends of all T cycles and at the last one, with 95 % intervals over
seeds; the ratio is that of EMS-FL to the baseline, a geometric mean over seeds. The bounds are
those of docs/annex/results.md, from the estimates of each seed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from batch import Point, learner_of, results, seeded
from scipy.stats import t
from torch.nn import functional

Tensors = Mapping[str, Any]
"""By stored name."""
SCENARIO = "paper-exp1-small"
CYCLES = (16, 64)
SHARES = {"even": 0.3333, "at home": 1.0}
"""Share of a cluster's samples that are of its own domain, of three."""
GAMMA = {"even": 1.0, "at home": 3.0}
LARGEST_STEP = 1.0
"""Times 1 / sqrt(T): the largest eta_U / gamma of which Theorem 1 speaks."""
BASELINE, OWN = "synchronous", "emsfl"
WAYS = [(method, cycles) for method in (BASELINE, OWN) for cycles in CYCLES]
METRIC = "squared_gradient_norm"
ITERATIONS = 12
PERTURBATION = 0.01
"""Length of the step over which gradients are compared for a curvature."""
FIXED: dict[str, Any] = {
    "ground.clusters": [{"name": name, "devices": 1} for name in "ABC"],
    "learning.lora.rank": None,
    "learning.steps_per_round": 1,
    "learning.batch_size": 400,
    "learning.metrics": [METRIC],
}
CLUSTERS = len(FIXED["ground.clusters"])


@dataclass(frozen=True)
class Estimates:
    """What Assumptions 1 to 4 bound, at one model; squares of norms but for ``loss`` and L.

    ``own`` and ``own_gate`` are deviations from the scaled gradient, (39) and (41), ``shared`` and
    ``shared_gate`` those of the baseline, (24) and (25).
    """

    loss: float
    experts: float
    gate: float
    shared: float
    own: float
    own_gate: float
    curvature: float

    @property
    def shared_gate(self) -> float:
        """Of the baseline (25): the same as (41), as all clusters hold the same model here."""
        return self.own_gate


@dataclass(frozen=True)
class Seed:
    """One seed's ``gamma``, mean and last squared gradient by method and T, and estimates."""

    gamma: float
    means: Mapping[tuple[str, int], float]
    lasts: Mapping[tuple[str, int], float]
    largest: float
    at: Mapping[str, Estimates]


def of_seeds(data: str, seeds: int, step: float) -> list[Seed]:
    """Run both methods over all T, and estimate at the start and at the ends."""
    plain = {**FIXED, "learning.data.own_domain_fraction": SHARES[data]}
    points: list[Point] = [
        (
            SCENARIO,
            {
                **plain,
                "learning.method": method,
                # The theorems have each expert in one cluster.
                **({"learning.options.resplit_cycles": 0} if method == OWN else {}),
                "learning.step_size": step / cycles**0.5,
                "learning.gate_step_size_ratio": GAMMA[data] if method == OWN else 1.0,
                "stop.cycles": cycles,
            },
        )
        for method, cycles in WAYS
    ]
    runs = results(seeded(points, seeds))
    found = []
    for seed in range(seeds):
        learner = learner_of(SCENARIO, {**plain, "seed": seed})
        found.append(of_seed(learner, dict(zip(WAYS, runs[seed::seeds], strict=True))))
    return found


def of_seed(learner: Any, runs: Mapping[tuple[str, int], Any]) -> Seed:
    """Return what the runs of one seed, by method and T, came to."""
    means, lasts, ends = {}, {}, {}
    for way, result in runs.items():
        rows = result.metrics[result.metrics.scope == "global"]
        squares = rows.groupby("cycle")[METRIC].last().to_numpy()
        means[way] = float(squares[1:].mean())
        lasts[way] = float(squares[-1])
        largest = float(squares.max())
        ends[way[0]] = result.model()
    ratios = result.summary["density_ratio"]
    given = result.assignments[result.assignments.assigned & (result.assignments.time_s == 0)]
    owner = dict(zip(given.expert, given.cluster, strict=True))
    models = {"start": learner.force(learner.start()), **ends}
    at = {of: estimates(learner.task, model, owner, ratios) for of, model in models.items()}
    return Seed(float(np.mean([*ratios.values()])), means, lasts, largest, at)


def estimates(
    task: Any, server: Tensors, owner: Mapping[int, str], gamma: Mapping[str, float]
) -> Estimates:
    """Gradients and deviations at one model."""
    samples = {name: shards.samples for name, shards in task.shards.items()}
    found = {name: loss_of(task, server, [own]) for name, own in samples.items()}
    loss, whole = loss_of(task, server, samples.values())
    clusters = {name: own for name, (_, own) in found.items()}
    experts = {name for name in whole if name.startswith("expert.")}
    gate = whole.keys() - experts
    return Estimates(
        loss=loss,
        experts=apart(whole, {}, experts),
        gate=apart(whole, {}, gate),
        shared=mean_of(apart(own, whole, experts) for own in clusters.values()),
        own=sum(
            apart(
                clusters[name],
                {key: gamma[name] * tensor for key, tensor in whole.items()},
                {key for key in experts if key.startswith(f"expert.{expert}.")},
            )
            for expert, name in owner.items()
        ),
        own_gate=mean_of(apart(own, whole, gate) for own in clusters.values()),
        curvature=curvature(task, server),
    )


def loss_of(task: Any, server: Tensors, parts: Iterable[Any]) -> tuple[float, Tensors]:
    """Return the mean loss over some samples at a model, and its gradient by stored name."""
    every = list(parts)
    model = task.model({name: tensor.clone() for name, tensor in server.items()})
    trained = {
        stored: parameter.requires_grad_()
        for path, parameter in model.named_parameters()
        if (stored := task.names.stored(path)).startswith(("expert.", "gate."))
    }
    samples = sum(len(own.y) for own in every)
    losses = [functional.cross_entropy(model(own.x), own.y, reduction="sum") for own in every]
    loss = torch.stack(losses).sum() / samples
    moved = torch.autograd.grad(loss, [*trained.values()], materialize_grads=True)
    return float(loss.detach()), dict(zip(trained, moved, strict=True))


def apart(one: Tensors, other: Tensors, names: Iterable[str]) -> float:
    """Return the squared distance of two gradients by some names; of ``one`` where it is alone."""
    return sum(float((one[n] - other.get(n, 0.0)).double().square().sum()) for n in names)


def curvature(task: Any, server: Tensors) -> float:
    """Largest curvature of the global loss at a model: power iteration on gradients beside it."""
    samples = [shards.samples for shards in task.shards.values()]
    _, here = loss_of(task, server, samples)
    generator = torch.Generator().manual_seed(0)
    direction = {n: torch.randn(g.shape, generator=generator) for n, g in here.items()}
    found = 0.0
    for _ in range(ITERATIONS):
        size = PERTURBATION / norm(direction)
        beside = {**server, **{n: server[n] + size * v for n, v in direction.items()}}
        _, there = loss_of(task, beside, samples)
        direction = {n: (there[n] - here[n]) / PERTURBATION for n in here}
        found = norm(direction)
    return found


def norm(tensors: Tensors) -> float:
    """Norm of all tensors together."""
    return apart(tensors, {}, tensors) ** 0.5


def mean_of(values: Any) -> float:
    """Mean of some numbers."""
    return float(np.mean([*values]))


# The bounds as docs/annex/results.md reads them.


def bound_of_baseline(seed: Seed, step: float, cycles: int) -> float:
    """Theorem 2, with F* = 0 and the larger of each estimate at start and end."""
    eta = step / cycles**0.5
    start, end = seed.at["start"], seed.at[BASELINE]
    variance = max(one.shared + one.shared_gate for one in (start, end))
    curve = max(start.curvature, end.curvature)
    return 2 * start.loss / (eta * CLUSTERS * cycles) + curve * eta * variance


def bound_of_own(seed: Seed, step: float, cycles: int) -> float:
    """Theorem 1, with F* = 0 and the larger of each estimate at start and end."""
    eta = seed.gamma * step / cycles**0.5
    start, end = seed.at["start"], seed.at[OWN]
    variance = max(one.own / seed.gamma**2 + one.own_gate for one in (start, end))
    curve = max(start.curvature, end.curvature)
    drift = 4 * (curve * eta * CLUSTERS) ** 2 * (seed.largest + variance)
    return 2 * start.loss / (eta * CLUSTERS * cycles) + curve * eta * variance + drift


# Tables.


def interval(values: Sequence[float], *, logs: bool = False) -> str:
    """Mean with its 95 % interval over seeds (Student's t); of logs the geometric mean."""
    seen = np.log(values) if logs else np.asarray(values)
    half = 0.0
    if len(seen) > 1:
        half = t.ppf(0.975, len(seen) - 1) * seen.std(ddof=1) / len(seen) ** 0.5
    ends = [seen.mean() + sign * half for sign in (0, -1, 1)]
    middle, low, high = np.exp(ends) if logs else ends
    return f"{middle:.3g} ({low:.3g}..{high:.3g})"


def print_estimates(found: Mapping[str, Sequence[Seed]]) -> None:
    """Print what the assumptions bound."""
    columns = {
        "experts": "experts",
        "gate": "gate",
        "(24)": "shared",
        "(25)": "shared_gate",
        "(39)": "own",
        "(41)": "own_gate",
        "L": "curvature",
    }
    print(f"{'data':<9}{'gamma':>6}  {'model':<13}" + "".join(f"{head:>10}" for head in columns))
    for data, seeds in found.items():
        gamma = mean_of(seed.gamma for seed in seeds)
        for model in ("start", BASELINE, OWN):
            cells = (
                mean_of(getattr(seed.at[model], name) for seed in seeds)
                for name in columns.values()
            )
            shown = "".join(f"{cell:>10.3g}" for cell in cells)
            print(f"{data:<9}{gamma:>6.2f}  {model:<13}{shown}")


def print_over_time(found: Mapping[str, Sequence[Seed]], step: float) -> None:
    """Print the squared gradient over T and gamma, beside the bounds."""
    heads = f"{'baseline':>30}{'EMS-FL':>30}{'ratio':>30}"
    print(f"{'data':<9}{'T':>4}  {'':<6}{heads}{'Theorem 2':>11}{'Theorem 1':>11}")
    for data, seeds in found.items():
        for cycles in CYCLES:
            bounds = [
                mean_of(bound(seed, step, cycles) for seed in seeds)
                for bound in (bound_of_baseline, bound_of_own)
            ]
            for what in ("mean", "last"):
                of = [seed.means if what == "mean" else seed.lasts for seed in seeds]
                base = [one[BASELINE, cycles] for one in of]
                own = [one[OWN, cycles] for one in of]
                ratios = [b / a for a, b in zip(base, own, strict=True)]
                shown = "".join(f"{interval(values):>30}" for values in (base, own))
                row = f"{data:<9}{cycles:>4}  {what:<6}{shown}{interval(ratios, logs=True):>30}"
                beside = "".join(f"{bound:>11.3g}" for bound in bounds)
                print(row + (beside if what == "mean" else ""))


def main(seeds: str = "10", step: str = "2") -> None:
    """Run, and print both tables."""
    n, size = int(seeds), float(step)
    found = {data: of_seeds(data, n, size) for data in SHARES}
    allowed = "within" if size <= LARGEST_STEP else "above"
    print(f"{SCENARIO}, seeds 0 to {n - 1}, eta_E = {size:g} / sqrt(T), eta_U = gamma eta_E")
    print(f"{allowed} Theorem 1's condition, eta_E <= eta_U / gamma <= 1 / sqrt(T)\n")
    print(f"squared norms at the start and after {CYCLES[-1]} cycles")
    print_estimates(found)
    print("\nsquared gradient of the global loss: mean over the ends of T cycles, and at the last")
    print_over_time(found, size)
    print("\nsteps are as small as the bounds ask for from so many cycles on (means over seeds)")
    for data, of in found.items():
        steep = [(seed.gamma, max(one.curvature for one in seed.at.values())) for seed in of]
        # eta <= 1 / L of each round, and gamma eta <= 1 / (C L) of each cycle.
        baseline = mean_of((size * curve) ** 2 for _, curve in steep)
        own = mean_of((size * gamma * CLUSTERS * curve) ** 2 for gamma, curve in steep)
        print(f"{data:<9}baseline {baseline:.0f}, EMS-FL {own:.0f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
