"""Whole runs of merged Llamas, next tokens learnt, against a loop of transformers and torch.optim.

Forward pass, gate and relevance are written out again around Hugging Face's own Llama; the loop is
that of tests/truth/loops.py.
"""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import cross_entropy, linear, one_hot, silu
from transformers import LlamaForCausalLM

import sim
from sim.execution.ready import build
from tests.kit import tiny_checkpoints as tiny
from tests.truth import loops
from tests.truth.loops import BLOCKS, CYCLES, GATES, LAYERS, Case

TOKENS = 9
EXPERTS = [0, 1, 2]
MATRICES = ["gate", "up", "down"]
RANK, ALPHA = 2, 3.0
DATA = {"objective": "next_token", "tokens": TOKENS}


def texts(rng, number, row):
    words = 12 * number + rng.integers(20, size=rng.integers(2, 13))
    return {"text": " ".join(f"w{word}" for word in words)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three Llamas that differ in their feed-forward networks, and a file of texts each."""
    folder = tmp_path_factory.mktemp("merged")
    tiny.llamas(folder, len(EXPERTS), num_hidden_layers=BLOCKS, initializer_range=0.1)
    loops.write_texts(folder, texts)
    return folder


class Mixture(nn.Module):
    """``sum_e g_e(x) expert_e(x)``, (8), of the experts that are ``held``; others are masked (43).

    With ``top`` = 1 the expert of the largest share p has the weight p / p = 1 as in Mixtral, whose
    denominator is detached: the gate's gradient is that of log p. Else g is the softmax.
    """

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.weights, self.held, self.top, self.logits, self.given = None, EXPERTS, 1, None, None

    def forward(self, x):
        self.given = x
        self.logits = linear(x, self.weights[GATES[self.layer]])
        mask = self.logits.new_full((len(EXPERTS),), -torch.inf)
        mask[self.held] = 0.0
        g = (self.logits + mask).softmax(-1)
        if self.top == 1:
            p, best = g.max(-1, keepdim=True)
            g = one_hot(best[..., 0], len(EXPERTS)) * (p / p.detach())
        return sum(g[..., [expert]] * self.expert(expert, x) for expert in self.held)

    def expert(self, number, x):
        names = [f"expert.{number}.{self.layer}.{matrix}.weight" for matrix in MATRICES]
        gate, up, down = map(self.weights.get, names)
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

    def logits(self, weights, tokens, held=EXPERTS, top=1):
        for mixture in self.mixtures:
            mixture.weights, mixture.held, mixture.top = weights, held, top
        return self.llama(tokens.clamp_min(0), attention_mask=(tokens >= 0).long()).logits

    def scores(self, weights, tokens, _, held=EXPERTS):
        """Mean surprise of the texts' tokens, and share of them that are the likeliest."""
        logits = self.logits(weights, tokens, held)[:, :-1].transpose(1, 2)
        following = tokens[:, 1:]
        surprise = cross_entropy(logits, following, ignore_index=-1, reduction="none")
        right = (logits.argmax(1) == following).to(surprise)
        return (torch.stack([surprise, right]).sum(-1) / (following >= 0).sum(-1)).mean(-1)

    def given(self, tokens, gates):
        self.logits(self.experts | gates, tokens, top=len(EXPERTS))
        return [mixture.given for mixture in self.mixtures]

    @torch.no_grad()
    def relevance(self, weights, texts):
        """Equation (29), by cluster and expert: the share of tokens and layers that choose it."""
        rows = []
        for own in texts.values():
            self.logits(weights, own.trial)
            chosen = torch.stack([m.logits.argmax(-1)[own.trial >= 0] for m in self.mixtures])
            rows += [(chosen == expert).double().mean().item() for expert in EXPERTS]
        return rows


def read(row):
    """Hashes of words: a text that is too long loses its end, the others end in -1."""
    ids = loops.hashes(row["text"])[:TOKENS]
    return ids + [-1] * (TOKENS - len(ids)), 0


@pytest.mark.parametrize(
    "case",
    [
        Case("synchronous", "ABC", 0, "float32", 0.02, 0.2, 1e-8),
        Case("emsfl-enhanced", "AB", 2, "float64", 0.02, 0.2, 1e-8),  # one holds two experts
        Case("emsfl", "ABC", CYCLES, "float64", 0.02, 0.2, 1e-8),
    ],
    ids=lambda case: f"{case.method} {case.clusters} {case.precision}",
)
@pytest.mark.quick(1)
def test_a_run_ends_with_the_weights_of_the_loop(folder, tmp_path, case):
    checkpoints = [str(folder / str(expert)) for expert in EXPERTS]
    config = {"kind": "merged-llama", "moe_layers": LAYERS, "tokenizer": "words"}
    config["checkpoints"] = checkpoints
    scenario = case.scenario(folder, config, DATA, lora={"rank": RANK, "alpha": ALPHA})
    result = sim.run(scenario, tmp_path / "run")
    final = load_file(tmp_path / "run" / "model" / "model.safetensors")
    texts = loops.texts_of(folder, build(scenario).learner.task, case.clusters, read)

    model = MergedLlama(folder, getattr(torch, case.precision))
    trials = [own.trial for own in texts.values()]
    path = "model.layers.{}.mlp.gate"
    gates = loops.learnt_gates(path, len(EXPERTS), trials, model.given, model.llama.dtype)
    own = {} if case.method == "synchronous" else loops.experts_of_clusters(result, case.clusters)
    factors = {"rank": RANK, "scale": ALPHA / RANK}
    models = loops.models_of(case, model.scores, texts, model.experts | gates, own, **factors)
    blocks = result.assignments.groupby("time_s").relevance if own else ()
    for (_, measured), server in zip(blocks, (models[0], models[-1]) if own else (), strict=True):
        np.testing.assert_allclose(measured, model.relevance(server, texts), rtol=0, atol=1e-12)
    loops.compare(case, result, final, models, model.scores, texts, model.backbone(), 0.02)
