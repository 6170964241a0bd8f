"""The learning task: data, the frozen backbone and how a model is put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from learning.config import LearningConfig, ModelConfig
from learning.data import SampleArrays, load_samples
from learning.models import MODELS, MoEModel, Residency
from learning.models.dense import draw_batches, fit, initialise, sgd, task_loss
from learning.models.names import expert_of, is_gate, module_path, stored_name
from learning.streams import stream

DENSE_STEPS = 150
DENSE_BATCH_SIZE = 32
DENSE_STEP_SIZE = 0.1


class Samples(NamedTuple):
    """Features (n, d) float32, labels (n,) int64, and the domain (n,) that each came from."""

    x: Tensor
    y: Tensor
    domain: Tensor


@dataclass(frozen=True)
class Task:
    """Everything that training needs beside the models in circulation.

    ``shards`` (one a device), ``trial`` and ``test`` are by cluster name. ``dense`` is the
    pre-trained dense model: the backbone that every model keeps, and the feed-forward network
    ("expert 0") that the experts start from.
    """

    config: LearningConfig
    shards: Mapping[str, tuple[Samples, ...]]
    trial: Mapping[str, Samples]
    test: Mapping[str, Samples]
    features: int
    classes: int
    dense: Mapping[str, Tensor]

    @property
    def backbone(self) -> dict[str, Tensor]:
        """The frozen tensors: everything but experts and gates."""
        return {
            name: tensor
            for name, tensor in self.dense.items()
            if expert_of(name) is None and not is_gate(name)
        }

    @property
    def all_experts(self) -> tuple[int, ...]:
        """Every expert's index."""
        return tuple(range(self.config.model.experts))

    def devices(self, cluster: str) -> int:
        """Return how many devices ``cluster`` has."""
        return len(self.shards[cluster])

    def skeleton(self, here: Residency) -> MoEModel:
        """Return a model without memory (device "meta"), to be called with tensors given."""
        return _skeleton(self.config.model, self.features, self.classes, here)

    def model(self, server: Mapping[str, Tensor]) -> MoEModel:
        """Return the whole model with the server's experts and gates, unmasked Top-K."""
        model = self.skeleton(Residency(held=self.all_experts))
        tensors = {module_path(name): t for name, t in {**self.backbone, **server}.items()}
        model.load_state_dict(tensors, assign=True)
        return model

    def dense_model(self) -> MoEModel:
        """Return a copy of the dense model: one expert, its own to change."""
        model = _dense_skeleton(self.config.model, self.features, self.classes)
        tensors = {module_path(name): t.clone() for name, t in self.dense.items()}
        model.load_state_dict(tensors, assign=True)
        return model


def build_task(config: LearningConfig) -> Task:
    """Load the data, share them out and pre-train the dense model on the pooled trial data.

    Raises :class:`ValueError` for an unknown kind of model or data, or an empty shard.
    """
    kind = config.model.kind
    if kind not in MODELS:
        raise ValueError(f"model.kind is {kind!r}; known kinds: {', '.join(sorted(MODELS))}")
    samples = load_samples(config)
    trial = {name: _tensors(arrays) for name, arrays in samples.trial.items()}
    features = next(iter(trial.values())).x.shape[-1]
    return Task(
        config=config,
        shards={n: tuple(_tensors(s) for s in shards) for n, shards in samples.shards.items()},
        trial=trial,
        test={name: _tensors(arrays) for name, arrays in samples.test.items()},
        features=features,
        classes=samples.classes,
        dense=_pretrain_dense(config, pool(trial), features, samples.classes),
    )


def use_one_thread() -> None:
    """Keep torch to one thread in this process: its sums then do not depend on the core count."""
    torch.set_num_threads(1)


def pool(parts: Mapping[str, Samples]) -> Samples:
    """Put the clusters' samples one after another."""
    x, y, domain = (torch.cat(tensors) for tensors in zip(*parts.values(), strict=True))
    return Samples(x, y, domain)


def _tensors(arrays: SampleArrays) -> Samples:
    return Samples(*(torch.from_numpy(array) for array in arrays))


def _skeleton(config: ModelConfig, features: int, classes: int, here: Residency) -> MoEModel:
    with torch.device("meta"):
        return MODELS[config.kind](config, features, classes, here)


def _dense_skeleton(config: ModelConfig, features: int, classes: int) -> MoEModel:
    return _skeleton(replace(config, experts=1, top_k=1), features, classes, Residency(held=(0,)))


def _pretrain_dense(
    config: LearningConfig, trial: Samples, features: int, classes: int
) -> dict[str, Tensor]:
    model = _dense_skeleton(config.model, features, classes).to_empty(device="cpu")
    initialise(model, config.seed)
    rng = stream(config.seed, "pretrain", "dense")
    fit(
        [p for path, p in model.named_parameters() if not is_gate(stored_name(path))],
        task_loss(model, trial.x, trial.y),
        draw_batches(rng, len(trial.y), DENSE_STEPS, DENSE_BATCH_SIZE),
        sgd(DENSE_STEP_SIZE),
    )
    return {stored_name(path): p.detach() for path, p in model.named_parameters()}
