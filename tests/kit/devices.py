"""The devices of one cluster, and what is done with them in one short call each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from tests.kit import training
from tests.kit.training import Task

State = Mapping[str, Tensor]


class Devices:
    """Devices of ``cluster``; one number or truth value stands for all of them."""

    def __init__(self, task: Task, cluster: str = "a") -> None:
        self.task, self.cluster = task, cluster
        self.count = task.devices(cluster)

    def each(self, value: Any) -> tuple[Any, ...]:
        return value if isinstance(value, tuple) else (value,) * self.count

    def _how(self, who: Any, generation: Any, experts: Any) -> dict[str, Any]:
        experts = self.task.all_experts if experts is None else experts
        each = {"who": self.each(who), "adapter_epoch": self.each(generation)}
        return {"cluster": self.cluster, "experts": experts, **each}

    def receive(self, server, state=None, *, who=True, experts=None, generation=0) -> State:
        return training.load(self.task, server, state, **self._how(who, generation, experts))

    def receive_gate(self, server: State, state: State, who: Any) -> State:
        return training.load_gate(self.task, server, state, who=who)

    def train(self, state, rounds=1, *, first=0, experts=(1,), mask="-inf", **how: bool) -> State:
        counts = {"rounds": self.each(rounds), "first_round": self.each(first)}
        how = {"gate": False, "masked": False, **how}
        said = {"cluster": self.cluster, "experts": experts, "mask": mask}
        return training.train(self.task, state, **said, **counts, **how)

    def fold(self, state, *, who=True, generation=1, experts=None, gate=True) -> State:
        return training.commit(self.task, state, gate=gate, **self._how(who, generation, experts))

    def offer(self, state: State, experts: Collection[int] = (), gate: bool = True) -> State:
        return training.offer(self.task, state, experts=experts, gate=gate)


def moved(before: State, after: State, device: int | None = None) -> set[str]:
    """Names of the tensors that differ, of one device or of any."""
    where = ... if device is None else device
    return {name for name in before if not torch.equal(before[name][where], after[name][where])}


def factors_of(experts: Collection[int], layers: int) -> set[str]:
    """Names of the low-rank factors of ``experts``."""
    return {
        f"factor.expert.{expert}.{layer}.{matrix}.{factor}"
        for expert in experts
        for layer in range(layers)
        for matrix in ("up", "down")
        for factor in "ab"
    }
