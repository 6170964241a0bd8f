"""A whole run of NMoE against plain PyTorch, batch by batch, on shards of unequal size."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

import sim
from tests.kit.learning import stream
from tests.kit.network import build
from tests.kit.small_nmoe import nmoe, options
from tests.kit.training import Pretext, Task, make_extractor, rows_of_round, view

SEED, ROUNDS, STEP_SIZE, MOMENTUM, RATIO, MU = 3, 2, 0.1, 0.5, 0.5, 4.0
CLIENTS = [("A", 0), ("A", 1), ("B", 0), ("B", 1), ("B", 2)]


def scenario(loss: str) -> Any:
    return nmoe(
        learning={
            "precision": "float64",
            "steps_per_round": 2,
            "step_size": STEP_SIZE,
            "gate_step_size_ratio": RATIO,
            "model": {"kind": "vector-nmoe"},
            "data": {"kind": "digits", "partition": "dirichlet"},
            **options(
                extractor=loss, share_correlations=False, momentum=MOMENTUM, radius=MU,
                largest_gradient=0.0, extractor_rounds=ROUNDS, gate_rounds=ROUNDS,
            ),
        }
    )  # fmt: skip


class ByHand:
    """Extractor, experts and gate as the notes define them, with nothing of the stages' code."""

    def __init__(self, loss: str) -> None:
        net = build(scenario(loss)).new_method().net
        self.task: Task = net.learner.task
        self.loss = loss
        self.sizes = [self.task.shards[c].sizes[d] for c, d in CLIENTS]
        start = net.start_extractor({"fedce": "ce", "fedsc": "spectral"}[loss])
        self.server = dict(net.learner.force(start))
        for number in range(ROUNDS):
            copies = [self.extractor_round(*client, number) for client in CLIENTS]
            weights = self.sizes if loss == "fedce" else [1] * len(CLIENTS)
            self.server = mean(copies, weights)
        self.features = make_extractor(self.task.config.model, self.task.spec).double()
        own = {n.removeprefix("extractor."): t for n, t in self.server.items() if "extractor" in n}
        self.features.load_state_dict(own)
        self.experts = [self.expert(e, *client) for e, client in enumerate(CLIENTS)]
        drawn = self.task.initial
        self.gate = {name: drawn[f"gate.0.{name}"] for name in ("weight", "bias")}
        for number in range(ROUNDS):
            copies = [self.gate_round(*client, number) for client in CLIENTS]
            self.gate = mean(copies, self.sizes)

    def batches(self, cluster: str, device: int, number: int) -> list[tuple[Tensor, Tensor]]:
        samples = self.task.shards[cluster].samples
        rows = rows_of_round(self.task, cluster, device, number)
        return [(samples.x[step], samples.y[step]) for step in rows]

    def extractor_round(self, cluster: str, device: int, number: int) -> dict[str, Tensor]:
        kind = "ce" if self.loss == "fedce" else "spectral"
        model = Pretext(self.task.config.model, self.task.spec, kind).double()
        model.load_state_dict(self.server)
        optimiser = torch.optim.SGD(model.parameters(), lr=STEP_SIZE, momentum=MOMENTUM)
        rng = stream(SEED, "views", cluster, device, number)
        for x, y in self.batches(cluster, device, number):
            optimiser.zero_grad()
            if kind == "ce":
                loss = functional.cross_entropy(model(x), y)
            else:
                z0, z1 = (clipped(model(view(x, rng))) for _ in range(2))
                both = torch.cat((z0, z1))
                loss = -2 * (z0 * z1).sum(1).mean() + ((both @ both.T) ** 2).mean()
            loss.backward()
            optimiser.step()
        return {name: tensor.detach() for name, tensor in model.state_dict().items()}

    def expert(self, number: int, cluster: str, device: int) -> dict[str, Tensor]:
        prefix = f"expert.{number}.0."
        w = {n.removeprefix(prefix): t for n, t in self.task.initial.items() if prefix in n}
        for index in range(ROUNDS):
            for x, y in self.batches(cluster, device, index):
                w = {name: tensor.detach().requires_grad_() for name, tensor in w.items()}
                loss = functional.cross_entropy(logits_of(w, self.features(x).detach()), y)
                steps = torch.autograd.grad(loss, list(w.values()))
                w = {n: t - STEP_SIZE * s for (n, t), s in zip(w.items(), steps, strict=True)}
        return {name: tensor.detach() for name, tensor in w.items()}

    def gate_round(self, cluster: str, device: int, number: int) -> dict[str, Tensor]:
        weight, bias = self.gate["weight"], self.gate["bias"]
        for x, y in self.batches(cluster, device, number):
            weight, bias = weight.detach().requires_grad_(), bias.detach().requires_grad_()
            h = self.features(x).detach()
            answers = torch.stack([logits_of(w, h).softmax(-1) for w in self.experts], 1)
            shares = (h @ weight.T + bias).softmax(-1)
            loss = functional.nll_loss((shares[:, :, None] * answers).sum(1).log(), y)
            by_weight, by_bias = torch.autograd.grad(loss, (weight, bias))
            weight = weight - STEP_SIZE * RATIO * by_weight
            bias = bias - STEP_SIZE * RATIO * by_bias
        return {"weight": weight.detach(), "bias": bias.detach()}


def clipped(z: Tensor) -> Tensor:
    return z / (z.norm(dim=1, keepdim=True) / MU**0.5).clamp_min(1.0)


def logits_of(w: dict[str, Tensor], h: Tensor) -> Tensor:
    return (
        functional.gelu(h @ w["up.weight"].T + w["up.bias"]) @ w["down.weight"].T + w["down.bias"]
    )


def mean(copies: list[dict[str, Tensor]], weights: list[int]) -> dict[str, Tensor]:
    pairs = list(zip(weights, copies, strict=True))
    return {n: sum(w * copy[n] for w, copy in pairs) / sum(weights) for n in copies[0]}  # type: ignore[misc]


@cache
def by_hand(loss: str) -> ByHand:
    return ByHand(loss)


@pytest.mark.parametrize("loss", ["fedce", "fedsc"])
def test_a_run_is_plain_training(loss: str, tmp_path: Path) -> None:
    result = sim.run(scenario(loss), tmp_path)
    assert (result.events.kind == "fault").sum() == 0
    found, wanted = load_file(result.folder / "model" / "model.safetensors"), by_hand(loss)
    assert len(np.unique(wanted.sizes)) > 2
    for name, tensor in wanted.server.items():
        if name.startswith("extractor."):
            torch.testing.assert_close(found[name], tensor, rtol=1e-8, atol=1e-10)
    for number, expert in enumerate(wanted.experts):
        for name, tensor in expert.items():
            own = found[f"expert.{number}.0.{name}"]
            torch.testing.assert_close(own, tensor, rtol=1e-8, atol=1e-10)
    for name, tensor in wanted.gate.items():
        torch.testing.assert_close(found[f"gate.0.{name}"], tensor, rtol=1e-8, atol=1e-10)
