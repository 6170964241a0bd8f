"""The devices of one cluster, and what is done with them in one short call each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from learning.training.recipe import LocalRounds, TrainedPart
from tests.kit import training
from tests.kit.training import State, Task, flatten, held_state, sync

Tensors = Mapping[str, Tensor]


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

    def _done(
        self, operation: Any, state: Tensors, server: Any = None, parts: Any = (), **how: Any
    ) -> Tensors:
        """What a state in full becomes; devices that receive have ``parts`` of ``server`` then."""
        own, servers, versions = self._by_reference(state)
        given = [] if server is None else [server]
        after = operation(self.task, *given, own, *servers, versions=versions, **how)
        for part, old in enumerate(versions[:-1] if "experts" in how and parts else ()):
            versions[part] = old if part in how["experts"] else [-1] * self.count
        for part in parts:
            versions[part] = np.where(how["who"], len(servers), versions[part]).tolist()
        return sync.assembled(self.task, after, *servers, *given, versions=versions)

    def _by_reference(self, state: Tensors) -> tuple[Any, list[Any], Any]:
        """Own tensors, a model of each device's, and who holds what of them; {} for nothing."""
        own = {name: tensor for name, tensor in state.items() if not name.startswith(".base.")}
        bases = {n.removeprefix(".base."): t for n, t in state.items() if n.startswith(".base.")}
        servers = [{n: t[k] for n, t in bases.items()} for k in range(self.count)]
        held = {*experts_held(state), None} if state else {}
        here = [expert in held for expert in (*self.task.all_experts, None)]
        return own, servers, [[k if has else -1 for k in range(self.count)] for has in here]

    def receive(
        self,
        server: Any,
        state: Any = None,
        *,
        who: Any = True,
        experts: Sequence[int] | None = None,
        generation: Any = 0,
    ) -> Tensors:
        how = self._how(who, generation, experts)
        return self._done(sync.load, state or {}, server, (*how["experts"], -1), **how)

    def receive_gate(self, server: Tensors, state: Tensors, who: Any) -> Tensors:
        return self._done(sync.load_gate, state, server, (-1,), who=who)

    def train(
        self,
        state: Tensors,
        rounds: Any = 1,
        *,
        first: Any = 0,
        experts: Sequence[int] = (1,),
        term: Any = None,
        **part: Any,
    ) -> Tensors:
        local = LocalRounds(self.cluster, self.each(rounds), self.each(first))
        trained = TrainedPart(experts, **{"gate": False, **part})
        after = training.train_rounds(self.task, State.of(state), local, trained, term)
        return {**state, **flatten(after)}

    def fold(
        self,
        state: Any,
        *,
        who: Any = True,
        generation: Any = 1,
        experts: Sequence[int] | None = None,
        gate: Any = True,
    ) -> Tensors:
        how = self._how(who, generation, experts)
        return self._done(sync.commit, state, gate=gate, **how)

    def offer(self, state: Tensors, experts: Collection[int] = (), gate: bool = True) -> Tensors:
        own, servers, versions = self._by_reference(state)
        how = {"versions": versions, "experts": experts, "gate": gate}
        return sync.offer(self.task, own, *servers, **how)


def experts_held(state: Tensors) -> Any:
    """The experts that devices hold, of a state by flat names."""
    return held_state.experts_held(State.of(state))


def model_of_device(task: Task, state: Tensors, device: int) -> Any:
    """One device's model, of a state by flat names."""
    return held_state.model_of_device(task, State.of(state), device)


def stored_of(flat: str) -> str:
    """The stored name of a tensor by its flat name: ``expert.0.0.up.a`` of a factor."""
    stored = flat.removeprefix(".base.").removeprefix(".changes.")
    return stored.replace(".weight+", ".")


def moved(before: Tensors, after: Tensors, device: int | None = None) -> set[str]:
    """Names of the tensors that differ, of one device or of any."""
    where = ... if device is None else device
    return {name for name in before if not torch.equal(before[name][where], after[name][where])}


def factors_of(experts: Collection[int], layers: int) -> set[str]:
    """Names of the low-rank factors of ``experts``."""
    return {
        f"expert.{expert}.{layer}.{matrix}.weight+{factor}"
        for expert in experts
        for layer in range(layers)
        for matrix in ("up", "down")
        for factor in "ab"
    }
