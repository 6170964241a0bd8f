"""Whole runs of an upcycled BERT against a loop of transformers and torch.optim.

The forward pass and the gate are written out again around Hugging Face's own BERT; the loop, in
which whole experts and the head learn, is that of tests/truth/loops.py.
"""

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy, gelu, linear
from transformers import BertModel

import sim
from sim.execution.ready import build
from tests.kit import tiny_checkpoints as tiny
from tests.truth import loops
from tests.truth.loops import BLOCKS, DEVICES, GATES, HIDDEN, LAYERS, Case

TOKENS, EXPERTS, TOP = 10, 4, 2
NETWORK = {"up": "intermediate.dense", "down": "output.dense"}
ALL = list(range(EXPERTS))
HEAD = ["score.weight", "score.bias"]
LABELS = {"A": ("no", "yes"), "B": ("other", "same"), "C": ("x", "y", "z")}
CLASSES = sorted(label for own in LABELS.values() for label in own)


def texts(rng, number, row):
    """Texts in A and C, pairs in B."""
    first, second = (
        " ".join(f"w{12 * number + word}" for word in rng.integers(20, size=size))
        for size in rng.integers(1, 5, size=2)
    )
    labels = LABELS["ABC"[number]]
    pair = {"text_pair": second} if number == 1 else {}
    return {"text": first, **pair, "label": labels[row % len(labels)]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("upcycled")
    tiny.bert(folder / "bert", num_hidden_layers=BLOCKS)
    loops.write_texts(folder, texts)
    return folder


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
    """A BERT around mixtures; ``experts`` have its feed-forward networks, each the same."""

    def __init__(self, folder, dtype):
        self.dtype = dtype
        self.bert = BertModel.from_pretrained(folder, add_pooling_layer=False).to(dtype).eval()
        self.backbone = {f"bert.{name}": t for name, t in self.bert.state_dict().items()}
        self.bert.requires_grad_(False)
        self.mixtures, self.experts, self.running = [], {}, None
        for layer, block in enumerate(self.bert.encoder.layer[-LAYERS:]):
            for matrix, path in NETWORK.items():
                for name, tensor in block.get_submodule(path).named_parameters():
                    del self.backbone[f"bert.encoder.layer.{BLOCKS - LAYERS + layer}.{path}.{name}"]
                    for expert in ALL:
                        self.experts[f"expert.{expert}.{layer}.{matrix}.{name}"] = tensor.detach()
            self.mixtures.append(Mixture(layer))
            block.feed_forward_chunk = self.fed_forward(self.mixtures[-1], block.output.LayerNorm)

    def fed_forward(self, mixture, norm):
        return lambda x: norm(mixture(x, *self.running) + x)

    def hidden(self, weights, tokens, held=ALL, top=TOP):
        self.running = weights, held, top
        types = torch.tensor([[int(0 in row[:place]) for place in range(TOKENS)] for row in
                              tokens.tolist()])  # fmt: skip
        types[tokens < 0] = 0
        return self.bert(
            input_ids=tokens.clamp_min(0),
            attention_mask=(tokens >= 0).long(),
            token_type_ids=types,
        ).last_hidden_state

    def scores(self, weights, tokens, labels, held=ALL):
        """Mean loss, and the share of right answers."""
        hidden = self.hidden(weights, tokens, held)
        means = [row[real].mean(0) for row, real in zip(hidden, tokens >= 0, strict=True)]
        logits = linear(torch.stack(means), *(weights[name] for name in HEAD))
        right = logits.argmax(1) == labels
        return cross_entropy(logits, labels), right.double().mean()

    def given(self, tokens, gates):
        self.hidden(self.experts | gates, tokens, top=EXPERTS)
        return [mixture.given for mixture in self.mixtures]


def read(row):
    """Hashes of words; 0 stands between the texts of a pair, and -1 behind all."""
    found = loops.hashes(row["text"])
    found += [0, *loops.hashes(row["text_pair"])] if "text_pair" in row else []
    return found + [-1] * (TOKENS - len(found)), CLASSES.index(row["label"])


@pytest.mark.parametrize(
    "case",
    [
        Case("synchronous", "ABC", 0, "float64", 0.006, 0.5, 1e-6),
        Case("emsfl-enhanced", "ABC", 2, "float32", 0.006, 0.5, 1e-6),
    ],
    ids=lambda case: f"{case.method} {case.precision}",
)
@pytest.mark.quick(1)
def test_a_run_ends_with_the_weights_of_the_loop(folder, tmp_path, case):
    config = {
        "kind": "merged-bert", "moe_layers": LAYERS, "top_k": TOP, "tokenizer": "words",
        "checkpoints": [str(folder / "bert")], "experts_per_checkpoint": EXPERTS,
    }  # fmt: skip
    whole = {"lora": {"rank": None}, "trains_backbone": True}
    scenario = case.scenario(folder, config, {"tokens": TOKENS}, **whole)
    result = sim.run(scenario, tmp_path / "run")
    final = load_file(tmp_path / "run" / "model" / "model.safetensors")
    texts = loops.texts_of(folder, build(scenario).learner.task, "ABC", read)

    model = Upcycled(folder / "bert", getattr(torch, case.precision))
    trials = [own.trial for own in texts.values()]
    path = "bert.encoder.layer.{}.intermediate.gate"
    gates = loops.learnt_gates(path, EXPERTS, trials, model.given, model.dtype)
    shapes = {"weight": (len(CLASSES), HIDDEN), "bias": (len(CLASSES),)}
    head = {f"score.{n}": loops.drawn("score", n, s, model.dtype) for n, s in shapes.items()}
    own = {} if case.method == "synchronous" else loops.experts_of_clusters(result, DEVICES)
    models = loops.models_of(case, model.scores, texts, model.experts | gates | head, own)
    loops.compare(case, result, final, models, model.scores, texts, model.backbone, 0.004)
