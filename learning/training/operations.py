"""Operations on tensors by name: task, tensors and JSON in, tensors or JSON out.

Each takes the task, the tensors of its parents and plain JSON arguments, and returns tensors.
"""

from __future__ import annotations

from typing import Any

from learning.models.interface import is_of
from learning.training import aggregation, device_state, local
from learning.training.device_state import BASE, FACTOR
from learning.training.guards import Before
from learning.training.start import start_model
from learning.training.task import Task
from learning.values.lazy import Tensors


def start(task: Task) -> Tensors:
    """Upcycled start model."""
    return start_model(task)


def receive(
    task: Task, server: Tensors, state: Tensors | None = None, *, cluster: str, **arguments: Any
) -> Tensors:
    """Download of experts and gate."""
    return device_state.receive(task, server, state, cluster=cluster, **_tuples(arguments))


def receive_gate(task: Task, server: Tensors, state: Tensors, *, who: list[bool]) -> Tensors:
    """Download of the gate alone."""
    return device_state.receive_gate(task, server, state, who=tuple(who))


def train(
    task: Task,
    state: Tensors,
    *,
    cluster: str,
    gate: bool,
    masked: bool,
    mask: str,
    **arguments: Any,
) -> Tensors:
    """Local rounds of all devices of one cluster, on what is to be trained and nothing else."""
    before, experts = Before(state), arguments["experts"]
    trained = local.train(
        task, state, cluster=cluster, gate=gate, masked=masked, mask=mask, **_tuples(arguments)
    )

    def moves(name: str) -> bool:
        of_gate = gate and task.is_shared(name)
        return not name.startswith(BASE) and (of_gate or is_of(name.removeprefix(FACTOR), experts))

    before.check(trained, moves, f"training in {cluster!r}")
    return trained


def offer(task: Task, state: Tensors, *, experts: list[int], gate: bool) -> Tensors:
    """What an upload carries."""
    return device_state.offer(task, state, experts=tuple(experts), gate=gate)


def fold(task: Task, state: Tensors, *, cluster: str, gate: bool, **arguments: Any) -> Tensors:
    """Factors become part of the device's base."""
    return device_state.fold(task, state, cluster=cluster, gate=gate, **_tuples(arguments))


def select(task: Task, new: Tensors, old: Tensors, *, who: list[bool]) -> Tensors:
    """Row-wise choice between two stacked states."""
    return device_state.select(tuple(who), new, old)


def merge_experts(
    task: Task,
    server: Tensors,
    offered: Tensors,
    *,
    cluster: str,
    experts: list[int],
    who: list[bool],
    scale: float,
    able: list[bool] | None,
) -> Tensors:
    """Equation (35), as changes against the version that each device downloaded."""
    before = Before(server)
    weights = [scale * share for share in aggregation.sample_weights(task, cluster, who, able)]
    merged = aggregation.merge_experts(
        task, server, offered, experts=tuple(experts), weights=weights
    )
    before.check(merged, lambda name: is_of(name, experts), f"the update of {cluster!r}")
    return merged


def merge_by_usage(
    task: Task,
    server: Tensors,
    offered: Tensors,
    *,
    experts: list[int],
    weights: list[list[float]],
) -> Tensors:
    """Usage-weighted aggregation of experts."""
    before = Before(server)
    merged = aggregation.merge_by_usage(
        task, server, offered, experts=tuple(experts), weights=weights
    )
    before.check(merged, lambda name: is_of(name, experts), "an update by usage")
    return merged


def merge_gate(
    task: Task,
    server: Tensors,
    offered: Tensors,
    *,
    cluster: str,
    who: list[bool],
    scale: float,
    able: list[bool] | None,
) -> Tensors:
    """Equation (36), as changes against the version that each device downloaded."""
    before = Before(server)
    weights = [scale * share for share in aggregation.sample_weights(task, cluster, who, able)]
    merged = aggregation.merge_gate(task, server, offered, weights=weights)
    before.check(merged, task.is_shared, f"the gate of {cluster!r}")
    return merged


def _tuples(arguments: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {name: tuple(value) for name, value in arguments.items()}


# What is taken out of tensors, by name: each takes the task and tensors, and returns JSON.


def built(task: Task) -> bool:
    """Say that the task could be built, or it would not be here."""
    return True


def not_finite(task: Task, state: Tensors) -> list[int]:
    """Devices whose tensors are not all finite."""
    return device_state.not_finite(state)


def all_finite(task: Task, *parts: Tensors) -> bool:
    """Whether all tensors of all parts are finite."""
    return all(bool(tensor.isfinite().all()) for part in parts for tensor in part.values())


def samples(task: Task) -> list[list[int]]:
    """Each device's number of training samples, cluster by cluster."""
    return [list(task.shards[name].sizes) for name in task.config.clusters]


def shares(task: Task) -> list[list[float]]:
    """Each device's share of all samples, cluster by cluster."""
    counts = samples(task)
    total = sum(map(sum, counts))
    return [[count / total for count in own] for own in counts]
