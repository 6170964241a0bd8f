"""Rounds of a learner as methods ask for them, and the same round in plain PyTorch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from learning import Learner, stream
from tests.kit.learning import DeviceState, aggregate
from tests.kit.minibatches import minibatches
from tests.kit.training import LocalRounds, TrainedPart, Weighing


def experts_of(learner: Learner) -> list[int]:
    return list(range(learner.config.model.experts))


def downloaded(
    learner: Learner, server: Any, before: Any = None, cluster: str = "a", number: int = 0
) -> DeviceState:
    """All devices of a cluster with all of the server's model."""
    everybody = np.ones(learner.config.devices[learner.config.clusters.index(cluster)], bool)
    epochs = np.full(len(everybody), number)
    experts = experts_of(learner)
    return DeviceState.load(learner, server, before, cluster, everybody, experts, epochs)


def trained(state: DeviceState, rounds: Any = 1, first: Any = 0, *, gate: bool = True) -> Any:
    """Devices after local rounds; one number stands for all of them."""
    each = [np.broadcast_to(given, state.versions.shape[1]).copy() for given in (rounds, first)]
    part = TrainedPart(experts_of(state.learner), gate=gate)
    return state.train(LocalRounds(state.cluster, *each), part)


def merged(server: Any, state: DeviceState, *, scale: float = 1.0, gate: bool = True) -> Any:
    """The server's model after the updates of all devices."""
    experts = experts_of(state.learner)
    weighing = Weighing(state.cluster, np.ones(state.versions.shape[1], bool), scale=scale)
    sent = state.offer(experts, gate=gate)
    return aggregate(state.learner, server, sent, experts, weighing, gate=gate)


def cycle(
    learner: Learner,
    server: Any,
    number: int = 0,
    states: dict[str, Any] | None = None,
    *,
    scale: float = 1.0,
    gate: bool = True,
) -> Any:
    """All clusters in turn download, train a round and upload: the server's model after it."""
    states = {} if states is None else states
    for name in learner.config.clusters:
        state = downloaded(learner, server, states.get(name), name, number)
        state = trained(state, first=number, gate=gate)
        server = merged(server, state, scale=scale, gate=gate)
        who = np.ones(state.versions.shape[1], bool)
        epochs = np.full(len(who), number + 1)
        states[name] = state.commit(who, epochs, experts_of(learner), gate=gate)
    return server


def by_path(learner: Learner, server: Any) -> dict[str, torch.Tensor]:
    """The tensors of a final model by the paths of its module."""
    names = learner.task.names
    return {names.path(n): t for n, t in learner.force(learner.final(server)).items()}


Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Any]


def assert_as_by_hand(
    learner: Learner, loss: Loss, rounds: tuple[int, ...] = (2, 1), rtol: float = 1e-12
) -> tuple[Any, torch.nn.Module]:
    """Compare a round of the devices of cluster a with plain PyTorch; ``loss(outputs, y, x)``.

    Returns the server's model after it, and a module with its weights.
    """
    config, first = learner.config, learner.start()
    module = copy.deepcopy(learner.task.model(learner.force(first)))
    start = by_path(learner, first)
    server = merged(first, trained(downloaded(learner, first), rounds))
    shards = learner.task.shards["a"]
    states = []
    for device, count in enumerate(rounds):
        own = copy.deepcopy(module)
        own.load_state_dict({**own.state_dict(), **start})
        own.train()
        samples = shards.of(device)
        free = [parameter for parameter in own.parameters() if parameter.requires_grad]
        optimiser = torch.optim.SGD(free, lr=config.step_size)
        shape = config.steps_per_round, config.batch_size
        for number in range(count):
            draws = stream(config.seed, "dropout", "a", device, number)
            torch.manual_seed(int(draws.integers(2**63)))
            for rows in minibatches(config.seed, "a", device, number, len(samples.y), shape):
                optimiser.zero_grad()
                loss(own(samples.x[rows]), samples.y[rows], samples.x[rows]).backward()
                optimiser.step()
        states.append(own.state_dict())
    after = by_path(learner, server)
    for path, tensor in after.items():
        parts = zip(shards.sizes, states, strict=True)
        mean = sum(n * own[path].double() for n, own in parts) / sum(shards.sizes)
        expected = mean if tensor.is_floating_point() else mean.round().to(tensor.dtype)
        torch.testing.assert_close(tensor, expected, rtol=rtol, atol=1e-14)
    assert any(not torch.equal(after[path], start[path]) for path in after)
    module.load_state_dict({**module.state_dict(), **after})
    return server, module
