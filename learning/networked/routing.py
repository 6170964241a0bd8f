"""How a client's samples are routed: by its gate, to its own expert alone, or at random."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from learning.networked.experts import first_client
from learning.networked.gates import reach_of, route
from learning.peering import Node
from learning.requests import Mask
from learning.streams import stream
from learning.task import Task

Tensors = Mapping[str, Tensor]
Gates = Mapping[str, Tensors] | None
"""The gates of some clusters, stacked over devices; None where nobody routes by gates."""


class Routes(NamedTuple):
    """Weights (n, N), which sum to 1, and the first choice (n,) of each sample."""

    weights: Tensor
    top: Tensor


def routes_of(
    task: Task,
    features: Tensor,
    gates: Gates,
    way: str,
    client: Node,
    in_reach: Mask | None,
    occasion: object,
) -> Routes:
    """Route ``features`` (n, d) for one client among the experts in reach (N,), all by default.

    What is drawn comes from a stream of the client's own for this ``occasion``. A client that goes
    by way ``local`` asks its own expert, whatever that is worth: one whose expert is not finite
    holds none, and is to have no such samples.
    """
    config = task.config.model
    if way == "local":
        own = first_client(task, client.cluster) + client.device
        top = torch.full((len(features),), own, device=task.device)
        return Routes(_one_hot(task, top), top)
    mask = np.ones(config.experts, bool) if in_reach is None else np.asarray(in_reach, bool)
    limit = reach_of(task, mask.tolist())
    top_k = min(config.top_k, int(mask.sum()))
    if way == "random":
        rng = stream(task.config.seed, "random routes", client.cluster, client.device, occasion)
        order = rng.permuted(np.tile(np.flatnonzero(mask), (len(features), 1)), axis=1)[:, :top_k]
        chosen = torch.from_numpy(order).to(task.device)
        weights = sum(_one_hot(task, part) for part in chosen.unbind(1))
        return Routes(torch.as_tensor(weights) / top_k, chosen[:, 0])
    assert gates is not None  # whoever routes by gates has given them
    gate = {name: tensor[client.device] for name, tensor in gates[client.cluster].items()}
    routing = route(task, gate, features, top_k, limit)
    return Routes(routing.weight, routing.chosen[:, 0])


def _one_hot(task: Task, index: Tensor) -> Tensor:
    return functional.one_hot(index, task.config.model.experts).to(task.dtype)
