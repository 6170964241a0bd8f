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
    Data,
    FrozenDict,
    InputSpec,
    Learner,
    LearningConfig,
    Lora,
    Pretraining,
)
from tests.kit.training import LocalRounds, TrainedPart, Weighing

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
    for own, ids in zip(logits, following, strict=True):
        kept = ids >= 0
        lost = functional.cross_entropy(own[kept], ids[kept])
        found.append([lost, (own[kept].argmax(-1) == ids[kept]).float().mean()])
    return torch.tensor(found)


@torch.no_grad()
def test_surprise_and_rightness_are_hugging_faces(folder):
    model = AutoModelForCausalLM.from_pretrained(folder / "0", local_files_only=True).eval()
    torch.manual_seed(0)
    tokens = torch.randint(0, 61, (6, TOKENS))
    tokens[1, 4:] = tokens[2, 2:] = -1
    gates = {f"model.layers.{layer}.mlp.gate.weight": torch.zeros(1, 32) for layer in range(2)}
    one = tiny.loaded(tiny.merged_config(folder, 1), SPEC, **gates)
    torch.testing.assert_close(one(tokens), theirs(model, tokens), rtol=0, atol=1e-5)


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


def cycle(learner, server, states, number):
    """Both clusters download all, train a round, and upload."""
    who, none = np.ones(1, bool), np.zeros(1, int)
    for name in learner.config.clusters:
        state = learner.load(server, states.get(name), name, who, [0, 1], none + number)
        state = learner.train(
            state, LocalRounds(name, none + 1, none + number), TrainedPart([0, 1], gate=True)
        )
        sent = learner.offer(state, [0, 1], gate=True)
        states[name] = learner.commit(state, name, who, none + number + 1, [0, 1], gate=True)
        server = learner.aggregate(server, sent, [0, 1], Weighing(name, who, scale=0.5), gate=True)
    return server


def test_training_lowers_the_loss_and_pieces_do_not_count(folder):
    scores = {}
    for pieces in ({}, {"micro_batch": 3}, {"micro_batch": 3, "checkpoint_activations": True}):
        learner = Learner(config_of(folder, **pieces))
        server, states = learner.start(), {}
        before = np.mean([score["loss"] for score in learner.evaluate(server)])
        for number in range(3):
            server = cycle(learner, server, states, number)
        scores[tuple(pieces)] = [score["loss"] for score in learner.evaluate(server)]
        assert np.mean(scores[tuple(pieces)]) < before - 0.05
    first, *others = scores.values()
    for other in others:
        np.testing.assert_allclose(other, first, rtol=0, atol=1e-5)
