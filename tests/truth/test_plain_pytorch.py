"""Whole runs in slots against a second implementation: one device at a time, plain autograd.

Only the start model, the shards and the names of the random streams are shared; forward pass,
masks, LoRA, local steps, aggregation and the order of the protocol are written out again.
"""

from dataclasses import dataclass

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import cross_entropy, gelu, layer_norm

import scenarios
import sim
from learning import stream
from tests.kit.minibatches import minibatches
from tests.kit.network import build

SEED, CYCLES, EXPERTS, TOP_K, LAYERS, HIDDEN, INNER, RANK = 5, 2, 3, 2, 2, 16, 8, 4
STEP, GATE_STEP, STEPS, BATCH = 0.03, 0.003, 5, 32
CLUSTERS = "AB"
MATRICES = (("up", HIDDEN, INNER), ("down", INNER, HIDDEN))
EVERY = list(range(EXPERTS))
Model = dict[str, Tensor]


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


@dataclass
class Device:
    """One device: what it downloaded, its factors by matrix, its gates, and what it has done."""

    cluster: str
    number: int
    base: Model
    gates: list[Tensor]
    factors: dict[str, tuple[Tensor, Tensor]]
    generation: int = 0
    rounds: int = 0
    unsent: int = 0

    def restart(self, experts):
        """Fresh factors: A from its stream, B zero."""
        self.factors = {}
        for expert in experts:
            for layer in range(LAYERS):
                for matrix, width, out in MATRICES:
                    name = f"expert.{expert}.{layer}.{matrix}"
                    draw = stream(SEED, "lora", self.cluster, self.generation, name)
                    a = draw.standard_normal((RANK, width)) / width**0.5
                    self.factors[name] = (torch.tensor(a).float(), torch.zeros(out, RANK))

    def weight(self, name):
        weight = self.base[f"{name}.weight"]
        if name in self.factors:
            a, b = self.factors[name]
            weight = weight + 2 * b @ a
        return weight

    def train(self, learner, routed, gate):
        """One local round of plain gradient steps on one minibatch each."""
        shard = learner.task.shards[self.cluster].of(self.number)
        drawn = SEED, self.cluster, self.number, self.rounds, len(shard.y), (STEPS, BATCH)
        for rows in minibatches(*drawn):
            factors = [t for pair in self.factors.values() for t in pair]
            leaves = factors + (self.gates if gate else [])
            for leaf in leaves:
                leaf.requires_grad_()
            logits = forward(self, learner.task.backbone, shard.x[rows], routed)
            gradients = torch.autograd.grad(cross_entropy(logits, shard.y[rows]), leaves)
            for number, (leaf, gradient) in enumerate(zip(leaves, gradients, strict=True)):
                leaf.requires_grad_(False)
                leaf -= (STEP if number < len(factors) else GATE_STEP) * gradient
        self.rounds += 1
        self.unsent += 1


def forward(device, frozen, x, routed):
    """Embedding, residual MoE layers weighted as equation (9), head; other experts masked."""
    h = gelu(x @ frozen["embed.weight"].T + frozen["embed.bias"])
    mask = torch.full((EXPERTS,), -torch.inf)
    mask[routed] = 0.0
    for layer in range(LAYERS):
        norm = frozen[f"norms.{layer}.weight"], frozen[f"norms.{layer}.bias"]
        z = layer_norm(h, (HIDDEN,), *norm)
        p = torch.softmax(z @ device.gates[layer].T + mask, -1)
        chosen = p.topk(min(TOP_K, len(routed)), -1).indices
        for expert in routed:
            up, down = (f"expert.{expert}.{layer}.{matrix}" for matrix in ("up", "down"))
            inner = gelu(z @ device.weight(up).T + device.base[f"{up}.bias"])
            out = inner @ device.weight(down).T + device.base[f"{down}.bias"]
            picked = (chosen == expert).any(-1)
            h = h + torch.where(picked, p[:, expert], 0.0)[:, None] * out
    h = layer_norm(h, (HIDDEN,), frozen["norm.weight"], frozen["norm.bias"])
    return h @ frozen["head.weight"].T + frozen["head.bias"]


def gates_of(model):
    return [model[f"gate.{layer}.weight"].clone() for layer in range(LAYERS)]


def fleet(learner, cluster, server, done):
    """The devices of a cluster with the server's model, and their shares of the samples."""
    counts = learner.task.shards[cluster].sizes
    devices = [Device(cluster, n, server, gates_of(server), {}, done, done) for n in range(2)]
    return devices, [count / sum(counts) for count in counts]


def add_experts(server, devices, weights):
    """Equation (35): every device's own product B A, by its share of the samples."""
    merged = {name: tensor.clone() for name, tensor in server.items()}
    for device, share in zip(devices, weights, strict=True):
        for name, (a, b) in device.factors.items():
            merged[f"{name}.weight"] += share * 2 * b @ a
    return merged


def add_gates(server, devices, weights):
    """Equation (36)."""
    merged = {name: tensor.clone() for name, tensor in server.items()}
    for device, share in zip(devices, weights, strict=True):
        for layer, gate in enumerate(device.gates):
            merged[f"gate.{layer}.weight"] += share * (gate - server[f"gate.{layer}.weight"])
    return merged


def synchronous(learner, server):
    """Section III-A: broadcast, one local round, aggregation (28), one cluster a slot."""
    for cycle in range(CYCLES):
        for cluster in CLUSTERS:
            devices, weights = fleet(learner, cluster, server, cycle)
            for device in devices:
                device.restart(EVERY)
                device.train(learner, EVERY, gate=True)
            server = add_gates(add_experts(server, devices, weights), devices, weights)
    return server


def emsfl(learner, server, own, tuned):
    """Algorithms 2 and 3; the gate is tuned, and nothing masked, in the cycles ``tuned``."""
    fleets = {cluster: fleet(learner, cluster, server, 0) for cluster in CLUSTERS}
    for cluster in CLUSTERS:
        for device in fleets[cluster][0]:
            device.restart(own[cluster])
    for cycle in range(CYCLES):
        for place, (cluster, (devices, weights)) in enumerate(fleets.items()):
            # The gap before this contact: the slots of the others, under the mask of that time.
            open_gap = max(cycle - 1, 0) in tuned
            for device in devices:
                for _ in range(place if cycle == 0 else len(CLUSTERS) - 1):
                    device.train(learner, EVERY if open_gap else own[cluster], gate=False)
            if any(device.unsent for device in devices):
                server = add_experts(server, devices, weights)
                for device in devices:
                    device.generation = device.generation + 1
                    device.unsent = 0
                    device.restart(own[cluster])
            tunes = cycle in tuned
            for device in devices:
                device.base = server
                if tunes:
                    device.gates = gates_of(server)
                device.train(learner, EVERY if tunes else own[cluster], gate=tunes)
            if tunes:
                server = add_gates(server, devices, weights)
                for device in devices:
                    device.gates = gates_of(server)
    return server


@pytest.mark.parametrize(
    ("method", "tuning", "tuned"),
    [("synchronous", 0, set()), ("emsfl", 0, {0, 1}), ("emsfl-enhanced", 0, set()),
     ("emsfl-enhanced", 1, {1})],
)  # fmt: skip
@pytest.mark.quick(2)
def test_the_server_ends_with_the_weights_that_plain_pytorch_gives(method, tuning, tuned, tmp_path):
    wanted = scenario(method, tuning)
    result = sim.run(wanted, tmp_path / "run")
    final = load_file(tmp_path / "run" / "model" / "model.safetensors")
    learner = build(wanted).learner
    start = learner.force(learner.start())
    if method == "synchronous":
        expected = synchronous(learner, start)
    else:
        first = result.assignments[result.assignments.time_s == 0.0]
        owned = first[first.assigned]
        own = {c: owned[owned.cluster == c].expert.tolist() for c in CLUSTERS}
        expected = emsfl(learner, start, own, tuned)
    moved = max(float((final[name] - start[name]).abs().max()) for name in start)
    apart = max(float((final[name] - expected[name]).abs().max()) for name in start)
    assert moved > 0.01
    # Single precision, summed in another order; what moved is ten thousand times larger.
    assert apart < 2e-6
    assert set(final) == set(start) | set(learner.task.backbone)
