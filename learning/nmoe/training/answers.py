"""What clients of NMoE answer: queries, scores on the test set, and the gating pattern."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from learning.metrics import Score
from learning.nmoe.models import answer, losses, mixed
from learning.nmoe.training.gates import routes_of
from learning.requests.peers import Node
from learning.rng import stream
from learning.training.task import Task
from statements.arrays import Floats, Ints

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
    weights = found.weight.double().numpy(force=True)
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
    mixtures: Sequence[tuple[int, Sequence[tuple[int, float]]]],
) -> dict[str, Any]:
    """Answer test samples, each by its row, its experts and their weights, normalised to 1.

    Returns the ``predictions``, and which of them are ``correct``.
    """
    rows = [row for row, _ in mixtures]
    index = torch.tensor(rows, dtype=torch.long, device=task.device)
    outputs = tested["outputs"][index]
    shares = torch.zeros(outputs.shape[:2], dtype=outputs.dtype)
    for place, (_, weights) in enumerate(mixtures):
        total = sum(weight for _, weight in weights)
        for expert, weight in weights:
            shares[place, expert] = weight / total
    logits = answer(mixed(shares.to(outputs.device), outputs))
    predictions = logits.argmax(-1)
    correct = predictions == tested["labels"][index]
    return {"predictions": predictions.tolist(), "correct": correct.tolist()}


# All clients on the global test set. ``gates`` are those of all clusters in order, if clients route
# by them; experts that are not in ``reach`` (N,) are never chosen.


def macro_f1(labels: Ints, guessed: Ints, classes: int) -> float:
    """Return the mean of the F1 scores of the classes, 0 for one that is neither there nor guessed.

    It is scikit-learn's ``f1_score`` with ``average="macro"``, which takes long to import.
    """
    hits = np.bincount(labels[labels == guessed], minlength=classes)
    cases = np.bincount(labels, minlength=classes) + np.bincount(guessed, minlength=classes)
    return float(np.mean(2.0 * hits / np.maximum(cases, 1)))


def scores(
    task: Task,
    tested: Tensors,
    *gates: Tensors,
    routing: str,
    reach: Sequence[bool],
    in_reach: Mapping[str, Sequence[Sequence[bool]]],
) -> list[Score]:
    """Return the means over each cluster's clients on the global test set.

    Each sample counts once per client. The loss is nan if a mixture is not finite, as for any
    diverged model. ``local_reach_ratio`` counts the samples whose first expert among those that the
    client can send to, ``in_reach`` (K, N) by cluster, is its own, ``reach_accuracy`` those that
    these answer correctly. Both are left out where it is not known who can send to whom; a client
    that reaches no expert answers nothing.
    """
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in task.config.clusters}
    labels = tested["labels"]
    y = labels.numpy(force=True)
    for own, node in enumerate(_clients(task)):
        weight, weights, top = _routed(task, tested, gates, routing, node, reach)
        logits = answer(mixed(weight, tested["outputs"]))
        guessed = logits.argmax(-1).numpy(force=True)
        score = {
            "accuracy": float((y == guessed).mean()),
            "loss": float(losses(logits.double(), labels).mean()),
            "f1": macro_f1(y, guessed, task.spec.outputs),
        }
        score |= local_shares(weights, top, own)
        if in_reach:
            near = (np.array(reach) & in_reach[node.cluster][node.device]).tolist()
            score |= {"local_reach_ratio": 0.0, "reach_accuracy": 0.0}
            if any(near):
                weight, weights, top = _routed(task, tested, gates, routing, node, near)
                score["local_reach_ratio"] = local_shares(weights, top, own)["local_ratio"]
                by_near = answer(mixed(weight, tested["outputs"])).argmax(-1)
                score["reach_accuracy"] = float((y == by_near.numpy(force=True)).mean())
        rows[node.cluster].append(score)
    return [
        Score(
            cluster=cluster,
            samples=len(y) * len(own),
            **{key: float(np.mean([row[key] for row in own])) for key in own[0]},  # type: ignore[typeddict-item]
        )
        for cluster, own in rows.items()
    ]


def pattern(
    task: Task, tested: Tensors, *gates: Tensors, routing: str, reach: Sequence[bool]
) -> dict[str, list[list[float]]]:
    """Return the gating pattern (N, N), ``top1`` and ``weights``: row i of client i sums to 1."""
    clients = (_routed(task, tested, gates, routing, node, reach) for node in _clients(task))
    rows = [pattern_row(weights, top) for _, weights, top in clients]
    return {name: [row[name] for row in rows] for name in rows[0]}


def _clients(task: Task) -> list[Node]:
    names = zip(task.config.clusters, task.config.devices, strict=True)
    return [Node(cluster, device) for cluster, count in names for device in range(count)]


def _routed(
    task: Task,
    tested: Tensors,
    gates: Sequence[Tensors],
    routing: str,
    node: Node,
    reach: Sequence[bool],
) -> tuple[Tensor, Floats, Ints]:
    """Route the whole test set for one client; the weights, also as numpy's, and first choices."""
    number = task.config.clusters.index(node.cluster)
    gate = _own(gates[number : number + 1], node)
    found = routes_of(task, tested["features"], gate, routing, node, reach, "test")
    first = found.chosen[:, 0].numpy(force=True)
    return found.weight, found.weight.double().numpy(force=True), first


def _own(gates: Sequence[Tensors], node: Node) -> dict[str, Tensor]:
    """Return the client's gate out of those of its cluster; empty if there are none."""
    return {name: tensor[node.device] for part in gates for name, tensor in part.items()}


# Figures of merit, in numpy.


def local_shares(weights: Floats, top: Ints, own: int) -> dict[str, float]:
    """Return the share of a client's samples that its own expert answers, counted in three ways.

    ``local_ratio`` counts the first choices ``top`` (n,), ``local_count_share`` all experts of
    positive weight in ``weights`` (n, N), ``local_weight_share`` sums the weights. All are nan if
    weights are not finite.
    """
    selected = weights > 0
    finite = np.isfinite(weights).all()
    shares = {
        "local_ratio": (top == own).mean(),
        "local_count_share": selected[:, own].sum() / max(selected.sum(), 1),
        "local_weight_share": weights[:, own].sum() / weights.sum(),
    }
    return {name: float(share) if finite else math.nan for name, share in shares.items()}


def pattern_row(weights: Floats, top: Ints) -> dict[str, list[float]]:
    """Return the share of a client's samples per expert (N,): by first choice, and by weight."""
    first = np.bincount(top, minlength=weights.shape[1]) / len(top)
    return {"top1": first.tolist(), "weights": (weights.sum(0) / weights.sum()).tolist()}
