"""Whole runs of merged Llamas, next tokens learnt, against a loop of transformers and torch.optim.

Forward pass, gate, LoRA, local steps, aggregation, the order of the protocol and the pre-training
of the gate are written out again, with Hugging Face's own Llama. What is drawn at random is shared:
which text is whose, the rows of minibatches, start values of gates and of factors, and which
cluster got which expert. Equations are those of the EMS-FL paper, section III.
"""

import json
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import cross_entropy, linear, one_hot, silu
from transformers import LlamaForCausalLM

import scenarios
import sim
from learning import stream
from tests.kit import tiny_checkpoints as tiny
from tests.kit.minibatches import minibatches
from tests.kit.network import build

import os
PREC=os.environ.get("PREC","float32")
DT=getattr(torch,PREC)
SEED, CYCLES, TOKENS, VOCABULARY = 4, 6, 9, 61
BLOCKS, LAYERS = 3, 2  # of which the last two have experts
EXPERTS = [0, 1, 2]
MATRICES = ["gate", "up", "down"]
RANK, ALPHA = 2, 3.0
STEP, GATE_STEP, STEPS, BATCH = 0.02, 0.004, 2, 4
BETAS, EPS = (0.9, 0.99), float(os.environ.get("EPS","1e-6"))
GATE_STEPS, GATE_BATCH, GATE_PRETRAINING_STEP = 5, 6, 0.03
CLUSTERS = {"A": 2, "B": 1, "C": 1}  # devices


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three Llamas that differ in their feed-forward networks, and a file of texts each."""
    folder = tmp_path_factory.mktemp("merged")
    tiny.llamas(folder, len(EXPERTS), num_hidden_layers=BLOCKS, initializer_range=0.1)
    rng = np.random.default_rng(7)
    for number, name in enumerate(CLUSTERS):
        rows = []
        for row in range(34):
            words = 12 * number + rng.integers(20, size=rng.integers(2, 13))
            split = "test" if row < 7 else "train"
            rows.append({"text": " ".join(f"w{word}" for word in words), "split": split})
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def scenario(folder, method, tuning):
    return scenarios.from_dict({
        "seed": SEED,
        "stop": {"cycles": CYCLES},
        "orbit": {"source": "slots", "slots": {"count": len(CLUSTERS), "seconds": 600}},
        "ground": {"clusters": [{"name": c, "devices": n} for c, n in CLUSTERS.items()]},
        "link": {"preset": "paper"},
        "compute": {"seconds_per_round": 60},
        "learning": {
            "method": method,
            "gate_tuning_cycles": tuning,
            "precision": PREC,
            "step_size": STEP,
            "gate_step_size_ratio": GATE_STEP / STEP,
            "optimizer": {"kind": "adam", "betas": BETAS, "eps": EPS, "state": "keep"},
            "steps_per_round": STEPS,
            "batch_size": BATCH,
            "lora": {"rank": RANK, "alpha": ALPHA},
            "model": {
                "kind": "merged-llama",
                "moe_layers": LAYERS,
                "tokenizer": "words",
                "checkpoints": [str(folder / str(expert)) for expert in EXPERTS],
            },
            "pretraining": {
                "gate_steps": GATE_STEPS, "gate_batch": GATE_BATCH, "gate_loss": "origin",
            },
            "data": {
                "kind": "jsonl",
                "objective": "next_token",
                "tokens": TOKENS,
                "trial_samples": 6,
                "paths": {name: str(folder / f"{name}.jsonl") for name in CLUSTERS},
            },
        },
    })  # fmt: skip


# The model: Hugging Face's Llama, whose last feed-forward networks are mixtures of those of three.


@dataclass
class Weights:
    """Matrices of experts and gates by the names of the run's file, and factors (A, B) beside."""

    whole: dict
    factors: dict = field(default_factory=dict)

    def matrix(self, name):
        """W + alpha / r B A, where there are factors."""
        weight = self.whole[f"{name}.weight"]
        if name not in self.factors:
            return weight
        a, b = self.factors[name]
        return weight + ALPHA / RANK * b @ a


class Mixture(nn.Module):
    """``sum_e g_e(x) expert_e(x)``, (8), over the ``held`` experts, other experts masked (43)."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.weights, self.held, self.top = None, EXPERTS, 1

    def forward(self, x):
        self.logits = linear(x, self.weights.whole[f"gate.{self.layer}.weight"])
        mask = self.logits.new_full((len(EXPERTS),), -torch.inf)
        mask[self.held] = 0.0
        weight = (self.logits + mask).softmax(-1)
        if self.top == 1:
            # One expert a token, at the weight 1 = p / p: the denominator is no function of p.
            p, best = weight.max(-1, keepdim=True)
            weight = one_hot(best[..., 0], len(EXPERTS)) * (p / p.detach())
        return sum(weight[..., [expert]] * self.expert(expert, x) for expert in self.held)

    def expert(self, number, x):
        gate, up, down = (
            self.weights.matrix(f"expert.{number}.{self.layer}.{matrix}") for matrix in MATRICES
        )
        return linear(silu(linear(x, gate)) * linear(x, up), down)


class MergedLlama:
    """The first Llama's backbone around mixtures of all; ``start`` are the experts' matrices."""

    def __init__(self, folder):
        llamas = [LlamaForCausalLM.from_pretrained(folder / str(e)).to(DT) for e in EXPERTS]
        self.llama = llamas[0].requires_grad_(False)
        self.start = {
            f"expert.{expert}.{layer}.{matrix}.weight": llama.model.layers[layer - LAYERS]
            .mlp.get_parameter(f"{matrix}_proj.weight")
            .detach()
            for expert, llama in enumerate(llamas)
            for layer in range(LAYERS)
            for matrix in MATRICES
        }
        self.layers = [Mixture(layer) for layer in range(LAYERS)]
        for layer, block in zip(self.layers, self.llama.model.layers[-LAYERS:], strict=True):
            block.mlp = layer

    def logits(self, tokens, weights, held=EXPERTS, top=1):
        for layer in self.layers:
            layer.weights, layer.held, layer.top = weights, held, top
        seen = (tokens >= 0).long()
        return self.llama(tokens.clamp_min(0), attention_mask=seen).logits

    def surprise(self, tokens, weights, held=EXPERTS):
        """Each text's mean surprise, in nats, and the share of its tokens that are the likeliest.

        Both are over its tokens behind the first.
        """
        found = []
        for own, text in zip(self.logits(tokens, weights, held), tokens, strict=True):
            text = text[text >= 0]
            own = own[: len(text) - 1]
            right = (own.argmax(-1) == text[1:]).to(own).mean()
            found.append(torch.stack([cross_entropy(own, text[1:]), right]))
        return torch.stack(found)


# The samples.


def tokenised(folder, cluster):
    """The texts (n, T) of a file, and which of them are test: ids are hashes of words."""
    rows = [json.loads(line) for line in (folder / f"{cluster}.jsonl").read_text().split("\n")]
    tokens = torch.full((len(rows), TOKENS), -1)
    for line, row in zip(tokens, rows, strict=True):
        ids = [1 + crc32(word.encode()) % (VOCABULARY - 1) for word in row["text"].split()]
        line[: len(ids)] = torch.tensor(ids[:TOKENS])
    return tokens, torch.tensor([row["split"] == "test" for row in rows])


@dataclass
class Texts:
    """A cluster's texts: its devices' ``shards``, what the server knows (``trial``), ``test``."""

    shards: list
    trial: torch.Tensor
    test: torch.Tensor


def texts_of(folder, task):
    """Own tokens of every cluster's texts; the run says which text of the train rows is whose."""
    found = {}
    for cluster in CLUSTERS:
        tokens, is_test = tokenised(folder, cluster)
        train = tokens[~is_test]
        drawn = [task.shards[cluster].of(k).x for k in range(CLUSTERS[cluster])]
        drawn.append(task.trial[cluster].x)
        parts = [train[[train.tolist().index(text) for text in part.tolist()]] for part in drawn]
        assert sorted(torch.cat(parts).tolist()) == sorted(train.tolist())
        found[cluster] = Texts(parts[:-1], parts[-1], tokens[is_test])
    return found


# Devices.


@dataclass
class Device:
    """A device: the model that it has downloaded, its factors, and its two states of Adam.

    That of the gates is kept for good. That of factors ends with them: fresh ones begin anew.
    """

    cluster: str
    number: int
    texts: torch.Tensor
    weights: Weights
    rounds: int = 0
    offers: int = 0
    unsent: int = 0

    def __post_init__(self):
        gates = [nn.Parameter(self.weights.whole[n].clone()) for n in names_of_gates()]
        self.gates = dict(zip(names_of_gates(), gates, strict=True))
        self.adam_of_gates = adam(gates, GATE_STEP)

    def restart(self, experts):
        """Fresh factors of ``experts``: A from its stream, B = 0."""
        factors = self.weights.factors
        factors.clear()
        for name, weight in self.weights.whole.items():
            if name.startswith(tuple(f"expert.{expert}." for expert in experts)):
                name = name.removesuffix(".weight")
                out, width = weight.shape
                draw = stream(SEED, "lora", self.cluster, self.offers, name)
                a = torch.tensor(draw.standard_normal((RANK, width)) / width**0.5).float()
                factors[name] = nn.Parameter(a.to(weight)), nn.Parameter(weight.new_zeros(out, RANK))
        self.adam = adam([factor for pair in factors.values() for factor in pair], STEP)

    def download(self, server):
        """Take the server's model; factors that were not offered yet stay on top of it."""
        self.weights = Weights(dict(server), self.weights.factors)
        self.load_gates(server)

    def load_gates(self, server):
        for name, gate in self.gates.items():
            gate.data.copy_(server[name])

    def train(self, model, held, gate):
        """A local round, (26) and (27): steps of Adam on the mean surprise of some texts."""
        optimisers = [self.adam, *([self.adam_of_gates] if gate else [])]
        self.weights.whole.update(self.gates)
        shape = STEPS, BATCH
        of_round = SEED, self.cluster, self.number, self.rounds, len(self.texts), shape
        for rows in minibatches(*of_round):
            for optimiser in optimisers:
                optimiser.zero_grad()
            model.surprise(self.texts[rows], self.weights, held)[:, 0].mean().backward()
            for optimiser in optimisers:
                optimiser.step()
        self.rounds += 1
        self.unsent += 1


def adam(parameters, step_size):
    return torch.optim.Adam(parameters, step_size, BETAS, EPS)


def names_of_gates():
    return [f"gate.{layer}.weight" for layer in range(LAYERS)]


def clusters_of(texts, server):
    """The devices of every cluster, and their shares n_k / n_c of its samples."""
    found = {}
    for cluster, own in texts.items():
        devices = [
            Device(cluster, number, shard, Weights(dict(server)))
            for number, shard in enumerate(own.shards)
        ]
        total = sum(map(len, own.shards))
        found[cluster] = devices, [len(shard) / total for shard in own.shards]
    return found


@torch.no_grad()
def with_experts(server, devices, shares):
    """Equation (35), each device's product B A rebuilt before it is averaged (Remark 1)."""
    after = dict(server)
    for device, share in zip(devices, shares, strict=True):
        for name, (a, b) in device.weights.factors.items():
            after[f"{name}.weight"] = after[f"{name}.weight"] + share * ALPHA / RANK * b @ a
    return after


@torch.no_grad()
def with_gates(server, devices, shares):
    """Equation (36)."""
    after = dict(server)
    for device, share in zip(devices, shares, strict=True):
        for name, gate in device.gates.items():
            after[name] = after[name] + share * (gate - server[name])
    return after


# The server before time begins.


def pretrained_gates(model, texts):
    """Gates by the origin of the trial texts alone: expert e is at home in cluster e."""
    gates = {}
    for name, block in zip(names_of_gates(), range(BLOCKS - LAYERS, BLOCKS), strict=True):
        draw = stream(SEED, "init", f"model.layers.{block}.mlp.gate", "weight")
        bound = tiny.SIZES["hidden_size"] ** -0.5
        start = draw.uniform(-bound, bound, (len(EXPERTS), tiny.SIZES["hidden_size"]))
        gates[name] = nn.Parameter(torch.tensor(start).float().to(model.llama.dtype))
    trial = torch.cat([own.trial for own in texts.values()])
    home = torch.cat([torch.full((len(own.trial),), c) for c, own in enumerate(texts.values())])
    optimiser = torch.optim.Adam(gates.values(), GATE_PRETRAINING_STEP)
    draw = stream(SEED, "pretrain", "gate")
    for rows in draw.integers(0, len(trial), (GATE_STEPS, GATE_BATCH)):
        # What a gate sees comes from layers below that mix all experts, and is no function of them.
        inputs = []
        hooks = [
            layer.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
            for layer in model.layers
        ]
        with torch.no_grad():
            model.logits(trial[rows], Weights({**model.start, **gates}), top=len(EXPERTS))
        for hook in hooks:
            hook.remove()
        real = trial[rows] >= 0
        label = home[rows][:, None].expand_as(real)[real]
        losses = [
            cross_entropy(linear(x[real], gate), label)
            for x, gate in zip(inputs, gates.values(), strict=True)
        ]
        optimiser.zero_grad()
        torch.stack(losses).sum().backward()
        optimiser.step()
    return {name: gate.detach() for name, gate in gates.items()}


@torch.no_grad()
def relevance(model, texts, server):
    """Equation (29), (C, E): the share of (token, layer) pairs that choose each expert."""
    rows = []
    for own in texts.values():
        model.logits(own.trial, Weights(server))
        real = own.trial >= 0
        chosen = torch.stack([layer.logits[real].argmax(-1) for layer in model.layers])
        rows.append([(chosen == expert).double().mean().item() for expert in EXPERTS])
    return rows


# The methods.


def synchronous(model, texts, server):
    """Section III-A: broadcast, a local round, aggregation (28), one cluster a slot.

    Yields the server's model after each cycle.
    """
    clusters = clusters_of(texts, server)
    for _ in range(CYCLES):
        for devices, shares in clusters.values():
            for device in devices:
                device.download(server)
                device.restart(EXPERTS)
                device.train(model, EXPERTS, gate=True)
                device.offers += 1
            server = with_gates(with_experts(server, devices, shares), devices, shares)
        yield server


def emsfl_enhanced(model, texts, server, own, tuning):
    """Algorithm 3; the last ``tuning`` cycles are those of Algorithm 2, ``own`` are all E_c.

    Yields the server's model after each cycle. What a cluster has trained in a gap, and in the
    contact before it, reaches the server at the contact behind it: one cycle late.
    """
    clusters = clusters_of(texts, server)
    tunes = dict.fromkeys(CLUSTERS, False)
    for cluster, (devices, _) in clusters.items():
        for device in devices:
            device.restart(own[cluster])
    for cycle in range(CYCLES):
        for place, (cluster, (devices, shares)) in enumerate(clusters.items()):
            # The disconnected phase, (38): a round in each slot of the others, the gate frozen.
            # It is masked (43) as the contact before was.
            for device in devices:
                for _ in range(place if cycle == 0 else len(CLUSTERS) - 1):
                    device.train(model, EXPERTS if tunes[cluster] else own[cluster], gate=False)
            # The connected phase: E_c up (35), what is aggregated down, a round, and the gate (36).
            if any(device.unsent for device in devices):
                server = with_experts(server, devices, shares)
                for device in devices:
                    device.offers += 1
                    device.restart(own[cluster])
            tunes[cluster] = cycle >= CYCLES - tuning
            for device in devices:
                device.download(server)
                device.train(
                    model, EXPERTS if tunes[cluster] else own[cluster], gate=tunes[cluster]
                )
            if tunes[cluster]:
                server = with_gates(server, devices, shares)
                for device in devices:
                    device.load_gates(server)
        yield server


def run_and_loop(folder, place, method, loop, tuning=0):
    """Run a scenario and the loop; compare start, every evaluation, and the last model."""
    said = scenario(folder, method, tuning)
    result = sim.run(said, place)
    texts = texts_of(folder, build(said).learner.task)
    model = MergedLlama(folder)
    backbone = {
        name.replace("_proj", "") if ".mlp." in name else name: tensor
        for name, tensor in model.llama.state_dict().items()
    }
    server = model.start | pretrained_gates(model, texts)
    start = dict(server)
    models = [server, *loop(model, texts, server, result)]
    final = load_file(place / "model" / "model.safetensors")
    assert set(final) == set(server) | set(backbone)
    for name, tensor in backbone.items():
        assert torch.equal(final[name], tensor), name
    apart = {name: float((final[name] - t).abs().max()) for name, t in models[-1].items()}
    moved = {name: float((final[name] - t).abs().max()) for name, t in start.items()}
    own = result.metrics[result.metrics.scope != "global"]
    losses = []
    with torch.no_grad():
        for server in models:
            found = [model.surprise(own.test, Weights(server)).mean(0) for own in texts.values()]
            losses.append(torch.stack(found))
    print(result.metrics)
    print(torch.stack(losses))
    print(max(apart.values()), min(moved.values()))
    print(apart, moved)


def test_synchronous(folder, tmp_path):
    run_and_loop(folder, tmp_path / "run", "synchronous", lambda *a: synchronous(*a[:3]))


@pytest.mark.parametrize("tuning", [0, 2])
def test_enhanced(folder, tmp_path, tuning):
    def loop(model, texts, server, result):
        first = result.assignments[result.assignments.time_s == 0.0]
        print(first)
        print(relevance(model, texts, server))
        owned = first[first.assigned]
        own = {c: owned[owned.cluster == c].expert.tolist() for c in CLUSTERS}
        print(own)
        return emsfl_enhanced(model, texts, server, own, tuning)

    run_and_loop(folder, tmp_path / "run", "emsfl-enhanced", loop, tuning)
