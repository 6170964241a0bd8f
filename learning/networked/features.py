"""What a frozen extractor makes of samples, and what all experts answer to it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from learning.config import ModelConfig
from learning.data.samples import InputSpec
from learning.models.networked import PersonalExpert, make_extractor
from learning.networked.extractor import EXTRACTOR
from learning.task import Samples, Task, in_batches, pool


@lru_cache(maxsize=4)
def extractor_module(model: ModelConfig, spec: InputSpec) -> nn.Module:
    """Return the extractor without memory, to be called with tensors given."""
    with torch.device("meta"):
        return make_extractor(model, spec)


@lru_cache(maxsize=4)
def expert_module(model: ModelConfig, classes: int, combine: str) -> nn.Module:
    """Return one expert without memory, to be called with tensors given."""
    with torch.device("meta"):
        return PersonalExpert(model.hidden, model.expert_hidden, classes, combine)


def features_of(task: Task, server: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Return the features (n, d) of samples ``x`` (n, ...)."""
    model = extractor_module(task.config.model, task.spec)
    own = {n.removeprefix(EXTRACTOR): t for n, t in server.items() if n.startswith(EXTRACTOR)}
    features: Tensor = functional_call(model, own, (x,))
    return features


def outputs_of(task: Task, experts: Mapping[str, Tensor], features: Tensor, combine: str) -> Tensor:
    """Return the answers (n, N, C) of stacked experts (N, ...) to ``features`` (n, d)."""
    model = expert_module(task.config.model, task.spec.classes, combine)

    def answers(tensors: dict[str, Tensor]) -> Tensor:
        out: Tensor = functional_call(model, tensors, (features,))
        return out

    return vmap(answers, out_dims=1)(dict(experts))


def features(task: Task, server: Mapping[str, Tensor], *, cluster: str) -> dict[str, Tensor]:
    """Features of all training samples of one cluster, device after device."""
    return {"features": _frozen_features(task, server, task.shards[cluster].samples.x)}


def knowledge(
    task: Task,
    cached: Mapping[str, Tensor],
    *experts: Mapping[str, Tensor],
    combine: str,
) -> dict[str, Tensor]:
    """Features of one cluster's samples, and all experts' answers to them."""
    return dict(cached) | {"outputs": _outputs(task, experts, cached["features"], combine)}


def tested(
    task: Task, server: Mapping[str, Tensor], *experts: Mapping[str, Tensor], combine: str
) -> dict[str, Tensor]:
    """Features, answers and labels of the global test set."""
    samples = global_test(task)
    found = _frozen_features(task, server, samples.x)
    return {
        "features": found,
        "outputs": _outputs(task, experts, found, combine),
        "labels": samples.y,
    }


def global_test(task: Task) -> Samples:
    """Return all clusters' test samples, a set that several clusters share once."""
    kept: dict[str, Samples] = {}
    for name in task.config.clusters:
        new = task.test[name]
        if not any(_same(new, old) for old in kept.values()):
            kept[name] = new
    return pool(kept)


def _same(one: Samples, other: Samples) -> bool:
    return torch.equal(one.y, other.y) and torch.equal(one.x, other.x)


def _frozen_features(task: Task, server: Mapping[str, Tensor], x: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([features_of(task, server, part) for part in in_batches(x)])


def _outputs(
    task: Task, experts: tuple[Mapping[str, Tensor], ...], found: Tensor, combine: str
) -> Tensor:
    """Put the clusters' experts together, in canonical order, and ask them all."""
    everyone = {name: torch.cat([part[name] for part in experts]) for name in experts[0]}
    with torch.no_grad():
        return torch.cat([outputs_of(task, everyone, h, combine) for h in in_batches(found)])
