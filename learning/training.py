"""Local training: minibatch gradient descent of all devices of a cluster at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, vmap
from torch.nn import functional

from learning.device_state import BASE, FACTOR, State, delta_of, experts_held
from learning.models import MoEModel, Residency
from learning.models.names import is_gate, is_of, module_path
from learning.streams import stream
from learning.task import Task


def train(
    task: Task,
    state: Mapping[str, Tensor],
    *,
    cluster: str,
    rounds: Sequence[int],
    first_round: Sequence[int],
    experts: Collection[int],
    gate: bool,
    masked: bool,
) -> State:
    """Train device ``k`` for ``rounds[k]`` rounds, its rounds counted from ``first_round[k]``.

    The factors of ``experts`` move by equations (26) and (38) and, with ``gate``, the gate by
    (27) and (40), both at the same point; all else is frozen. ``masked`` restricts the gate to
    ``experts``, equation (43). A device's result depends on its own state, data and rounds only,
    and rounds trained in several calls equal those trained in one, bit for bit.

    Raises :class:`ValueError` for counts that do not fit the cluster, for experts that are not
    held, and for an unmasked gate on devices that do not hold every expert.
    """
    routed = tuple(sorted(experts)) if masked else task.all_experts
    _check_counts(task, cluster, rounds, first_round)
    _check_experts(state, experts, routed, gate)
    model = task.skeleton(Residency(held=routed, tuned=tuple(sorted(experts)), dense=True))
    moved = _moved_names(state, experts, gate)
    frozen = _frozen(state, routed, moved)
    tensors = {path: state[name] for name, path in moved.items()}
    for index in range(max(rounds)):
        training = [index < count for count in rounds]
        numbers = [first + index for first in first_round]
        for x, y in _batches(task, cluster, training, numbers):
            gradients = _gradients(task, model, tensors, frozen, x, y)
            tensors = _descend(task, tensors, gradients, torch.tensor(training))
    return {**state, **{name: tensors[path] for name, path in moved.items()}}


def _moved_names(
    state: Mapping[str, Tensor], experts: Collection[int], gate: bool
) -> dict[str, str]:
    """Return the state names that are trained, with their paths in the model."""
    moved = {}
    for name in state:
        stored = name.removeprefix(FACTOR)
        if (name.startswith(FACTOR) and is_of(stored, experts)) or (gate and is_gate(name)):
            moved[name] = module_path(stored)
    return moved


def _frozen(
    state: Mapping[str, Tensor], routed: Collection[int], moved: Mapping[str, str]
) -> dict[str, Tensor]:
    """Return the frozen stacked tensors by model path, factors that do not move merged in.

    Made contiguous, so that a state gives the same bits whether its bases are shared between
    devices or were loaded one a device.
    """
    frozen = {}
    for name, tensor in state.items():
        stored = name.removeprefix(BASE)
        if name.startswith(BASE) and is_of(stored, routed):
            factor = FACTOR + stored.removesuffix(".weight") + ".a"
            delta = None if factor in moved else delta_of(state, name)
            frozen[module_path(stored)] = (tensor if delta is None else tensor + delta).contiguous()
        elif is_gate(name) and name not in moved:
            frozen[module_path(name)] = tensor.contiguous()
    return frozen


def _batches(
    task: Task, cluster: str, training: Sequence[bool], numbers: Sequence[int]
) -> list[tuple[Tensor, Tensor]]:
    """Return the minibatches of one round, x (K, batch, d) and y (K, batch) a step.

    Devices that stand still get rows 0: shapes stay the same and nothing is drawn for them.
    """
    config = task.config
    shape = (config.steps_per_round, config.batch_size)
    xs, ys = [], []
    for device, shard in enumerate(task.shards[cluster]):
        rows = np.zeros(shape, dtype=np.int64)
        if training[device]:
            rng = stream(config.seed, "batch", cluster, device, numbers[device])
            rows = rng.integers(0, len(shard.y), shape)
        xs.append(shard.x[torch.from_numpy(rows)])
        ys.append(shard.y[torch.from_numpy(rows)])
    return list(zip(torch.stack(xs, 1), torch.stack(ys, 1), strict=True))


def _gradients(
    task: Task,
    model: MoEModel,
    tensors: Mapping[str, Tensor],
    frozen: Mapping[str, Tensor],
    x: Tensor,
    y: Tensor,
) -> tuple[Tensor, ...]:
    """Return each device's gradient of its own mean loss, stacked, in the order of ``tensors``."""
    backbone = task.backbone
    leaves = {path: tensor.detach().requires_grad_() for path, tensor in tensors.items()}

    def logits_of(own: dict[str, Tensor], rows: Tensor) -> Tensor:
        logits: Tensor = functional_call(model, {**backbone, **own}, (rows,), tie_weights=False)
        return logits

    logits = vmap(logits_of)({**frozen, **leaves}, x)
    losses = functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none")
    total = losses.view(y.shape).mean(1).sum()
    return torch.autograd.grad(total, list(leaves.values()))


def _descend(
    task: Task,
    tensors: Mapping[str, Tensor],
    gradients: Sequence[Tensor],
    training: Tensor,
) -> dict[str, Tensor]:
    """Take one step on the devices in ``training`` (K,); the others stand still."""
    moved = {}
    for (path, tensor), gradient in zip(tensors.items(), gradients, strict=True):
        step_size = task.config.step_size
        if ".gate." in path:
            step_size *= task.config.gate_step_size_ratio
        who = training.view(-1, *[1] * (tensor.dim() - 1))
        moved[path] = torch.where(who, tensor - step_size * gradient, tensor)
    return moved


def _check_counts(
    task: Task, cluster: str, rounds: Sequence[int], first_round: Sequence[int]
) -> None:
    devices = task.devices(cluster)
    for what, counts in (("rounds", rounds), ("first_round", first_round)):
        if len(counts) != devices or min(counts) < 0:
            raise ValueError(
                f"{what} is {tuple(counts)}; cluster {cluster!r} needs {devices} counts, 0 or more"
            )


def _check_experts(
    state: Mapping[str, Tensor], experts: Collection[int], routed: Collection[int], gate: bool
) -> None:
    if not experts and not gate:
        raise ValueError("nothing to train: name at least one expert or train the gate")
    held = experts_held(state)
    if missing := sorted((set(experts) | set(routed)) - set(held)):
        raise ValueError(
            f"expert {missing[0]} is not held (held: {held}) but the gate may route to it; "
            "download it or train with masked=True"
        )
    if not routed:
        raise ValueError("a masked gate needs at least one expert to route to")
