"""The devices of one cluster, and what is done with them in one short call each."""

import numpy as np
import torch

from learning.training import LocalRounds, TrainedPart
from tests.kit import training
from tests.kit.training import State, device_state, flatten


class Devices:
    """Devices of ``cluster``; one number or truth value stands for all of them."""

    def __init__(self, task, cluster="a"):
        self.task, self.cluster = task, cluster
        self.count = task.devices(cluster)

    def each(self, value):
        return value if isinstance(value, tuple) else (value,) * self.count

    def _how(self, who, generation, experts):
        experts = self.task.all_experts if experts is None else experts
        each = {"who": self.each(who), "adapter_epoch": self.each(generation)}
        return {"cluster": self.cluster, "experts": experts, **each}

    def _done(self, operation, state, server=None, parts=(), **how):
        """What a state in full becomes; devices that receive have ``parts`` of ``server`` then."""
        own, servers, versions = self._by_reference(state)
        given = [] if server is None else [server]
        after = operation(self.task, *given, own, *servers, versions=versions, **how)
        for part, old in enumerate(versions[:-1] if "experts" in how and parts else ()):
            versions[part] = old if part in how["experts"] else [-1] * self.count
        for part in parts:
            versions[part] = np.where(how["who"], len(servers), versions[part]).tolist()
        return device_state.assembled(self.task, after, *servers, *given, versions=versions)

    def _by_reference(self, state):
        """Own tensors, a model of each device's, and who holds what of them; {} for nothing."""
        own = {name: tensor for name, tensor in state.items() if not name.startswith("base.")}
        bases = {n.removeprefix("base."): t for n, t in state.items() if n.startswith("base.")}
        servers = [{n: t[k] for n, t in bases.items()} for k in range(self.count)]
        held = {*experts_held(state), None} if state else {}
        here = [expert in held for expert in (*self.task.all_experts, None)]
        return own, servers, [[k if has else -1 for k in range(self.count)] for has in here]

    def receive(self, server, state=None, *, who=True, experts=None, generation=0):
        how = self._how(who, generation, experts)
        return self._done(device_state.load, state or {}, server, (*how["experts"], -1), **how)

    def receive_gate(self, server, state, who):
        return self._done(device_state.load_gate, state, server, (-1,), who=who)

    def train(self, state, rounds=1, *, first=0, experts=(1,), term=None, **how):
        local = LocalRounds(self.cluster, self.each(rounds), self.each(first))
        part = TrainedPart(experts, **{"gate": False, **how})
        after = training.train_rounds(self.task, State.of(state), local, part, term)
        return {**state, **flatten(after)}

    def fold(self, state, *, who=True, generation=1, experts=None, gate=True):
        how = self._how(who, generation, experts)
        return self._done(device_state.commit, state, gate=gate, **how)

    def offer(self, state, experts=(), gate=True):
        own, servers, versions = self._by_reference(state)
        how = {"versions": versions, "experts": experts, "gate": gate}
        return device_state.offer(self.task, own, *servers, **how)


def experts_held(state):
    """The experts that devices hold, of a state by flat names."""
    return device_state.experts_held(State.of(state))


def model_of_device(task, state, device):
    """One device's model, of a state by flat names."""
    return device_state.model_of_device(task, State.of(state), device)


def moved(before, after, device=None):
    """Names of the tensors that differ, of one device or of any."""
    where = ... if device is None else device
    return {name for name in before if not torch.equal(before[name][where], after[name][where])}


def factors_of(experts, layers):
    """Names of the low-rank factors of ``experts``."""
    return {
        f"factor.expert.{expert}.{layer}.{matrix}.{factor}"
        for expert in experts
        for layer in range(layers)
        for matrix in ("up", "down")
        for factor in "ab"
    }
