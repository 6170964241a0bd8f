"""Stage 3 of NMoE (arXiv 2511.01743): gates on frozen experts, routing, central training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from learning.models.moe import Gate, Residency, Routing
from learning.models.stacked import Tensors
from learning.nmoe.models import answer, losses, mixed
from learning.nmoe.training.experts import drawn_experts, features_of, first_client, outputs_of
from learning.nmoe.training.extractor import LARGEST_GRADIENT, MOMENTUM, extractor_in
from learning.requests.peers import Node
from learning.rng import stream
from learning.settings import ModelConfig
from learning.training.local import barred
from learning.training.sgd import Batch, Problem, Rounds, draw_of, plain_sgd, train
from learning.training.task import Task, pool

GATE = "gate.0."
"""How the stored names of the gate begin."""


@lru_cache(maxsize=16)
def gate_module(model: ModelConfig, top_k: int) -> Gate:
    """Return a gate that keeps ``top_k``, without memory, for ``functional_call``."""
    everyone = Residency(tuple(range(model.experts)), own_reach=True)
    with torch.device("meta"):
        return Gate(replace(model, top_k=top_k), everyone, normalised=True, biased=True)


def route(task: Task, gate: Tensors, features: Tensor, top_k: int | None, reach: Tensor) -> Routing:
    """Route ``features`` (..., d) by one gate to ``top_k`` experts (None: all).

    ``reach`` (N,) is added to the logits: 0, or -inf for experts that must get no weight.
    """
    model = task.config.model
    module = gate_module(model, min(top_k or model.experts, model.experts))
    return functional_call(module, {**gate, "reach": reach}, (features,))


def reach_of(task: Task, reach: Sequence[bool]) -> Tensor:
    """Return what is added to logits (N,): 0 in ``reach``, else -inf; ValueError for nobody."""
    if not any(reach):
        raise ValueError("a client reaches no expert, not even its own; leave it out")
    return barred(task, torch.tensor(reach, device=task.device))


def start_gate(task: Task) -> dict[str, Tensor]:
    """Return the gate as the task drew it."""
    return _named(task.initial, GATE)


def spread(task: Task, gate: Tensors, *, cluster: str) -> dict[str, Tensor]:
    """One gate at all devices of a cluster."""
    return {name: t.expand(task.devices(cluster), *t.shape) for name, t in gate.items()}


def with_mean(_task: Task, gates: Tensors, mean: Tensors) -> dict[str, Tensor]:
    """The gates of one cluster (K, ...), with the tensors of ``mean`` in place of their own."""
    return {**gates, **{name: tensor.expand_as(gates[name]) for name, tensor in mean.items()}}


def take_gate(_task: Task, gates: Tensors, *, device: int) -> dict[str, Tensor]:
    """The gate of one device."""
    return {name: tensor[device] for name, tensor in gates.items()}


def train_gates(
    task: Task,
    gates: Tensors,
    known: Tensors,
    *,
    cluster: str,
    rounds: Sequence[int],
    first_round: Sequence[int],
    reach: Sequence[bool],
) -> dict[str, Tensor]:
    """Train gates (K, ...) by the cross-entropy of the mixture of all experts in ``reach`` (N,)."""
    limit = reach_of(task, reach)

    def loss(gate: Tensors, h: Tensor, answers: Tensor, y: Tensor) -> Tensor:
        weight = route(task, gate, h, None, limit).weight
        return losses(answer(mixed(weight, answers)), y).mean()

    labels = task.shards[cluster].samples.y
    draw = draw_of(task, cluster, known["features"], known["outputs"], labels)
    problem = Problem(draw, loss, together=True)
    how = plain_sgd(task.config, task.config.step_size * task.config.gate_step_size_ratio)
    return train(gates, problem, how, rounds, first_round).tensors


# Routing of a client's samples: by its gate, to its own expert, or at random.


def routes_of(
    task: Task,
    features: Tensor,
    gate: Tensors,
    routing: str,
    client: Node,
    reach: Sequence[bool],
    occasion: object,
) -> Routing:
    """Route ``features`` (n, d) for one client among the experts in ``reach`` (N,); sums are 1.

    ``routing`` is by its ``gate``, to k experts drawn at ``random``, or to its own (``local``),
    even if that is not finite: a client without an expert must not be asked. Experts are drawn
    from the client's own stream for this ``occasion``.
    """
    config = task.config.model
    if routing == "local":
        own = first_client(task, client.cluster) + client.device
        top = torch.full((len(features), 1), own, device=task.device)
        return Routing(_one_hot(task, top[:, 0]), top)
    limit = reach_of(task, reach)
    top_k = min(config.top_k, sum(reach))
    if routing == "random":
        rng = stream(task.config.seed, "random routes", client.cluster, client.device, occasion)
        order = rng.permuted(np.tile(np.flatnonzero(reach), (len(features), 1)), axis=1)[:, :top_k]
        chosen = torch.from_numpy(order).to(task.device)
        weights = sum(_one_hot(task, part) for part in chosen.unbind(1))
        return Routing(torch.as_tensor(weights) / top_k, chosen)
    return route(task, gate, features, top_k, limit)


def _one_hot(task: Task, index: Tensor) -> Tensor:
    return functional.one_hot(index, task.config.model.experts).to(task.dtype)


# The centralised baseline: the whole mixture is trained jointly on the samples of all clients.


EXPERTS, CENTRAL_GATE = "experts.", "gate."
"""How names begin of what is trained beside the extractor: experts (N, ...), and the gate."""


def _named(tensors: Tensors, begin: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin so, by what is behind that."""
    return {n.removeprefix(begin): tensor for n, tensor in tensors.items() if n.startswith(begin)}


def central(task: Task, *, rounds: int) -> dict[str, Tensor]:
    """Train extractor, all experts and the gate for ``rounds`` rounds on the pooled samples."""
    samples = pool({name: task.shards[name].samples for name in task.config.clusters})
    config = task.config
    limit = torch.zeros(config.model.experts, dtype=task.dtype, device=task.device)

    def loss(tensors: Tensors, x: Tensor, y: Tensor) -> Tensor:
        h = features_of(task, tensors, x)
        outputs = outputs_of(task, _named(tensors, EXPERTS), h)
        weight = route(task, _named(tensors, CENTRAL_GATE), h, None, limit).weight
        return losses(answer(mixed(weight, outputs)), y).mean()

    def draw(_devices: Sequence[int], rounds: Rounds) -> Iterator[Batch]:
        for numbers in rounds:
            rng = stream(config.seed, "batch", "central", numbers[0])
            rows = rng.integers(0, len(samples.y), (config.steps_per_round, 1, config.batch_size))
            for some in torch.from_numpy(rows).to(task.device):
                yield samples.x[some], samples.y[some]

    parts = [drawn_experts(task, name) for name in config.clusters]
    experts = {f"{EXPERTS}{n}": torch.cat([part[n] for part in parts]) for n in parts[0]}
    gate = {f"{CENTRAL_GATE}{name}": tensor for name, tensor in start_gate(task).items()}
    begin = {**extractor_in(task.initial), **experts, **gate}
    one = {name: tensor.unsqueeze(0) for name, tensor in begin.items()}
    problem = Problem(draw, loss, together=False, gates=gate)
    how = plain_sgd(config, config.step_size, MOMENTUM, LARGEST_GRADIENT)
    trained = train(one, problem, how, [rounds], [0]).tensors
    return {name: tensor.squeeze(0) for name, tensor in trained.items()}


def central_experts(task: Task, whole: Tensors, *, cluster: str) -> dict[str, Tensor]:
    """The experts that the clients of one cluster hold."""
    first = first_client(task, cluster)
    own = slice(first, first + task.devices(cluster))
    return {name: tensor[own] for name, tensor in _named(whole, EXPERTS).items()}


def central_gate(_task: Task, whole: Tensors) -> dict[str, Tensor]:
    """The gate."""
    return _named(whole, CENTRAL_GATE)
