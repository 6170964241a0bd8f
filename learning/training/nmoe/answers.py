"""Scores of networked experts, their gating pattern, and answers of queries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learning.models.nmoe import answer, losses, mixed
from learning.requests.cluster import Floats, Mask
from learning.requests.peers import Node, outcome_of
from learning.rng import stream
from learning.training.evaluation import Score
from learning.training.nmoe.experts import first_client
from learning.training.nmoe.gates import Gates, Routes, routes_of
from learning.training.task import Task

# What a client asks of whom about the samples of a query, and what it answers.


def routes(
    task: Task,
    tested: Tensors,
    gates: Gates,
    way: str,
    *,
    client: Node,
    batch: int,
    size: int,
    in_reach: Mask | None,
) -> dict[str, Any]:
    """Return rows, chosen experts (those of positive weight, best first) and their weights."""
    rng = stream(task.config.seed, "queries", client.cluster, client.device, batch)
    rows = rng.integers(0, len(tested["labels"]), size)
    features = tested["features"][torch.from_numpy(rows).to(task.device)]
    found = routes_of(task, features, gates, way, client, in_reach, batch)
    weights = found.weights.double().numpy(force=True)
    if not np.isfinite(weights).all():
        raise ValueError(f"the gate of {client} is not finite; lower learning.step_size")
    order = [np.argsort(-row, kind="stable")[: np.count_nonzero(row)] for row in weights]
    return {
        "rows": rows.tolist(),
        "chosen": [chosen.tolist() for chosen in order],
        "weights": [row[chosen].tolist() for row, chosen in zip(weights, order, strict=True)],
    }


def answered(
    task: Task,
    tested: Tensors,
    client: Node,
    routed: Mapping[str, Any],
    arrived: Sequence[Sequence[bool]],
    late: str,
    combine: str,
) -> dict[str, Any]:
    """Answer each sample with the experts that arrived, weights among them summing to 1."""
    own = first_client(task, client.cluster) + client.device
    kept: list[dict[int, float]] = []
    given = []
    for chosen, weights, here in zip(routed["chosen"], routed["weights"], arrived, strict=True):
        there = {e: w for e, w, came in zip(chosen, weights, here, strict=True) if came}
        outcome = outcome_of(chosen, there, own, late)
        given.append(outcome != "failed")
        kept.append({own: 1.0} if outcome == "fallback" else there)
    rows = torch.tensor(routed["rows"], dtype=torch.long, device=task.device)
    guesses = _predictions(tested["outputs"][rows], kept, combine)
    predictions = np.where(np.array(given, bool), guesses, -1)
    correct = predictions == tested["labels"][rows].numpy(force=True)
    return {"predictions": predictions.tolist(), "correct": int(correct.sum())}


def _predictions(outputs: Tensor, kept: Sequence[Mapping[int, float]], combine: str) -> Ints:
    weights = torch.zeros(outputs.shape[:2], dtype=outputs.dtype)
    for row, experts in enumerate(kept):
        total = sum(experts.values())
        for expert, weight in experts.items():
            weights[row, expert] = weight / total
    logits = answer(mixed(weights.to(outputs.device), outputs), combine)
    found: Ints = logits.argmax(-1).numpy(force=True)
    return found


Tensors = Mapping[str, Tensor]
Reaches = Mapping[str, Mask] | None


def scores(
    task: Task, tested: Tensors, gates: Gates, way: str, reach: Reaches, combine: str
) -> list[Score]:
    """Return the means over each cluster's clients on the global test set.

    The loss of a mixture that is not finite is nan, as that of any diverged model.
    """
    found = []
    for cluster in task.config.clusters:
        rows = [
            _score(task, tested, first_client(task, cluster) + device, routes, combine)
            for device, routes in _clients(task, cluster, tested, gates, way, reach)
        ]
        means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        samples = len(tested["labels"])
        found.append(Score(cluster=cluster, samples=samples, **means))  # type: ignore[typeddict-item]
    return found


def pattern(
    task: Task, tested: Tensors, gates: Gates, way: str, reach: Reaches
) -> dict[str, list[list[float]]]:
    """Return the gating pattern, one row a client."""
    rows = [
        pattern_row(_numpy(routes.weights), routes.top.numpy(force=True))
        for cluster in task.config.clusters
        for _, routes in _clients(task, cluster, tested, gates, way, reach)
    ]
    parts = zip(*rows, strict=True)
    return {
        name: np.stack(part).tolist() for name, part in zip(Pattern._fields, parts, strict=True)
    }


def _clients(
    task: Task, cluster: str, tested: Tensors, gates: Gates, way: str, reach: Reaches
) -> Iterator[tuple[int, Routes]]:
    """Route the whole test set for each client of a cluster."""
    for device in range(task.devices(cluster)):
        limit = None if reach is None else reach[cluster][device]
        client = Node(cluster, device)
        yield device, routes_of(task, tested["features"], gates, way, client, limit, "test")


def _score(task: Task, tested: Tensors, own: int, routes: Routes, combine: str) -> dict[str, float]:
    logits = answer(mixed(routes.weights, tested["outputs"]), combine)
    labels = tested["labels"]
    y, guessed = labels.numpy(force=True), logits.argmax(-1).numpy(force=True)
    local = local_shares(_numpy(routes.weights), routes.top.numpy(force=True), own)
    return {
        "accuracy": float((y == guessed).mean()),
        "loss": float(losses(logits.double(), labels, combine).mean()),
        "f1": macro_f1(y, guessed, task.spec.classes),
        "local_ratio": local.ratio,
        "local_count_share": local.count_share,
        "local_weight_share": local.weight_share,
    }


def _numpy(tensor: Tensor) -> Floats:
    values: Floats = tensor.double().numpy(force=True)
    return values


# What networked experts are judged by, in numpy.

Ints = NDArray[np.int64]


class LocalShares(NamedTuple):
    """How much of a client's work stays with its own expert, each 0..1.

    ``ratio`` of samples by the expert of the largest weight, ``count_share`` of all selected
    experts (those of positive weight), ``weight_share`` of the weights. The shares of weights that
    are not finite are nan.
    """

    ratio: float
    count_share: float
    weight_share: float


def macro_f1(y: Ints, predictions: Ints, classes: int) -> float:
    """Return the macro F1 over all ``classes``; one that is never predicted or met counts 0."""
    from sklearn.metrics import f1_score

    labels = range(classes)
    return float(f1_score(y, predictions, labels=labels, average="macro", zero_division=0))


def local_shares(weights: Floats, top: Ints, own: int) -> LocalShares:
    """Return the local shares of a client's ``weights`` (n, N) and first choices ``top`` (n,)."""
    if not np.isfinite(weights).all():
        return LocalShares(math.nan, math.nan, math.nan)
    selected = weights > 0
    return LocalShares(
        ratio=float((top == own).mean()),
        count_share=float(selected[:, own].sum() / selected.sum()),
        weight_share=float(weights[:, own].sum() / weights.sum()),
    )


class Pattern(NamedTuple):
    """Where one client's samples go, (N,) each: by first choice, and by weight."""

    top1: Floats
    weights: Floats


def pattern_row(weights: Floats, top: Ints) -> Pattern:
    """Return one row of the gating pattern of ``weights`` (n, N) and first choices (n,)."""
    first = np.bincount(top, minlength=weights.shape[1]) / len(top)
    return Pattern(first, weights.sum(0) / weights.sum())
