"""Each next token as what is learnt, against Hugging Face and a plain loop."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM

from learning.data import load_samples
from tests.kit import tiny_checkpoints as tiny
from tests.kit.learning import (
    TASKS,
    Data,
    FrozenDict,
    InputSpec,
    Learner,
    LearningConfig,
    Lora,
    Pretraining,
)
from tests.kit.rounds import cycle
from tests.kit.training import MixtralMoE, embedding

TOKENS = 9
SPEC = InputSpec("next_token", (TOKENS,), 1, 61)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two Llamas, and texts of two to twelve words; the last ones are questions with options."""
    folder = tmp_path_factory.mktemp("continued")
    tiny.llamas(folder, 2, initializer_range=0.1)
    rng = np.random.default_rng(3)
    words = [" ".join(f"w{word}" for word in rng.integers(40, size=n)) for n in range(2, 13)] * 8
    for name, part in (("a", words[:44]), ("b", words[44:])):
        rows = [{"text": text} for text in part]

        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def config_of(folder, **keys):
    data = Data(
        "jsonl",
        paths=FrozenDict({name: str(folder / f"{name}.jsonl") for name in "ab"}),
        tokens=TOKENS,
        trial_samples=4,
        objective="next_token",
    )
    model = replace(tiny.merged_config(folder, 2), tokenizer="words", lora=Lora(rank=2))
    keys = {"step_size": 0.05, "steps_per_round": 2, "batch_size": 8} | keys
    return LearningConfig(
        3,
        clusters=("a", "b"),
        devices=(1, 1),
        model=keys.pop("model", model),
        data=keys.pop("data", data),
        pretraining=keys.pop("pretraining", Pretraining(gate_steps=0)),
        **keys,
    )


def theirs(model, tokens):
    """Mean surprise and rightness of each text (n, 2), by Hugging Face's model."""
    logits = model(tokens.clamp_min(0), attention_mask=(tokens >= 0).long()).logits[:, :-1]
    following = tokens[:, 1:]
    found = []
    for own, ids, before in zip(logits, following, tokens[:, :-1], strict=True):
        kept = (ids >= 0) & (before >= 0)
        lost = functional.cross_entropy(own[kept], ids[kept])
        found.append([lost, (own[kept].argmax(-1) == ids[kept]).float().mean()])
    return torch.tensor(found)


def test_questions_are_learnt_with_their_right_option(tmp_path, folder):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    asked = {"question": "w1 w2", "options": ["w3", "w4 w5"], "answer": 1}
    plain = {"text": "w1 w2\nw4 w5"}
    arrays = []
    for row in (asked, plain):
        for name in "ab":
            (tmp_path / f"{name}.jsonl").write_text("\n".join([json.dumps(row)] * 20))
        arrays.append(load_samples(config_of(tmp_path)).test["a"].x)
    np.testing.assert_array_equal(*arrays)
    assert ((arrays[0] >= 0).sum(1) == 4).all()


def test_pieces_of_a_minibatch_do_not_count(folder):
    """Texts of different lengths, of which each token counts alike."""
    scores = []
    for pieces in ({}, {"micro_batch": 3}, {"micro_batch": 3, "checkpoint_activations": True}):
        learner = Learner(config_of(folder, **pieces))
        server = cycle(learner, learner.start(), scale=0.5)
        scores.append([score["loss"] for score in learner.evaluate(server)])
    for other in scores[1:]:
        np.testing.assert_allclose(other, scores[0], rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def deep(tmp_path_factory, folder):
    """Two Llamas of four layers, and the same texts."""
    deep = tmp_path_factory.mktemp("deep")
    shutil.copytree(folder, deep, dirs_exist_ok=True)
    tiny.llamas(deep, 2, num_hidden_layers=4, initializer_range=0.1)
    return deep


def deep_config(folder, **keys):
    base = config_of(folder)
    return replace(base, model=replace(base.model, moe_layers=1), **keys)


@torch.no_grad()
@pytest.mark.parametrize("spec", [SPEC, tiny.CHOICES, tiny.TEXT], ids=lambda spec: spec.form)
def test_blocks_without_experts_are_those_of_the_first_checkpoint(deep, spec):
    """With one expert all is Hugging Face's, in one pass and in two."""
    shape = replace(tiny.merged_config(deep, 1), moe_layers=1)
    others = {"model.layers.3.mlp.gate.weight": torch.zeros(1, 32)}
    torch.manual_seed(0)
    if spec is tiny.TEXT:
        others["score.weight"] = torch.randn(5, 32)
    split = tiny.loaded(shape, spec, **others)
    tokens = torch.randint(0, 61, (6, TOKENS))
    tokens[1, 4:] = tokens[2, 2:] = tokens[3, :5] = -1  # behind a text, and before one
    x = tokens
    if spec is tiny.CHOICES:
        marks = (torch.rand(6, 3, TOKENS) > 0.5).long()
        x = torch.stack([tokens[:, None].expand(6, 3, TOKENS), marks], 2)
    below = split.before_experts(x)
    torch.testing.assert_close(split.after_embedding(*below), split(x), rtol=0, atol=1e-6)
    if spec is SPEC:
        model = AutoModelForCausalLM.from_pretrained(deep / "0", local_files_only=True).eval()
        torch.testing.assert_close(split(x), theirs(model, tokens), rtol=0, atol=1e-5)


def test_only_layers_with_experts_count_as_such(deep):
    """Of two experts and a gate in a block below one feed-forward network is left."""
    part = Learner(deep_config(deep)).architecture
    whole = Learner(replace(part.config, model=config_of(deep).model)).architecture
    assert whole.tuned_parameters == 4 * part.tuned_parameters
    model = tiny.skeleton(part.config.model, SPEC)
    assert sum(p.numel() for p in model.parameters()) == part.parameters


@pytest.fixture
def rows_below(monkeypatch):
    """Count the samples that are run through blocks without experts."""
    runs, before = [], MixtralMoE.before_experts
    monkeypatch.setattr(
        MixtralMoE, "before_experts", lambda model, x: runs.append(len(x)) or before(model, x)
    )
    TASKS.clear()
    return runs


@pytest.mark.parametrize("largest", [embedding.LARGEST_OF_BLOCKS, 0])
def test_blocks_without_experts_run_once(deep, monkeypatch, rows_below, largest):
    """What is too much to be kept is found once too; runs that differ in rounds alone share it."""
    monkeypatch.setattr(embedding, "LARGEST_OF_BLOCKS", largest)
    samples = load_samples(deep_config(deep))
    shards = (shard for own in samples.shards.values() for shard in own)
    once = sum(len(p.y) for p in (*samples.test.values(), *samples.trial.values(), *shards))
    ends = []
    for step_size in (0.3, 0.1, 0.3):
        learner = Learner(deep_config(deep, step_size=step_size, clip_norm=step_size))
        server = cycle(learner, learner.start(), scale=0.5)
        learner.relevance(server)
        ends.append([score["loss"] for score in learner.evaluate(server)])
        assert sum(rows_below) == once
    assert ends[0] == ends[2] != ends[1]
