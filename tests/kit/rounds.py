"""Rounds of a learner as methods ask for them, and the same round in plain PyTorch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from learning import Learner, stream
from learning.clients.device_state import DeviceState
from learning.clients.updates import aggregate
from learning.training.recipe import LocalRounds, TrainedPart, Weighing
from learning.training.task import Traits
from tests.kit.plain_loop import minibatches

Tensors = Mapping[str, torch.Tensor]


def experts_of(learner: Learner) -> list[int]:
    return list(range(learner.config.model.experts))


def rows(learner: Learner, cluster: str, values: Any) -> Any:
    """A value for each device of a cluster; one stands for all of them."""
    return np.broadcast_to(values, learner.task.devices(cluster)).copy()


def one_by_one(learner: Learner) -> Learner:
    """The learner with devices that are trained one after another."""
    learner.task = replace(learner.task, traits=Traits(batched=False))
    return learner


def downloaded(
    learner: Learner,
    server: Any,
    before: Any = None,
    cluster: str = "a",
    number: Any = 0,
    *,
    who: Any = True,
    experts: Any = None,
) -> DeviceState:
    """Devices of a cluster with the server's model: all, with all experts, unless said."""
    experts = experts_of(learner) if experts is None else list(experts)
    who, epochs = (rows(learner, cluster, values) for values in (who, number))
    return DeviceState.load(learner, server, before, cluster, who, experts, epochs)


def trained(
    state: DeviceState,
    rounds: Any = 1,
    first: Any = 0,
    *,
    gate: bool = True,
    experts: Any = None,
    term: Any = None,
    **part: Any,
) -> DeviceState:
    """Devices after local rounds; one number stands for all of them."""
    each = [rows(state.learner, state.cluster, given) for given in (rounds, first)]
    experts = experts_of(state.learner) if experts is None else list(experts)
    local = LocalRounds(state.cluster, *each)
    return state.train(local, TrainedPart(experts, gate=gate, **part), term)


def committed(
    state: DeviceState, number: Any, *, who: Any = True, gate: bool = True
) -> DeviceState:
    """Devices that have offered all experts."""
    who, epochs = (rows(state.learner, state.cluster, values) for values in (who, number))
    return state.commit(who, epochs, experts_of(state.learner), gate=gate)


def merged(
    server: Any, state: DeviceState, *, who: Any = True, scale: float = 1.0, gate: bool = True
) -> Any:
    """The server's model after the updates of devices."""
    experts = experts_of(state.learner)
    weighing = Weighing(state.cluster, rows(state.learner, state.cluster, who), scale=scale)
    sent = state.offer(experts, gate=gate)
    return aggregate(state.learner, server, sent, experts, weighing, gate=gate)


def models_of(state: DeviceState) -> Tensors:
    """The models (K, ...) of all devices as trained, in full matrices."""
    return state.learner.force(state.learner.make("learning.training.sync:models", state.whole))


def spoilt(state: DeviceState, device: int) -> DeviceState:
    """The devices, of which one has lost its numbers."""
    return replace(state, own=state.learner.make(without_numbers, state.own, device=device))


def without_numbers(_task: Any, state: Tensors, *, device: int) -> Tensors:
    who = torch.arange(len(next(iter(state.values())))) == device
    return {n: t.clone().index_fill_(0, who.nonzero()[0], torch.nan) for n, t in state.items()}


def moved(before: Tensors, after: Tensors, device: int | None = None) -> set[str]:
    """Names of the tensors that differ, of one device or of any."""
    where = ... if device is None else device
    return {name for name in before if not torch.equal(before[name][where], after[name][where])}


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
        states[name] = committed(state, number + 1, gate=gate)
    return server


def by_path(learner: Learner, server: Any) -> dict[str, torch.Tensor]:
    """The tensors of a final model by the paths of its module."""
    names = learner.task.names
    final = learner.force(learner.final(server))
    return {names.path(n): t for n, t in final.items()} if names.layers else dict(final)


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
