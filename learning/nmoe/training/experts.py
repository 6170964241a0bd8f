"""Stage 2 of NMoE (arXiv 2511.01743): personal experts; features, outputs, the whole model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from learning.models.interface import ExpertTensor, expert_tensor
from learning.models.moe import Expert
from learning.models.stacked import Tensors
from learning.nmoe.training.extractor import EXTRACTOR, extractor_in, pretext
from learning.settings import ModelConfig
from learning.training.sgd import Problem, draw_of, plain_sgd, train
from learning.training.task import Samples, Task, in_batches, pool


def first_client(task: Task, cluster: str) -> int:
    """Return the number of a cluster's first client; clients are counted over all clusters."""
    index = task.config.clusters.index(cluster)
    return sum(task.config.devices[:index])


def drawn_experts(task: Task, cluster: str) -> dict[str, Tensor]:
    """Return a cluster's experts as the task drew them, stacked (K, ...)."""
    first = first_client(task, cluster)
    places = [place for n in task.initial if (place := expert_tensor(n)) and place.expert == first]
    own = range(first, first + task.devices(cluster))
    return {
        place.name: torch.stack([task.initial[place._replace(expert=e).stored] for e in own])
        for place in places
    }


def train_experts(
    task: Task, cached: Tensors, *, cluster: str, rounds: Sequence[int], first_round: Sequence[int]
) -> dict[str, Tensor]:
    """Train a cluster's experts from their start weights, by cross-entropy, with plain SGD.

    Features are cached here; the simulated client computes them again in each round.
    """
    model = expert_module(task.config.model, task.spec.outputs)
    labels = task.shards[cluster].samples.y

    def loss(tensors: Tensors, h: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(functional_call(model, dict(tensors), (h,)), y)

    draw = draw_of(task, cluster, cached["features"], labels)
    problem = Problem(draw, loss, together=True)
    how = plain_sgd(task.config, task.config.step_size)
    return train(drawn_experts(task, cluster), problem, how, rounds, first_round).tensors


# Features of samples from the frozen extractor, and the outputs of all experts on them.


@lru_cache(maxsize=4)
def expert_module(model: ModelConfig, classes: int) -> nn.Module:
    """Return one expert without memory, features to logits, for ``functional_call``."""
    with torch.device("meta"):
        return Expert(model.hidden, model.expert_hidden, classes)


def features_of(task: Task, server: Tensors, x: Tensor) -> Tensor:
    """Return the features (n, d) of samples ``x`` (n, ...)."""
    model = pretext(task.config.model, task.spec, "none").extractor
    own = {name.removeprefix(EXTRACTOR): t for name, t in extractor_in(server).items()}
    return functional_call(model, own, (x,))


def outputs_of(task: Task, experts: Tensors, features: Tensor) -> Tensor:
    """Return the probabilities (n, N, C) of stacked experts (N, ...) on ``features`` (n, d)."""
    model = expert_module(task.config.model, task.spec.outputs)

    def answers(tensors: dict[str, Tensor]) -> Tensor:
        return functional_call(model, tensors, (features,)).softmax(-1)

    return vmap(answers, out_dims=1)(dict(experts))


def features(task: Task, server: Tensors, *, cluster: str) -> dict[str, Tensor]:
    """Features of all training samples of one cluster, device after device."""
    return {"features": _frozen_features(task, server, task.shards[cluster].samples.x)}


def knowledge(task: Task, cached: Tensors, *experts: Tensors) -> dict[str, Tensor]:
    """Features (n, d) of one cluster's samples and the outputs (n, N, C) of all experts on them."""
    return dict(cached) | {"outputs": _outputs(task, experts, cached["features"])}


def tested(task: Task, server: Tensors, *experts: Tensors) -> dict[str, Tensor]:
    """Features, outputs of all experts and labels of the global test set.

    It has the test samples of all clusters; a set that several of them share counts once.
    """
    return _examined(task, server, experts, task.test)


def validated(task: Task, server: Tensors, *experts: Tensors) -> dict[str, Tensor]:
    """Features, outputs of all experts and labels of the global validation set, as of the tests."""
    return _examined(task, server, experts, task.validation)


def _examined(
    task: Task,
    server: Tensors,
    experts: tuple[Tensors, ...],
    sets: Mapping[str, Samples],
) -> dict[str, Tensor]:
    kept: dict[str, Samples] = {}
    for name in task.config.clusters:
        x, y, _ = sets[name]
        if not any(torch.equal(y, old.y) and torch.equal(x, old.x) for old in kept.values()):
            kept[name] = sets[name]
    samples = pool(kept)
    found = _frozen_features(task, server, samples.x)
    outputs = _outputs(task, experts, found)
    return {"features": found, "outputs": outputs, "labels": samples.y}


def _frozen_features(task: Task, server: Tensors, x: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([features_of(task, server, part) for part in in_batches(x)])


def _outputs(task: Task, experts: tuple[Tensors, ...], found: Tensor) -> Tensor:
    """Stack the experts of all clusters in canonical order and compute their outputs."""
    everyone = {name: torch.cat([part[name] for part in experts]) for name in experts[0]}
    with torch.no_grad():
        return torch.cat([outputs_of(task, everyone, h) for h in in_batches(found)])


def assembled(
    _task: Task, server: Tensors, *stacked: Tensors, clusters: list[str]
) -> dict[str, Tensor]:
    """Return extractor, experts and gate by stored name.

    ``stacked`` are the experts of all clusters in order and, if there are any, their gates. Gates
    that differ between clients are stored per cluster, (K, ...), instead of once.
    """
    experts = stacked[: len(clusters)]
    gates = stacked[len(clusters) :]
    whole = extractor_in(server)
    for name in experts[0] if experts else ():
        for number, own in enumerate(torch.cat([part[name] for part in experts])):
            whole[ExpertTensor(number, 0, name).stored] = own
    for name in gates[0] if gates else ():
        every = torch.cat([part[name] for part in gates])
        if torch.equal(every, every[:1].expand_as(every)):
            whole[f"gate.0.{name}"] = every[0]
        else:
            pairs = zip(clusters, gates, strict=True)
            whole |= {f"gates.{cluster}.{name}": part[name] for cluster, part in pairs}
    return whole
