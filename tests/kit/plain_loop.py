"""Local rounds and means of a scenario's devices in plain PyTorch: what method loops are made of.

They know the minibatches and the samples of each device; all else is torch.optim.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch.func import functional_call
from torch.nn import functional

import sim
from learning.models import Residency
from learning.rng import stream
from sim.execution.ready import build


class PlainLoop:
    """The devices of a scenario in plain PyTorch, each a module and an optimiser of torch."""

    optimiser = torch.optim.SGD

    def __init__(self, said: Any) -> None:
        built = build(said)
        learner = built.learner
        self.config = learner.config
        self.task = learner.task
        self.x = {name: t.clone() for name, t in learner.force(learner.start()).items()}
        own = np.concatenate(learner.samples())
        self.clients = [(c.name, k) for c in built.plan.clusters for k in range(c.devices)]
        self.p = dict(zip(self.clients, (own / own.sum()).tolist(), strict=True))
        self.done = dict.fromkeys(self.clients, 0)
        self.zero = {name: torch.zeros_like(t) for name, t in self.x.items()}
        personal = {n: t for n, t in self.x.items() if n.partition(".")[0] in self.config.personal}
        self.own = dict.fromkeys(self.clients, personal)

    def train(
        self,
        x: Any,
        client: Any,
        rounds: Any,
        correct: Any = lambda name, w: 0.0,
        samples: Any = None,
        name: str | None = None,
        term: Any = None,
        moves: Any = None,
    ) -> Any:
        """Local rounds from ``x`` on; ``correct`` is added to the gradient of a tensor.

        ``term(run, outputs)`` is added to the loss; ``run(weights)`` are outputs of others. What
        the client has of its ``own`` goes on from there, and in what is returned is as it was. Of
        all tensors those move that are named, by default all.
        """
        cluster, device = client
        server, own = x, self.own[client]
        x = {**server, **own}
        samples = self.task.shards[cluster].of(device) if samples is None else samples
        every = tuple(range(self.config.model.experts))
        model = (
            self.task.skeleton(Residency(held=every, tuned=every)).to_empty(device="cpu").double()
        )
        paths = {self.task.names.path(n): n for n in x}
        model.load_state_dict({path: x[n] for path, n in paths.items()}, strict=False)
        named = {paths[path]: p for path, p in model.named_parameters()}
        size = self.config.step_size
        ratio = self.config.gate_step_size_ratio
        groups = [
            {"params": [p], "lr": size * (ratio if n.startswith("gate.") else 1)}
            for n, p in named.items()
            if moves is None or n in moves
        ]
        optimiser = self.optimiser(groups)
        shape = self.config.steps_per_round, self.config.batch_size
        for number in range(self.done[client], self.done[client] + rounds):
            drawn = minibatches(
                self.config.seed, name or cluster, device, number, len(samples.y), shape
            )
            seed = stream(self.config.seed, "dropout", cluster, device, number).integers(2**63)
            torch.manual_seed(int(seed))
            for rows in drawn:
                optimiser.zero_grad()
                inputs = samples.x[rows]
                outputs = model(inputs)
                loss = functional.cross_entropy(outputs, samples.y[rows])
                if term is not None:

                    def run(weights: Any, x: Any = inputs) -> Any:
                        given = {path: weights[n] for path, n in paths.items()}
                        return functional_call(model, given, (x,)).detach()

                    loss = loss + term(run, outputs)
                loss.backward()  # type: ignore[no-untyped-call]
                for n, p in named.items():
                    grad = torch.zeros_like(p) if p.grad is None else p.grad
                    p.grad = grad if n in own else grad + correct(n, p.detach())
                optimiser.step()
        self.done[client] += rounds
        trained = {n: p.detach() for n, p in named.items()}
        self.own[client] = {n: trained[n] for n in own}
        return {**trained, **{n: server[n] for n in own}}

    def mean(self, of: Any) -> Any:
        """The mean over all clients of ``of[client]``, by their samples."""
        return {n: sum(self.p[c] * of[c][n] for c in self.clients) for n in self.x}


def small_model(method: Any, options: Any = None, train: Any = True) -> Any:
    """A section ``learning`` whose model is small, trains whole, and in double precision."""
    return {
        "method": method, "options": options or {}, "train": train, "precision": "float64",
        "step_size": 0.2, "lora": {"rank": None}, "trains_backbone": True, "steps_per_round": 2,
        "batch_size": 4, "gate_step_size_ratio": 0.5,
        "pretraining": {"backbone_steps": 3, "expert_steps": 3, "gate_steps": 3},
        "model": {"experts": 2, "hidden": 16, "expert_hidden": 16},
    }  # fmt: skip


def compare(folder: Any, said: Any, wanted: Any, atol: Any = 1e-12) -> Any:
    """Run a scenario, compare its last model with tensors, and return its aggregations."""
    run = sim.run(said, folder / "run")
    found = load_file(folder / "run" / "model" / "model.safetensors")
    assert set(found) >= set(wanted)
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, atol=atol, rtol=0, msg=name)
    return run.events[run.events.kind == "aggregate"]


WORD = 2**64


def split_mix(state: Any) -> Iterator[Any]:
    """The words of the generator from ``state`` on."""
    while True:
        state = (state + 0x9E3779B97F4A7C15) % WORD
        word = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % WORD
        word = (word ^ word >> 27) * 0x94D049BB133111EB % WORD
        yield word ^ word >> 31


def minibatches(seed: Any, cluster: Any, device: Any, number: int, samples: Any, shape: Any) -> Any:
    """Rows of ``shape`` (steps, batch) among a device's ``samples``, in its round ``number``."""
    state = int.from_bytes(
        blake2b(f"{seed}/batch/{cluster}".encode(), digest_size=8).digest(), "little"
    )
    for part in (device, number):
        state = next(split_mix(state + 0x9E3779B97F4A7C15 * part))
    words = islice(split_mix(state), shape[0] * shape[1])
    return np.array([(word >> 32) * samples >> 32 for word in words]).reshape(shape)
