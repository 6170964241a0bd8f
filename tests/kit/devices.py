"""The devices of one cluster, and what is done with them in one short call each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from tests.kit.training import Task, fold, offer, receive, receive_gate, train

State = Mapping[str, Tensor]


class Devices:
    """Devices of ``cluster``; one number or truth value stands for all of them."""

    def __init__(self, task: Task, cluster: str = "a") -> None:
        self.task, self.cluster = task, cluster
        self.count = task.devices(cluster)

    def each(self, value: Any) -> tuple[Any, ...]:
        return value if isinstance(value, tuple) else (value,) * self.count

    def receive(
        self,
        server: State,
        state: State | None = None,
        *,
        who: Any = True,
        experts: Collection[int] | None = None,
        generation: Any = 0,
    ) -> State:
        return receive(
            self.task, server, state,
            cluster=self.cluster, who=self.each(who), generation=self.each(generation),
            experts=self.task.all_experts if experts is None else experts,
        )  # fmt: skip

    def receive_gate(self, server: State, state: State, who: Any) -> State:
        return receive_gate(self.task, server, state, who=who)

    def train(
        self,
        state: State,
        rounds: Any = 1,
        *,
        first: Any = 0,
        experts: Collection[int] = (1,),
        gate: bool = False,
        masked: bool = False,
        mask: str = "-inf",
    ) -> State:
        return train(
            self.task, state,
            cluster=self.cluster, rounds=self.each(rounds), first_round=self.each(first),
            experts=experts, gate=gate, masked=masked, mask=mask,
        )  # fmt: skip

    def fold(
        self,
        state: State,
        *,
        who: Any = True,
        generation: Any = 1,
        experts: Collection[int] | None = None,
        gate: bool = True,
    ) -> State:
        return fold(
            self.task, state,
            cluster=self.cluster, who=self.each(who), generation=self.each(generation), gate=gate,
            experts=self.task.all_experts if experts is None else experts,
        )  # fmt: skip

    def offer(self, state: State, experts: Collection[int] = (), gate: bool = True) -> State:
        return offer(self.task, state, experts=experts, gate=gate)


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
