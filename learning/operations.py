"""The tensor operations behind :class:`learning.learner.Learner`, by name.

Each takes the task, the tensors of its parents and plain JSON arguments, and returns tensors.
"""

from __future__ import annotations

from typing import Any

from learning import aggregation, device_state, training, upcycling
from learning.device_state import BASE, FACTOR
from learning.frozen import Before
from learning.models.names import is_of
from learning.task import Task
from learning.values import Tensors


def start(task: Task) -> Tensors:
    """Upcycled start model."""
    return upcycling.start_model(task)


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
    trained = training.train(
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
