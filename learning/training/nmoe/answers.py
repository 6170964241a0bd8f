"""What clients of NMoE answer: queries, scores on the test set, and the gating pattern."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learning.models.nmoe import answer, losses, mixed
from learning.requests.cluster import Floats
from learning.requests.peers import Node
from learning.rng import stream
from learning.training.evaluation import Score
from learning.training.nmoe.experts import first_client
from learning.training.nmoe.gates import Routes, routes_of
from learning.training.task import Task

Tensors = Mapping[str, Tensor]

# Queries: which experts the samples go to, and the answers.


def routes(
    task: Task,
    tested: Tensors,
    *gates: Tensors,
    routing: str,
    client: tuple[str, int],
    batch: int,
    size: int,
    reach: Sequence[bool],
) -> dict[str, Any]:
    """Draw the ``size`` samples of a client's query ``batch`` from the global test set; route them.

    ``gates`` (K, ...) are those of the client's cluster, if it routes by its gate. Returns ``rows``
    (size,) of the test set and, per sample, the experts ``chosen`` among those in ``reach`` (N,),
    largest weight first, and their ``weights``, which sum to 1. Raises ValueError for a gate that
    is not finite.
    """
    node = Node(*client)
    rng = stream(task.config.seed, "queries", node.cluster, node.device, batch)
    rows = rng.integers(0, len(tested["labels"]), size)
    features = tested["features"][torch.from_numpy(rows).to(task.device)]
    found = routes_of(task, features, _own(gates, node), routing, node, reach, batch)
    weights = found.weights.double().numpy(force=True)
    if not np.isfinite(weights).all():
        raise ValueError(f"the gate of {node} is not finite; lower learning.step_size")
    order = [np.argsort(-row, kind="stable")[: np.count_nonzero(row)] for row in weights]
    return {
        "rows": rows.tolist(),
        "chosen": [chosen.tolist() for chosen in order],
        "weights": [row[chosen].tolist() for row, chosen in zip(weights, order, strict=True)],
    }


def answered(
    task: Task,
    tested: Tensors,
    *,
    rows: Sequence[int],
    experts: Sequence[Sequence[int]],
    weights: Sequence[Sequence[float]],
    combine: str,
) -> dict[str, Any]:
    """Answer each test sample in ``rows`` by its ``experts``, with ``weights`` normalised to 1.

    Returns the ``predictions`` and the number of ``correct`` ones.
    """
    index = torch.tensor(rows, dtype=torch.long, device=task.device)
    outputs = tested["outputs"][index]
    shares = torch.zeros(outputs.shape[:2], dtype=outputs.dtype)
    for row, (chosen, own) in enumerate(zip(experts, weights, strict=True)):
        total = sum(own)
        for expert, weight in zip(chosen, own, strict=True):
            shares[row, expert] = weight / total
    logits = answer(mixed(shares.to(outputs.device), outputs), combine)
    predictions = logits.argmax(-1)
    correct = predictions == tested["labels"][index]
    return {"predictions": predictions.tolist(), "correct": int(correct.sum())}


# All clients on the global test set. ``gates`` are those of all clusters in order, if clients route
# by them; experts that are not in ``reach`` (N,) are never chosen.


def scores(
    task: Task,
    tested: Tensors,
    *gates: Tensors,
    routing: str,
    reach: Sequence[bool],
    combine: str,
) -> list[Score]:
    """Return the means over each cluster's clients on the global test set.

    The loss is nan if a mixture is not finite, as for any diverged model.
    """
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in task.config.clusters}
    labels = tested["labels"]
    y = labels.numpy(force=True)
    for node, weights, routes in _clients(task, tested, gates, routing, reach):
        expert = first_client(task, node.cluster) + node.device
        logits = answer(mixed(routes.weights, tested["outputs"]), combine)
        guessed = logits.argmax(-1).numpy(force=True)
        local = local_shares(weights, routes.top.numpy(force=True), expert)
        score = {
            "accuracy": float((y == guessed).mean()),
            "loss": float(losses(logits.double(), labels, combine).mean()),
            "f1": macro_f1(y, guessed, task.spec.classes),
            "local_ratio": local.ratio,
            "local_count_share": local.count_share,
            "local_weight_share": local.weight_share,
        }
        rows[node.cluster].append(score)
    found = []
    for cluster, own in rows.items():
        means = {key: float(np.mean([row[key] for row in own])) for key in own[0]}
        found.append(Score(cluster=cluster, samples=len(y), **means))  # type: ignore[typeddict-item]
    return found


def pattern(
    task: Task, tested: Tensors, *gates: Tensors, routing: str, reach: Sequence[bool]
) -> dict[str, list[list[float]]]:
    """Return the gating pattern (N, N), ``top1`` and ``weights``: row i of client i sums to 1."""
    clients = _clients(task, tested, gates, routing, reach)
    rows = [pattern_row(weights, routes.top.numpy(force=True)) for _, weights, routes in clients]
    return {name: [getattr(row, name).tolist() for row in rows] for name in Pattern._fields}


def _clients(
    task: Task, tested: Tensors, gates: Sequence[Tensors], routing: str, reach: Sequence[bool]
) -> Iterator[tuple[Node, Floats, Routes]]:
    """Route the whole test set for each client; the weights are numpy's, too."""
    for number, cluster in enumerate(task.config.clusters):
        for device in range(task.devices(cluster)):
            node = Node(cluster, device)
            gate = _own(gates[number : number + 1], node)
            found = routes_of(task, tested["features"], gate, routing, node, reach, "test")
            yield node, found.weights.double().numpy(force=True), found


def _own(gates: Sequence[Tensors], node: Node) -> dict[str, Tensor]:
    """Return the client's gate out of those of its cluster; empty if there are none."""
    return {name: tensor[node.device] for part in gates for name, tensor in part.items()}


# Figures of merit, in numpy.

Ints = NDArray[np.int64]


class LocalShares(NamedTuple):
    """The share of a client's samples that its own expert answers, 0..1, counted in three ways.

    ``ratio`` counts the expert of the largest weight per sample, ``count_share`` all experts of
    positive weight, ``weight_share`` sums the weights. All are nan if weights are not finite.
    """

    ratio: float
    count_share: float
    weight_share: float


def macro_f1(y: Ints, predictions: Ints, classes: int) -> float:
    """Return the macro F1 over all ``classes``; 0 for a class without samples or predictions."""
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
    """The share of a client's samples per expert (N,): by first choice, and by weight."""

    top1: Floats
    weights: Floats


def pattern_row(weights: Floats, top: Ints) -> Pattern:
    """Return one row of the gating pattern of ``weights`` (n, N) and first choices (n,)."""
    first = np.bincount(top, minlength=weights.shape[1]) / len(top)
    return Pattern(first, weights.sum(0) / weights.sum())
