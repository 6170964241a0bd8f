"""Whole runs of merged Llamas, next tokens learnt, against a loop of transformers and torch.optim.

Forward pass, gate, LoRA, local steps, aggregation, the order of the protocol, relevance and the
pre-training of gates are written out again around Hugging Face's own Llama. What is drawn at random
is shared: which text is whose, the rows of minibatches, start values of gates and factors, and the
cluster of each expert. Equations are those of the EMS-FL paper, section III.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, one_hot, silu
from transformers import LlamaForCausalLM

import sim
from learning import stream
from tests.kit import tiny_checkpoints as tiny
from tests.kit.minibatches import minibatches
from tests.kit.mixture_loops import (
    HIDDEN,
    PRETRAINING,
    check_end,
    drawn,
    experts_of_clusters,
    hashes,
    in_slots,
    learnt_gates,
)
from tests.kit.network import build

SEED, CYCLES, TOKENS, TRIAL = 4, 6, 9, 6
BLOCKS, LAYERS = 3, 2  # all blocks, and the last ones of them, which have experts
EXPERTS = [0, 1, 2]
MATRICES = ["gate", "up", "down"]
GATES = [f"gate.{layer}.weight" for layer in range(LAYERS)]
RANK, ALPHA = 2, 3.0
SCALE = ALPHA / RANK
STEP, GATE_STEP, STEPS, BATCH = 0.02, 0.004, 2, 4
BETAS = 0.9, 0.99
DEVICES = {"A": 2, "B": 1, "C": 1}
Model = dict[str, Tensor]
"""What the server holds: ``expert.{e}.{layer}.{matrix}.weight`` and ``gate.{layer}.weight``."""


@dataclass(frozen=True)
class Case:
    """What is run: with how many cycles without a mask at the end, in which number format.

    Adam divides a gradient by its size plus ``eps``: with the usual 1e-8, single precision moves a
    number whose gradient is hardly more than rounding by a whole step, in any direction, and all
    others follow within a few cycles. It has a larger one; double precision has the usual one.
    """

    method: str
    clusters: str
    unmasked: int
    precision: str

    @property
    def dtype(self):
        return getattr(torch, self.precision)

    @property
    def eps(self):
        return {"float32": 1e-3, "float64": 1e-8}[self.precision]

    @property
    def atol(self):
        return {"float32": 1e-5, "float64": 1e-10}[self.precision]

    def scenario(self, folder):
        clusters = [{"name": name, "devices": DEVICES[name]} for name in self.clusters]
        adam = {"kind": "adam", "betas": BETAS, "eps": self.eps, "state": "keep"}
        model = {
            "kind": "merged-llama", "moe_layers": LAYERS, "tokenizer": "words",
            "checkpoints": [str(folder / str(expert)) for expert in EXPERTS],
        }  # fmt: skip
        data = {
            "kind": "jsonl", "objective": "next_token", "tokens": TOKENS, "trial_samples": TRIAL,
            "paths": {name: str(folder / f"{name}.jsonl") for name in self.clusters},
        }  # fmt: skip
        learning = {
            "method": self.method, "precision": self.precision, "model": model, "data": data,
            "lora": {"rank": RANK, "alpha": ALPHA}, "optimizer": adam, "step_size": STEP,
            "gate_step_size_ratio": GATE_STEP / STEP, "steps_per_round": STEPS,
            "batch_size": BATCH,
            "pretraining": PRETRAINING,
        }  # fmt: skip
        if self.method.startswith("emsfl"):
            learning["options"] = {"resplit_cycles": 0}
        if self.method == "emsfl-enhanced":
            learning["gate_tuning_cycles"] = self.unmasked
        return in_slots(SEED, CYCLES, clusters, learning)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three Llamas that differ in their feed-forward networks, and a file of texts each."""
    folder = tmp_path_factory.mktemp("merged")
    tiny.llamas(folder, len(EXPERTS), num_hidden_layers=BLOCKS, initializer_range=0.1)
    rng = np.random.default_rng(7)
    for number, name in enumerate(DEVICES):
        rows = []
        for row in range(34):
            words = 12 * number + rng.integers(20, size=rng.integers(2, 13))
            split = "test" if row < 7 else "train"
            rows.append({"text": " ".join(f"w{word}" for word in words), "split": split})
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


# The model: Hugging Face's Llama, whose last feed-forward networks are mixtures of those of three.


@dataclass
class Weights:
    """A model as it is run: the server's tensors by name, and factors (A, B) beside some."""

    whole: Model
    factors: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def matrix(self, name):
        weight = self.whole[f"{name}.weight"]
        if name not in self.factors:
            return weight
        a, b = self.factors[name]
        return weight + SCALE * b @ a


class Mixture(nn.Module):
    """``sum_e g_e(x) expert_e(x)``, (8), of the experts that are ``held``; others are masked (43).

    With ``top`` = 1 the expert of the largest share p has the weight p / p = 1 as in Mixtral, whose
    denominator is detached: the gate's gradient is that of log p. Else g is the softmax.
    """

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.weights, self.held, self.top, self.logits = None, EXPERTS, 1, None
        self.given = None

    def forward(self, x):
        self.given = x
        self.logits = linear(x, self.weights.whole[GATES[self.layer]])
        mask = self.logits.new_full((len(EXPERTS),), -torch.inf)
        mask[self.held] = 0.0
        g = (self.logits + mask).softmax(-1)
        if self.top == 1:
            p, best = g.max(-1, keepdim=True)
            g = one_hot(best[..., 0], len(EXPERTS)) * (p / p.detach())
        return sum(g[..., [expert]] * self.expert(expert, x) for expert in self.held)

    def expert(self, number, x):
        names = [f"expert.{number}.{self.layer}.{matrix}" for matrix in MATRICES]
        gate, up, down = map(self.weights.matrix, names)
        return linear(silu(linear(x, gate)) * linear(x, up), down)


class MergedLlama:
    """The first Llama around mixtures of all; ``experts`` are their matrices on disk."""

    def __init__(self, folder, dtype):
        places = [folder / str(expert) for expert in EXPERTS]
        llamas = [LlamaForCausalLM.from_pretrained(place).to(dtype).eval() for place in places]
        self.experts = {
            f"expert.{expert}.{layer}.{matrix}.weight": block.mlp.get_parameter(
                f"{matrix}_proj.weight"
            ).detach()
            for expert, llama in enumerate(llamas)
            for layer, block in enumerate(llama.model.layers[-LAYERS:])
            for matrix in MATRICES
        }
        self.llama = llamas[0].requires_grad_(False)
        self.mixtures = [Mixture(layer) for layer in range(LAYERS)]
        for mixture, block in zip(self.mixtures, self.llama.model.layers[-LAYERS:], strict=True):
            block.mlp = mixture

    def backbone(self):
        """All that is no expert and no gate, by the names of a run's file."""
        tensors = self.llama.state_dict()
        return {n.replace("_proj", "") if ".mlp." in n else n: t for n, t in tensors.items()}

    def logits(self, tokens, weights, held=EXPERTS, top=1):
        for mixture in self.mixtures:
            mixture.weights, mixture.held, mixture.top = weights, held, top
        return self.llama(tokens.clamp_min(0), attention_mask=(tokens >= 0).long()).logits

    def scores(self, tokens, weights, held=EXPERTS):
        """Mean surprise of each text's tokens, and share of them that are the likeliest (2, n)."""
        logits = self.logits(tokens, weights, held)[:, :-1].transpose(1, 2)
        following = tokens[:, 1:]
        surprise = cross_entropy(logits, following, ignore_index=-1, reduction="none")
        right = (logits.argmax(1) == following).to(surprise)
        return torch.stack([surprise, right]).sum(-1) / (following >= 0).sum(-1)


# The texts.


@dataclass
class Texts:
    """A cluster's texts (n, T): its devices' ``shards``, what the server knows, and its test."""

    shards: list[Tensor]
    trial: Tensor
    test: Tensor


def tokens_of(texts):
    """Hashes of words, (n, T): a text that is too long loses its end, the others end in -1."""
    tokens = torch.full((len(texts), TOKENS), -1)
    for line, text in zip(tokens, texts, strict=True):
        ids = hashes(text)[:TOKENS]
        line[: len(ids)] = torch.tensor(ids)
    return tokens


def texts_of(folder, task, clusters):
    """All texts by cluster; of ``task`` is taken which of the train rows is whose."""
    found = {}
    for cluster in clusters:
        rows = [json.loads(line) for line in (folder / f"{cluster}.jsonl").open()]
        train, test = (
            tokens_of([row["text"] for row in rows if row["split"] == split])
            for split in ("train", "test")
        )
        drawn = [task.shards[cluster].of(k).x for k in range(DEVICES[cluster])]
        drawn.append(task.trial[cluster].x)
        parts = [train[[train.tolist().index(text) for text in part.tolist()]] for part in drawn]
        assert sorted(torch.cat(parts).tolist()) == sorted(train.tolist())
        found[cluster] = Texts(parts[:-1], parts[-1], test)
    return found


# Devices, and what the server makes of their updates.


class Device:
    """A device: what it has downloaded, its factors, its gates, and a state of Adam for both.

    The state of gates is kept through all downloads. That of factors ends with these: what is
    offered becomes part of the base, and fresh factors begin, of which nothing is known.
    """

    def __init__(self, case, cluster, number, texts, server):
        self.case, self.cluster, self.number, self.texts = case, cluster, number, texts
        self.weights = Weights(dict(server))
        self.gates = {name: nn.Parameter(server[name].clone()) for name in GATES}
        self.adam_of_gates = self.adam(self.gates.values(), GATE_STEP)
        self.rounds = self.offers = self.unsent = 0

    def adam(self, parameters, step_size):
        return torch.optim.Adam(parameters, step_size, BETAS, self.case.eps)

    def begin_factors(self, experts):
        """A from a stream of the cluster, the offer and the matrix; B = 0."""
        factors = {}
        for expert in experts:
            for layer in range(LAYERS):
                for matrix in MATRICES:
                    name = f"expert.{expert}.{layer}.{matrix}"
                    weight = self.weights.whole[f"{name}.weight"]
                    out, width = weight.shape
                    draw = stream(SEED, "lora", self.cluster, self.offers, name)
                    a = torch.tensor(draw.standard_normal((RANK, width)) / width**0.5).float()
                    pair = a.to(weight), weight.new_zeros(out, RANK)
                    factors[name] = tuple(map(nn.Parameter, pair))
        self.weights.factors = factors
        self.adam_of_factors = self.adam([f for pair in factors.values() for f in pair], STEP)

    def download(self, server):
        """Take the server's model; factors stay on top of it."""
        self.weights.whole = dict(server)
        self.load_gates(server)

    def load_gates(self, server):
        for name, gate in self.gates.items():
            gate.data.copy_(server[name])

    def train(self, model, held, gate):
        """A round on the device's factors, (26) and (38), and on its gates, (27) and (40).

        An expert that no token has chosen has the gradient 0: Adam moves it on all the same.
        """
        optimisers = [self.adam_of_factors, *([self.adam_of_gates] if gate else [])]
        self.weights.whole.update(self.gates)
        of_round = SEED, self.cluster, self.number, self.rounds
        for rows in minibatches(*of_round, len(self.texts), (STEPS, BATCH)):
            surprise, _ = model.scores(self.texts[rows], self.weights, held)
            self.adam_of_factors.zero_grad()
            self.adam_of_gates.zero_grad()
            surprise.mean().backward()
            for optimiser in optimisers:
                optimiser.step()
        self.rounds += 1
        self.unsent += 1

    def offered(self, experts):
        """Begin anew: what was trained is on its way."""
        self.offers += 1
        self.unsent = 0
        self.begin_factors(experts)


Fleet = dict[str, tuple[list[Device], list[float]]]
"""The devices of every cluster, and their shares n_k / n_c of its samples."""


def fleet_of(case, texts, server):
    fleet: Fleet = {}
    for cluster, own in texts.items():
        total = sum(map(len, own.shards))
        devices = [Device(case, cluster, k, part, server) for k, part in enumerate(own.shards)]
        fleet[cluster] = devices, [len(part) / total for part in own.shards]
    return fleet


@torch.no_grad()
def with_experts(server, devices, shares):
    """Equation (35), each device's product B A rebuilt before it is averaged (Remark 1)."""
    after = dict(server)
    for device, share in zip(devices, shares, strict=True):
        for name, (a, b) in device.weights.factors.items():
            after[f"{name}.weight"] = after[f"{name}.weight"] + share * SCALE * b @ a
    return after


@torch.no_grad()
def with_gates(server, devices, shares):
    """Equation (36)."""
    after = dict(server)
    for device, share in zip(devices, shares, strict=True):
        for name, gate in device.gates.items():
            after[name] = after[name] + share * (gate - server[name])
    return after


# The methods: each yields the server's model after each cycle.


def synchronous(model, fleet, server) -> Iterator[Model]:
    """Section III-A: broadcast, one round of the whole model, aggregation (28); one cluster a slot.

    Its devices rest in the slots of the others.
    """
    for devices, _ in fleet.values():
        for device in devices:
            device.begin_factors(EXPERTS)
    for _ in range(CYCLES):
        for devices, shares in fleet.values():
            for device in devices:
                device.download(server)
                device.train(model, EXPERTS, gate=True)
            server = with_gates(with_experts(server, devices, shares), devices, shares)
            for device in devices:
                device.offered(EXPERTS)
        yield server


def emsfl(model, fleet, server, own, unmasked) -> Iterator[Model]:
    """Algorithm 3, and in the last ``unmasked`` cycles Algorithm 2; ``own`` are all E_c.

    What a cluster trains in a contact and in the gap behind it is sent in its next contact: what
    the server has of it is a cycle old.
    """
    is_open = dict.fromkeys(fleet, unmasked == CYCLES)
    for cluster, (devices, _) in fleet.items():
        for device in devices:
            device.begin_factors(own[cluster])
    for cycle in range(CYCLES):
        for place, (cluster, (devices, shares)) in enumerate(fleet.items()):
            # Disconnected: a round in each slot of the others, the gate frozen (38), (39), and
            # masked (43) as it was in the contact before.
            held = EXPERTS if is_open[cluster] else own[cluster]
            for device in devices:
                for _ in range(place if cycle == 0 else len(fleet) - 1):
                    device.train(model, held, gate=False)
            # Connected: E_c up (35) and down as aggregated, a round (40), (41), and the gate (36).
            if any(device.unsent for device in devices):
                server = with_experts(server, devices, shares)
                for device in devices:
                    device.offered(own[cluster])
            is_open[cluster] = opens = cycle >= CYCLES - unmasked
            for device in devices:
                device.download(server)
                device.train(model, EXPERTS if opens else own[cluster], gate=opens)
            if opens:
                server = with_gates(server, devices, shares)
                for device in devices:
                    device.load_gates(server)
        yield server


# The server before time begins.


def pretrained_gates(model, texts):
    def given(tokens, gates):
        model.logits(tokens, Weights(model.experts | gates), top=len(EXPERTS))
        return [mixture.given for mixture in model.mixtures]

    start = {}
    for layer, name in enumerate(GATES):
        place = f"model.layers.{BLOCKS - LAYERS + layer}.mlp.gate"
        shape = len(EXPERTS), HIDDEN
        start[name] = drawn(SEED, place, "weight", shape, model.llama.dtype)
    return learnt_gates(SEED, start, [own.trial for own in texts.values()], given)


@torch.no_grad()
def relevance(model, texts, server):
    """Equation (29), by cluster and expert: the share of (token, layer) pairs that choose it."""
    rows = []
    for own in texts.values():
        model.logits(own.trial, Weights(server))
        chosen = torch.stack([m.logits.argmax(-1)[own.trial >= 0] for m in model.mixtures])
        rows.append([(chosen == expert).double().mean().item() for expert in EXPERTS])
    return np.array(rows)


@pytest.mark.parametrize(
    "case",
    [
        Case("synchronous", "ABC", 0, "float32"),
        Case("emsfl-enhanced", "AB", 2, "float64"),  # one of them holds two experts
        Case("emsfl", "ABC", CYCLES, "float64"),
    ],
    ids=lambda case: f"{case.method} {case.clusters} {case.precision}",
)
@pytest.mark.quick(1)
def test_a_run_ends_with_the_weights_of_the_loop(folder, tmp_path, case):
    result = sim.run(case.scenario(folder), tmp_path / "run")
    final = load_file(tmp_path / "run" / "model" / "model.safetensors")
    texts = texts_of(folder, build(case.scenario(folder)).learner.task, case.clusters)

    model = MergedLlama(folder, case.dtype)
    start = model.experts | pretrained_gates(model, texts)
    fleet = fleet_of(case, texts, start)
    if case.method == "synchronous":
        models = [start, *synchronous(model, fleet, start)]
    else:
        own = experts_of_clusters(result, case.clusters)
        models = [start, *emsfl(model, fleet, start, own, case.unmasked)]
        blocks = result.assignments.groupby("time_s").relevance
        for (_, measured), server in zip(blocks, (start, models[-1]), strict=True):
            expected = relevance(model, texts, server).flatten()
            np.testing.assert_allclose(measured, expected, rtol=0, atol=1e-12)

    rows = result.metrics[result.metrics.scope == "cluster"]
    with torch.no_grad():
        scores = [
            model.scores(own.test, Weights(server)).mean(1).tolist()
            for server in models
            for own in texts.values()
        ]
    np.testing.assert_allclose(rows[["loss", "accuracy"]], scores, rtol=0, atol=case.atol)

    check_end(final, start, models[-1], model.backbone(), case.atol, 0.02)
