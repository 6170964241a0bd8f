"""Whole runs of an upcycled BERT against a loop of transformers and torch.optim.

The forward pass, the gate, local steps of whole experts and the head, aggregation, the order of the
protocol and the pre-training of gates are written out again around Hugging Face's own BERT. What is
drawn at random is shared: which text is whose, the rows of minibatches, start values of gates and
head, and the cluster of each expert. Equations are those of the EMS-FL paper, section III.
"""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import cross_entropy, gelu, linear
from transformers import BertModel

import sim
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

SEED, CYCLES, TOKENS, TRIAL = 4, 6, 10, 6
BLOCKS, LAYERS, EXPERTS, TOP = 3, 2, 4, 2
NETWORK = {"up": "intermediate.dense", "down": "output.dense"}
ALL = list(range(EXPERTS))
GATES = [f"gate.{layer}.weight" for layer in range(LAYERS)]
HEAD = ["score.weight", "score.bias"]
STEP, RATIO, STEPS, BATCH = 0.006, 0.5, 2, 4
BETAS = 0.9, 0.99
UNMASKED = 2
DEVICES = {"A": 2, "B": 1, "C": 1}
LABELS = {"A": ("no", "yes"), "B": ("other", "same"), "C": ("x", "y", "z")}
CLASSES = sorted(label for own in LABELS.values() for label in own)


@dataclass(frozen=True)
class Case:
    """What is run, in which number format; Adam's ``eps`` is large where rounding is."""

    method: str
    precision: str

    @property
    def eps(self):
        return {"float32": 1e-3, "float64": 1e-6}[self.precision]

    @property
    def atol(self):
        return {"float32": 1e-5, "float64": 1e-10}[self.precision]

    def scenario(self, folder):
        learning = {
            "method": self.method, "precision": self.precision, "lora": {"rank": None},
            "optimizer": {"kind": "adam", "betas": BETAS, "eps": self.eps, "state": "keep"},
            "step_size": STEP, "gate_step_size_ratio": RATIO, "steps_per_round": STEPS,
            "batch_size": BATCH, "trains_backbone": True,
            "model": {
                "kind": "merged-bert", "moe_layers": LAYERS, "top_k": TOP, "tokenizer": "words",
                "checkpoints": [str(folder / "bert")], "experts_per_checkpoint": EXPERTS,
            },
            "data": {
                "kind": "jsonl", "tokens": TOKENS, "trial_samples": TRIAL,
                "paths": {name: str(folder / f"{name}.jsonl") for name in DEVICES},
            },
            "pretraining": PRETRAINING,
        }  # fmt: skip
        if self.method == "emsfl-enhanced":
            learning |= {"gate_tuning_cycles": UNMASKED, "options": {"resplit_cycles": 0}}
        clusters = [{"name": name, "devices": count} for name, count in DEVICES.items()]
        return in_slots(SEED, CYCLES, clusters, learning)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A BERT, and a file for each cluster: texts in A and C, pairs in B."""
    folder = tmp_path_factory.mktemp("upcycled")
    tiny.bert(folder / "bert", num_hidden_layers=BLOCKS)
    rng = np.random.default_rng(7)
    for number, name in enumerate(DEVICES):
        rows = []
        for row in range(34):
            first, second = (
                " ".join(f"w{12 * number + word}" for word in rng.integers(20, size=size))
                for size in rng.integers(1, 5, size=2)
            )
            label = LABELS[name][row % len(LABELS[name])]
            pair = {"text_pair": second} if name == "B" else {}
            split = "test" if row < 7 else "train"
            rows.append({"text": first, **pair, "label": label, "split": split})
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


# The model: Hugging Face's BERT, whose last feed-forward networks are mixtures of copies.


class Mixture:
    """``sum_e g_e(x) expert_e(x)``, (8): g are the ``top`` largest shares, which sum to 1.

    The experts that are not ``held`` are masked (43).
    """

    def __init__(self, layer):
        self.layer, self.given = layer, None

    def __call__(self, x, weights, held, top):
        self.given = x
        mask = x.new_full((EXPERTS,), -torch.inf)
        mask[held] = 0.0
        share = (linear(x, weights[GATES[self.layer]]) + mask).softmax(-1)
        kept, chosen = share.topk(min(top, len(held)), -1)
        g = torch.zeros_like(share).scatter(-1, chosen, kept / kept.sum(-1, keepdim=True))
        return sum(g[..., [expert]] * self.network(expert, x, weights) for expert in held)

    def network(self, expert, x, weights):
        up, down = (f"expert.{expert}.{self.layer}.{matrix}" for matrix in NETWORK)
        inner = gelu(linear(x, weights[f"{up}.weight"], weights[f"{up}.bias"]))
        return linear(inner, weights[f"{down}.weight"], weights[f"{down}.bias"])


class Upcycled:
    """A BERT around mixtures; ``start`` has its feed-forward networks as each expert's."""

    def __init__(self, folder, dtype):
        self.dtype = dtype
        self.bert = BertModel.from_pretrained(folder, add_pooling_layer=False).to(dtype).eval()
        self.backbone = {f"bert.{name}": t for name, t in self.bert.state_dict().items()}
        self.bert.requires_grad_(False)
        self.mixtures, self.start, self.running = [], {}, None
        for layer, block in enumerate(self.bert.encoder.layer[-LAYERS:]):
            for matrix, path in NETWORK.items():
                for name, tensor in block.get_submodule(path).named_parameters():
                    del self.backbone[f"bert.encoder.layer.{BLOCKS - LAYERS + layer}.{path}.{name}"]
                    for expert in ALL:
                        self.start[f"expert.{expert}.{layer}.{matrix}.{name}"] = tensor.detach()
            self.mixtures.append(Mixture(layer))
            block.feed_forward_chunk = self.fed_forward(self.mixtures[-1], block.output.LayerNorm)

    def fed_forward(self, mixture, norm):
        return lambda x: norm(mixture(x, *self.running) + x)

    def hidden(self, tokens, weights, held=ALL, top=TOP):
        self.running = weights, held, top
        types = torch.tensor([[int(0 in row[:place]) for place in range(TOKENS)] for row in
                              tokens.tolist()])  # fmt: skip
        types[tokens < 0] = 0
        return self.bert(
            input_ids=tokens.clamp_min(0),
            attention_mask=(tokens >= 0).long(),
            token_type_ids=types,
        ).last_hidden_state

    def logits(self, tokens, weights, held=ALL):
        hidden = self.hidden(tokens, weights, held)
        means = [row[real].mean(0) for row, real in zip(hidden, tokens >= 0, strict=True)]
        return linear(torch.stack(means), *(weights[name] for name in HEAD))

    def loss(self, tokens, labels, weights, held=ALL):
        return cross_entropy(self.logits(tokens, weights, held), labels)


# The texts.


def tokens_of(row):
    """Hashes of words; 0 stands between the texts of a pair, and -1 behind all."""
    found = hashes(row["text"])
    found += [0, *hashes(row["text_pair"])] if "text_pair" in row else []
    return found + [-1] * (TOKENS - len(found))


@dataclass
class Texts:
    """Tokens (n, T) and labels (n,) of a cluster: its devices', what the server knows, its test."""

    shards: list
    trial: torch.Tensor
    test: tuple


def texts_of(folder, task):
    """All texts by cluster; of ``task`` is taken which of the train rows is whose."""
    found = {}
    for cluster in DEVICES:
        rows = [json.loads(line) for line in (folder / f"{cluster}.jsonl").open()]
        train, test = (
            [(tokens_of(row), CLASSES.index(row["label"])) for row in rows if row["split"] == split]
            for split in ("train", "test")
        )
        own = [task.shards[cluster].of(k) for k in range(DEVICES[cluster])]
        parts = [(part.x, part.y) for part in (*own, task.trial[cluster])]
        given = [pair for x, y in parts for pair in zip(x.tolist(), y.tolist(), strict=True)]
        assert sorted(given) == sorted(train)
        tests = tuple(map(torch.tensor, zip(*test, strict=True)))
        found[cluster] = Texts(parts[:-1], parts[-1][0], tests)
    return found


# Devices, and what the server makes of what they have trained.


class Device:
    """A device: its weights, what it has downloaded of them, and a state of Adam for each part."""

    def __init__(self, case, cluster, number, samples, server):
        self.cluster, self.number, self.rounds = cluster, number, 0
        self.tokens, self.labels = samples
        self.weights = {name: nn.Parameter(t.clone()) for name, t in server.items()}
        self.base = dict(server)
        self.parts = [(own_names([e]), STEP) for e in ALL] + [(GATES, STEP * RATIO), (HEAD, STEP)]
        self.adams = [
            torch.optim.Adam([self.weights[n] for n in names], size, BETAS, case.eps)
            for names, size in self.parts
        ]

    @torch.no_grad()
    def load(self, server, names):
        for name in names:
            self.weights[name].copy_(server[name])
            self.base[name] = server[name]

    def train(self, model, held, trained, *, shared):
        """A round on ``trained`` experts, (26) and (38), and on gates and head, (27) and (40)."""
        numbers = [*trained, *([EXPERTS, EXPERTS + 1] if shared else [])]
        adams = [self.adams[number] for number in numbers]
        of_round = SEED, self.cluster, self.number, self.rounds
        for rows in minibatches(*of_round, len(self.labels), (STEPS, BATCH)):
            for tensor in self.weights.values():
                tensor.grad = torch.zeros_like(tensor)
            model.loss(self.tokens[rows], self.labels[rows], self.weights, held).backward()
            for adam in adams:
                adam.step()
        self.rounds += 1


def own_names(experts):
    return [
        f"expert.{expert}.{layer}.{matrix}.{part}"
        for expert in experts
        for layer in range(LAYERS)
        for matrix in NETWORK
        for part in ("weight", "bias")
    ]


@torch.no_grad()
def aggregated(server, devices, names):
    """Equations (35) and (36): the devices' changes by their shares n_k / n_c of the samples."""
    after = dict(server)
    total = sum(len(device.labels) for device in devices)
    for device in devices:
        share = len(device.labels) / total
        for name in names:
            after[name] = after[name] + share * (device.weights[name] - device.base[name])
    return after


# The methods: each yields the server's model after each cycle.


def synchronous(model, fleet, server):
    """Section III-A: broadcast, one round of the whole model, aggregation (28)."""
    for _ in range(CYCLES):
        for devices in fleet.values():
            for device in devices:
                device.load(server, server)
                device.train(model, ALL, ALL, shared=True)
            server = aggregated(server, devices, server)
        yield server


def emsfl_enhanced(model, fleet, server, own):
    """Algorithm 3, in the last cycles Algorithm 2; gates and head are trained while connected."""
    is_open = dict.fromkeys(fleet, False)
    for cycle in range(CYCLES):
        for place, (cluster, devices) in enumerate(fleet.items()):
            mine = own[cluster]
            # Disconnected: a round in each slot of the others, (38) and (39).
            for device in devices:
                for _ in range(place if cycle == 0 else len(fleet) - 1):
                    device.train(model, ALL if is_open[cluster] else mine, mine, shared=False)
            # Connected: E_c up (35), all down, a round (40), (41), and gates and head up (36).
            server = aggregated(server, devices, own_names(mine))
            is_open[cluster] = opens = cycle >= CYCLES - UNMASKED
            for device in devices:
                held = ALL if opens else mine
                device.load(server, [*own_names(held), *GATES, *HEAD])
                device.train(model, held, mine, shared=True)
            server = aggregated(server, devices, [*GATES, *HEAD])
            for device in devices:
                device.load(server, [*GATES, *HEAD])
        yield server


# The server before time begins.


def pretrained_gates(model, texts):
    def given(tokens, gates):
        model.hidden(tokens, model.start | gates, top=EXPERTS)
        return [mixture.given for mixture in model.mixtures]

    start = {}
    for layer, name in enumerate(GATES):
        path = f"bert.encoder.layer.{BLOCKS - LAYERS + layer}.intermediate.gate"
        start[name] = drawn(SEED, path, "weight", (EXPERTS, HIDDEN), model.dtype)
    return learnt_gates(SEED, start, [own.trial for own in texts.values()], given)


@pytest.mark.parametrize(
    "case",
    [
        Case("synchronous", "float64"),
        Case("emsfl-enhanced", "float32"),
    ],
    ids=lambda case: f"{case.method} {case.precision}",
)
@pytest.mark.quick(1)
def test_a_run_ends_with_the_weights_of_the_loop(folder, tmp_path, case):
    result = sim.run(case.scenario(folder), tmp_path / "run")
    final = load_file(tmp_path / "run" / "model" / "model.safetensors")
    texts = texts_of(folder, build(case.scenario(folder)).learner.task)

    model = Upcycled(folder / "bert", getattr(torch, case.precision))
    shapes = {"weight": (len(CLASSES), HIDDEN), "bias": (len(CLASSES),)}
    head = {f"score.{n}": drawn(SEED, "score", n, own, model.dtype) for n, own in shapes.items()}
    start = model.start | head | pretrained_gates(model, texts)
    fleet = {
        cluster: [Device(case, cluster, k, part, start) for k, part in enumerate(own.shards)]
        for cluster, own in texts.items()
    }
    if case.method == "synchronous":
        models = [start, *synchronous(model, fleet, start)]
    else:
        own = experts_of_clusters(result, [*DEVICES])
        models = [start, *emsfl_enhanced(model, fleet, start, own)]

    rows = result.metrics[result.metrics.scope == "cluster"]
    scores = []
    with torch.no_grad():
        for server in models:
            for tokens, labels in (own.test for own in texts.values()):
                right = model.logits(tokens, server).argmax(1) == labels
                loss = model.loss(tokens, labels, server)
                scores.append([loss.item(), right.double().mean().item()])
    np.testing.assert_allclose(rows[["loss", "accuracy"]], scores, rtol=0, atol=case.atol)

    check_end(final, start, models[-1], model.backbone, case.atol, 0.004)
