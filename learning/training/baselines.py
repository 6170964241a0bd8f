"""Training without any federation: one model on all samples, or devices for themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import cast

import torch
from torch import Tensor

from learning.metrics import COUNTS, Score, pooled_figures
from learning.models.stacked import Tensors
from learning.training.aggregation import client_weights, summed
from learning.training.evaluation import evaluate
from learning.training.local import train
from learning.training.recipe import LocalRounds, TrainedPart
from learning.training.state import (
    State,
    assembled_state,
    flatten,
    model_of_device,
    of_one_model,
    whole,
)
from learning.training.sync import load
from learning.training.task import Shards, Task, pool

POOLED = "pooled"
"""What the one client is called that holds all samples, in the stream of its minibatches."""


def pooled_rounds(
    task: Task,
    server: Tensors,
    *before: Tensors,
    rounds: int,
    first_round: int,
    batches: int = 1,
) -> dict[str, Tensor]:
    """Return what one client that holds the samples of all devices has after local rounds.

    It downloads ``server``, and of what it had ``before`` keeps what its optimiser remembers. A
    step is over the samples of so many ``batches``.
    """
    samples = pool({name: shards.samples for name, shards in task.shards.items()})
    config = replace(task.config, batch_size=batches * task.config.batch_size)
    alone = replace(task, shards={POOLED: Shards(samples, (len(samples.y),))}, config=config)
    past: list[Tensors] = []
    for own in before:  # of factors, which are new, nothing is remembered
        memory = {
            slot: {key: tensor for key, tensor in part.items() if not key.factor}
            for slot, part in State.of(own).optimizer.items()
        }
        past = [flatten(State(optimizer=memory)), server]
    return _rounds_of_one(alone, server, past, POOLED, rounds, first_round)[1]


def _rounds_of_one(
    task: Task, server: Tensors, past: Sequence[Tensors], cluster: str, rounds: int, first: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return what the one client of a cluster has downloaded, and what it has after its rounds."""
    versions = of_one_model(task, devices=1)
    own = load(
        task,
        whole(task, server),
        *past,
        versions=versions,
        cluster=cluster,
        who=[True],
        experts=task.all_experts,
        adapter_epoch=[first],
    )
    local = LocalRounds(cluster, [rounds], [first])
    part = TrainedPart(task.all_experts, gate=True)
    return own, train(task, own, server, servers=1, versions=versions, local=local, part=part)


def pooled_model(task: Task, server: Tensors, own: Tensors) -> dict[str, Tensor]:
    """Return the server's model as the one client has it."""
    state = assembled_state(task, State.of(own), [server], of_one_model(task, devices=1))
    return {**server, **model_of_device(task, state, 0)}


def scores_alone(task: Task, *states: Tensors, clusters: Sequence[str]) -> list[Score]:
    """Test every device's own model on its cluster's test set; return the means over devices."""
    means: list[Score] = []
    for cluster, tensors in zip(clusters, states, strict=True):
        state = State.of(tensors)
        alone = task.tested_in(cluster)
        found = [
            evaluate(alone, model_of_device(alone, state, device))[0]
            for device in range(task.devices(cluster))
        ]
        pooled = pooled_figures(found)
        # The devices have the same samples, which count once.
        figures = {name: value for name, value in pooled.items() if name not in COUNTS}
        means.append(cast(Score, {**found[0], **figures}))
    return means


def scores_of_clusters(task: Task, *servers: Tensors, clusters: Sequence[str]) -> list[Score]:
    """Test each cluster's model on the cluster's test set."""
    found = []
    for cluster, server in zip(clusters, servers, strict=True):
        alone = task.tested_in(cluster)
        found += evaluate(alone, server)
    return found


def mean_of_clusters(task: Task, *servers: Tensors, clusters: Sequence[str]) -> dict[str, Tensor]:
    """Return the mean of the clusters' models, by the samples of their devices."""
    devices = [[True] * task.devices(cluster) for cluster in clusters]
    each = iter(client_weights(task, clusters, devices, weighted=True))
    shares = [sum(islice(each, len(own))) for own in devices]
    return _mean([whole(task, server) for server in servers], shares)


def mean_model(task: Task, *states: Tensors, clusters: Sequence[str]) -> dict[str, Tensor]:
    """Return the mean of all devices' models, by their samples."""
    devices = [range(task.devices(cluster)) for cluster in clusters]
    shares = client_weights(task, clusters, [[True] * len(own) for own in devices], weighted=True)
    pairs = zip(map(State.of, states), devices, strict=True)
    models = [model_of_device(task, state, device) for state, own in pairs for device in own]
    return _mean(models, shares)


def _mean(models: Sequence[Tensors], shares: Sequence[float]) -> dict[str, Tensor]:
    """Return the mean of models by their shares, which sum to 1."""
    return {n: summed(torch.stack([model[n] for model in models]), shares, n) for n in models[0]}
