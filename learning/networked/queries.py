"""What a client asks of whom about the samples of a query, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from learning.networked.combining import answer, mixed
from learning.networked.experts import first_client
from learning.networked.metrics import Ints
from learning.networked.outcomes import outcome_of
from learning.networked.routing import Gates, routes_of
from learning.peering import Node
from learning.requests import Mask
from learning.streams import stream
from learning.task import Task

Tensors = Mapping[str, Tensor]


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
