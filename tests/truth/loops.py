"""EMS-FL as its paper writes it, one device at a time: what second implementations share.

The order of the protocol, local steps, LoRA, aggregation and the pre-training of gates are those of
section III; steps are torch's optimisers on plain modules. What is drawn at random is shared with a
run: which sample is whose, the rows of minibatches, what gates, heads and factors begin with, and
the cluster of each expert. A model is a mapping of the server's tensors by name, of which
``expert.{e}.{layer}.{matrix}`` are the experts' and all others are shared by all.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

import scenarios
from learning import stream
from tests.kit.plain_loop import minibatches
from tests.kit.tiny_checkpoints import SIZES


@dataclass(frozen=True)
class Work:
    """How devices train: steps of ``shape`` (steps, batch), with factors of a rank or without."""

    seed: int
    shape: tuple[int, int]
    step: float
    gate_step: float
    optimiser: Callable[..., Any]
    rank: int | None = None
    scale: float = 1.0


class Device:
    """A device: what it has downloaded, the experts that it trains, and what all share.

    The state of optimisers is kept through all downloads. That of factors ends with an offer: what
    is offered becomes part of the base, and fresh factors begin, of which nothing is known.
    """

    def __init__(self, work, cluster, number, samples, server):
        self.work, self.cluster, self.number = work, cluster, number
        self.x, self.y = samples
        self.base = dict(server)
        self.shared = {
            name: nn.Parameter(tensor.clone())
            for name, tensor in server.items()
            if not name.startswith("expert.")
        }
        self.of_shared = work.optimiser(
            [
                {
                    "params": [tensor],
                    "lr": work.gate_step if name.startswith("gate.") else work.step,
                }
                for name, tensor in self.shared.items()
            ]
        )
        self.rounds = self.offers = self.unsent = 0

    def begin(self, experts):
        """Train these experts from now on: their matrices, or A from a stream and B = 0."""
        own = [n for n in self.base if n.startswith(tuple(f"expert.{e}." for e in experts))]
        if self.work.rank is None:
            self.own = {name: [nn.Parameter(self.base[name].clone())] for name in own}
        else:
            self.own = {n: self._factors(n) for n in own if n.endswith(".weight")}
        parts = [{"params": parts, "lr": self.work.step} for parts in self.own.values()]
        self.of_own = self.work.optimiser(parts)

    def _factors(self, name):
        weight, rank = self.base[name], self.work.rank
        out, width = weight.shape
        stem = name.removesuffix(".weight")
        draw = stream(self.work.seed, "lora", self.cluster, self.offers, stem)
        a = torch.tensor(draw.standard_normal((rank, width)) / width**0.5).float().to(weight)
        return [nn.Parameter(a), nn.Parameter(weight.new_zeros(out, rank))]

    def weights(self):
        """The device's model: the base with what it has trained."""
        return self.base | self.shared | {name: self._trained(name) for name in self.own}

    def _trained(self, name):
        if self.work.rank is None:
            return self.own[name][0]
        a, b = self.own[name]
        return self.base[name] + self.work.scale * b @ a

    def train(self, loss, held, *, shared):
        """A round on the device's experts, (26) and (38), and on what is shared, (27) and (40).

        An expert that no sample has chosen has the gradient 0: Adam moves it on all the same.
        """
        of_round = self.work.seed, self.cluster, self.number, self.rounds
        for rows in minibatches(*of_round, len(self.y), self.work.shape):
            self.of_own.zero_grad()
            self.of_shared.zero_grad()
            loss(self.weights(), self.x[rows], self.y[rows], held)[0].backward()
            self.of_own.step()
            if shared:
                self.of_shared.step()
        self.rounds += 1
        self.unsent += 1

    def changes(self):
        """What (35) adds of a device; of factors their product is rebuilt first (Remark 1)."""
        return {name: self._trained(name) - self.base[name] for name in self.own}

    def shared_changes(self):
        return {name: tensor - self.base[name] for name, tensor in self.shared.items()}

    def offered(self, experts):
        """Begin anew: what was trained is on its way."""
        self.offers += 1
        self.unsent = 0
        if self.work.rank is not None:
            self.begin(experts)

    @torch.no_grad()
    def download(self, server):
        """Take the server's model; factors stay on top of it."""
        self.base = dict(server)
        self.load_shared(server)
        for name, parts in self.own.items() if self.work.rank is None else ():
            parts[0].copy_(server[name])

    @torch.no_grad()
    def load_shared(self, server):
        for name, tensor in self.shared.items():
            tensor.copy_(server[name])
            self.base[name] = server[name]


@torch.no_grad()
def merged(server, devices, of):
    """Equations (35) and (36): changes of devices by their shares n_k / n_c of the samples."""
    after = dict(server)
    total = sum(len(device.y) for device in devices)
    for device in devices:
        for name, change in of(device).items():
            after[name] = after[name] + len(device.y) / total * change
    return after


# The methods: each yields the server's model after each cycle.


def synchronous(loss, fleet, server, experts, cycles):
    """Section III-A: broadcast, one round of the whole model, aggregation (28); one cluster a slot.

    Its devices rest in the slots of the others.
    """
    for device in chain(*fleet.values()):
        device.begin(experts)
    for _ in range(cycles):
        for devices in fleet.values():
            for device in devices:
                device.download(server)
                device.train(loss, experts, shared=True)
            experts_of_all = merged(server, devices, Device.changes)
            server = merged(experts_of_all, devices, Device.shared_changes)
            for device in devices:
                device.offered(experts)
        yield server


def emsfl(
    loss, fleet, server, own, cycles, unmasked,
    always_shared = False,
):  # fmt: skip
    """Algorithm 3, and in the last ``unmasked`` cycles Algorithm 2; ``own`` are all E_c.

    What a cluster trains in a contact and in the gap behind it is sent in its next contact: what
    the server has of it is a cycle old. What is shared is trained in contacts: without a mask, or
    always.
    """
    everything = sorted(chain(*own.values()))
    is_open = dict.fromkeys(fleet, unmasked == cycles)
    for cluster, devices in fleet.items():
        for device in devices:
            device.begin(own[cluster])
    for cycle in range(cycles):
        for place, (cluster, devices) in enumerate(fleet.items()):
            # Disconnected: a round in each slot of the others, what is shared frozen (38), (39),
            # and masked (43) as it was in the contact before.
            held = everything if is_open[cluster] else own[cluster]
            for device in devices:
                for _ in range(place if cycle == 0 else len(fleet) - 1):
                    device.train(loss, held, shared=False)
            # Connected: E_c up (35), all down, a round (40), (41), and what is shared up (36).
            if any(device.unsent for device in devices):
                server = merged(server, devices, Device.changes)
                for device in devices:
                    device.offered(own[cluster])
            is_open[cluster] = opens = cycle >= cycles - unmasked
            for device in devices:
                device.download(server)
                held = everything if opens else own[cluster]
                device.train(loss, held, shared=opens or always_shared)
            if opens or always_shared:
                server = merged(server, devices, Device.shared_changes)
                for device in devices:
                    device.load_shared(server)
        yield server


def experts_of_clusters(result, clusters):
    """The experts of each cluster as they were drawn before time began: each has one cluster."""
    first = result.assignments[result.assignments.time_s == 0.0]
    taken = first[first.assigned]
    assert sorted(taken.expert) == [*range(first.expert.nunique())]
    return {name: taken.expert[taken.cluster == name].tolist() for name in clusters}


# Mixtures of Hugging Face's models: three clusters in slots, with texts of their own.

SEED, CYCLES, TRIAL = 4, 6, 6
SHAPE = STEPS, BATCH = 2, 4
BETAS = 0.9, 0.99
BLOCKS, LAYERS = 3, 2  # all blocks, and the last ones of them, which have experts
DEVICES = {"A": 2, "B": 1, "C": 1}
GATES = [f"gate.{layer}.weight" for layer in range(LAYERS)]
HIDDEN, VOCABULARY = (int(SIZES[name]) for name in ("hidden_size", "vocab_size"))
PRETRAINING_STEP, PRETRAINING_STEPS, PRETRAINING_BATCH = 0.03, 5, 6


@dataclass(frozen=True)
class Case:
    """What is run: with how many cycles without a mask at the end, in which number format.

    Adam divides a gradient by its size plus ``eps``: with the usual 1e-8, single precision moves a
    number whose gradient is hardly more than rounding by a whole step, in any direction, and all
    others follow within a few cycles. It has a larger one.
    """

    method: str
    clusters: str
    unmasked: int
    precision: str
    step: float
    ratio: float
    double_eps: float

    @property
    def atol(self):
        return 1e-5 if self.precision == "float32" else 1e-10

    def work(self, **lora):
        def adam(groups):
            return torch.optim.Adam(groups, betas=BETAS, eps=self._eps)

        return Work(SEED, SHAPE, self.step, self.step * self.ratio, adam, **lora)

    @property
    def _eps(self):
        return 1e-3 if self.precision == "float32" else self.double_eps

    def scenario(self, folder, model, data, **keys):
        """A slot of ten minutes for each cluster, and a minute a round."""
        learning: dict[str, Any] = {
            "method": self.method, "precision": self.precision, "model": model,
            "data": {
                "kind": "jsonl", "trial_samples": TRIAL, **data,
                "paths": {name: str(folder / f"{name}.jsonl") for name in self.clusters},
            },
            "optimizer": {"kind": "adam", "betas": BETAS, "eps": self._eps, "state": "keep"},
            "step_size": self.step, "gate_step_size_ratio": self.ratio, "steps_per_round": STEPS,
            "batch_size": BATCH,
            "pretraining": {
                "gate_steps": PRETRAINING_STEPS, "gate_batch": PRETRAINING_BATCH,
                "gate_loss": "origin",
            },
            **keys,
        }  # fmt: skip
        if self.method.startswith("emsfl"):
            learning["options"] = {"resplit_cycles": 0}
        if self.method == "emsfl-enhanced":
            learning["gate_tuning_cycles"] = self.unmasked
        clusters = [{"name": name, "devices": DEVICES[name]} for name in self.clusters]
        return scenarios.from_dict(
            {
                "seed": SEED,
                "stop": {"cycles": CYCLES},
                "ground": {"clusters": clusters},
                "orbit": {"source": "slots", "slots": {"count": len(clusters), "seconds": 600}},
                "link": {"preset": "paper"},
                "compute": {"seconds_per_round": 60},
                "learning": learning,
            }
        )


def write_texts(folder, row_of):
    """A file of 34 rows for each cluster by number, of which the first seven are its test."""
    rng = np.random.default_rng(7)
    for number, name in enumerate(DEVICES):
        rows = [
            row_of(rng, number, row) | {"split": "test" if row < 7 else "train"}
            for row in range(34)
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))


def hashes(text):
    """The number of each word of a text."""
    return [1 + crc32(word.encode()) % (VOCABULARY - 1) for word in text.split()]


@dataclass
class Texts:
    """Tokens (n, T) and labels (n,) of a cluster: its devices', what the server knows, its test."""

    shards: list[tuple[Tensor, Tensor]]
    trial: Tensor
    test: tuple[Tensor, Tensor]


def texts_of(folder, task, clusters, read):
    """All texts by cluster; of ``task`` is taken which of the train rows is whose."""
    found = {}
    for cluster in clusters:
        rows = [json.loads(line) for line in (folder / f"{cluster}.jsonl").open()]
        train, test = (
            [read(row) for row in rows if row["split"] == split] for split in ("train", "test")
        )
        own = [task.shards[cluster].of(k) for k in range(DEVICES[cluster])]
        parts = [(part.x, part.y) for part in (*own, task.trial[cluster])]
        given = [pair for x, y in parts for pair in zip(x.tolist(), y.tolist(), strict=True)]
        assert sorted(given) == sorted(train)
        x, y = map(torch.tensor, zip(*test, strict=True))
        found[cluster] = Texts(parts[:-1], parts[-1][0], (x, y))
    return found


def drawn(path, name, shape, dtype):
    """What a tensor of the gates or of the head begins with."""
    bound = HIDDEN**-0.5
    start = stream(SEED, "init", path, name).uniform(-bound, bound, shape)
    return torch.tensor(start).float().to(dtype)


def learnt_gates(
    path,
    experts,
    trials,
    given_of,
    dtype,
):
    """Gates that have learnt, of each trial text, the experts that are at home with its cluster.

    ``path`` names the module of a gate by the number of its block. Expert e is at home in cluster e
    modulo the number of clusters. ``given_of`` returns what each gate (E, d) is given of texts
    (n, T), from layers that mix all experts.
    """
    gates = {
        name: nn.Parameter(
            drawn(path.format(BLOCKS - LAYERS + layer), "weight", (experts, HIDDEN), dtype)
        )
        for layer, name in enumerate(GATES)
    }
    trial = torch.cat([*trials])
    clusters = range(len(trials))
    home = torch.tensor([[e % len(trials) == c for e in range(experts)] for c in clusters])
    home = home.repeat_interleave(len(trials[0]), 0)
    adam = torch.optim.Adam(gates.values(), PRETRAINING_STEP)
    draw = stream(SEED, "pretrain", "gate")
    for rows in draw.integers(0, len(trial), (PRETRAINING_STEPS, PRETRAINING_BATCH)):
        with torch.no_grad():
            given = given_of(trial[rows], {**gates})
        real = trial[rows] >= 0
        at_home = home[rows][:, None].expand(-1, real.shape[1], -1)[real]
        own = gates.values()
        shares = [linear(x[real], gate).softmax(-1) for x, gate in zip(given, own, strict=True)]
        adam.zero_grad()
        losses = [-(share * at_home).sum(-1).log().mean() for share in shares]
        torch.autograd.backward(losses)
        adam.step()
    return {name: gate.detach() for name, gate in gates.items()}


def models_of(case, loss, texts, start, own, **lora):
    """The server's model at the start and after each cycle; ``own`` are the clusters' experts."""
    fleet = {
        cluster: [Device(case.work(**lora), cluster, k, s, start) for k, s in enumerate(its.shards)]
        for cluster, its in texts.items()
    }
    if case.method == "synchronous":
        every = sorted({int(name.split(".")[1]) for name in start if name.startswith("expert.")})
        return [start, *synchronous(loss, fleet, start, every, CYCLES)]
    shared = lora == {}  # a head is trained in every contact
    return [start, *emsfl(loss, fleet, start, own, CYCLES, case.unmasked, shared)]


def compare(
    case, result, final, models, scores,
    texts, backbone, least,
):  # fmt: skip
    """A run's metrics and last model are those of a loop, where all has moved by ``least``."""
    rows = result.metrics[result.metrics.scope == "cluster"]
    with torch.no_grad():
        told = [[*map(float, scores(m, *own.test))] for m in models for own in texts.values()]
    np.testing.assert_allclose(rows[["loss", "accuracy"]], told, rtol=0, atol=case.atol)
    start, end = models[0], models[-1]
    assert set(final) == set(start) | set(backbone)
    for name, tensor in backbone.items():
        torch.testing.assert_close(final[name], tensor, rtol=0, atol=0, msg=name)
    for name, tensor in end.items():
        torch.testing.assert_close(final[name], tensor, rtol=0, atol=case.atol, msg=name)
        assert (tensor - start[name]).abs().max() > least, name
