"""How well clients answer on the global test set, and whom they ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from torch import Tensor

from learning.evaluation import Score
from learning.networked.combining import answer, losses, mixed
from learning.networked.experts import first_client
from learning.networked.metrics import Pattern, local_shares, macro_f1, pattern_row
from learning.networked.routing import Gates, Routes, routes_of
from learning.peering import Node
from learning.requests import Floats, Mask
from learning.task import Task

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
