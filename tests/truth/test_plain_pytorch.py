"""Whole runs in slots against a second implementation: one device at a time, plain autograd.

The start model and the shards are those of the run; forward pass and masks are written out again,
and the loop is that of tests/truth/loops.py.
"""

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy, gelu, layer_norm, linear

import scenarios
import sim
from sim.execution.ready import build
from tests.truth import loops

SEED, CYCLES, EXPERTS, TOP_K, LAYERS, HIDDEN, INNER, RANK = 5, 2, 3, 2, 2, 16, 8, 4
CLUSTERS = "AB"
EVERY = list(range(EXPERTS))
WORK = loops.Work(SEED, (5, 32), 0.03, 0.003, torch.optim.SGD, RANK, 2.0)


def scenario(method, tuning):
    sizes = {"experts": EXPERTS, "top_k": TOP_K, "layers": LAYERS}
    said = {
        "seed": SEED, "stop.cycles": CYCLES, "orbit.slots.count": len(CLUSTERS),
        "ground.clusters": [{"name": name, "devices": 2} for name in CLUSTERS],
        "learning.method": method, "learning.gate_tuning_cycles": tuning,
        "learning.pretraining": {"backbone_steps": 30, "expert_steps": 20, "gate_steps": 20},
        "learning.model": {**sizes, "hidden": HIDDEN, "expert_hidden": INNER},
    }  # fmt: skip
    return scenarios.load("paper-slots", said)


def forward(frozen, weights, x, routed):
    """Embedding, residual MoE layers weighted as equation (9), head; other experts masked."""
    h = gelu(linear(x, frozen["embed.weight"], frozen["embed.bias"]))
    mask = torch.full((EXPERTS,), -torch.inf)
    mask[routed] = 0.0
    for layer in range(LAYERS):
        norm = frozen[f"norms.{layer}.weight"], frozen[f"norms.{layer}.bias"]
        z = layer_norm(h, (HIDDEN,), *norm)
        p = torch.softmax(linear(z, weights[f"gate.{layer}.weight"]) + mask, -1)
        chosen = p.topk(min(TOP_K, len(routed)), -1).indices
        for expert in routed:
            up, down = (f"expert.{expert}.{layer}.{matrix}" for matrix in ("up", "down"))
            inner = gelu(linear(z, weights[f"{up}.weight"], weights[f"{up}.bias"]))
            out = linear(inner, weights[f"{down}.weight"], weights[f"{down}.bias"])
            picked = (chosen == expert).any(-1)
            h = h + torch.where(picked, p[:, expert], 0.0)[:, None] * out
    h = layer_norm(h, (HIDDEN,), frozen["norm.weight"], frozen["norm.bias"])
    return linear(h, frozen["head.weight"], frozen["head.bias"])


@pytest.mark.parametrize(
    ("method", "tuned"),
    [("synchronous", 0), ("emsfl", CYCLES), ("emsfl-enhanced", 0), ("emsfl-enhanced", 1)],
)
@pytest.mark.quick(2)
def test_the_server_ends_with_the_weights_that_plain_pytorch_gives(method, tuned, tmp_path):
    wanted = scenario(method, tuned if method == "emsfl-enhanced" else 0)
    result = sim.run(wanted, tmp_path / "run")
    final = load_file(tmp_path / "run" / "model" / "model.safetensors")
    learner = build(wanted).learner
    task, start = learner.task, learner.force(learner.start())

    def loss(weights, x, y, routed):
        return (cross_entropy(forward(task.backbone, weights, x, routed), y),)

    own = [(name, [task.shards[name].of(k) for k in range(2)]) for name in CLUSTERS]
    fleet = {
        name: [loops.Device(WORK, name, k, (part.x, part.y), start) for k, part in enumerate(parts)]
        for name, parts in own
    }
    if method == "synchronous":
        *_, expected = loops.synchronous(loss, fleet, start, EVERY, CYCLES)
    else:
        experts = loops.experts_of_clusters(result, CLUSTERS)
        *_, expected = loops.emsfl(loss, fleet, start, experts, CYCLES, tuned)
    moved = max(float((final[name] - start[name]).abs().max()) for name in start)
    apart = max(float((final[name] - expected[name]).abs().max()) for name in start)
    assert moved > 0.01
    # Single precision, summed in another order; what moved is ten thousand times larger.
    assert apart < 2e-6
    assert set(final) == set(start) | set(task.backbone)
