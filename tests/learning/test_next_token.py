"""Each next token as what is learnt, by merged Llamas of which the last block alone has experts.

``tests/truth/test_merged_llama_loop.py`` compares whole runs with a plain loop.
"""

import json
from dataclasses import replace

import numpy as np
import pytest

from learning.data import load_samples
from tests.kit import tiny_checkpoints as tiny
from tests.kit.inner.learning import (
    TASKS,
    Data,
    FrozenDict,
    InputSpec,
    Learner,
    LearningConfig,
    Lora,
    MixtralMoE,
    Pretraining,
    embedding,
)
from tests.kit.rounds import cycle

TOKENS = 9


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two Llamas of four layers, and texts of two to twelve words of each cluster."""
    folder = tmp_path_factory.mktemp("continued")
    tiny.llamas(folder, 2, num_hidden_layers=4, initializer_range=0.1)
    rng = np.random.default_rng(3)
    words = [" ".join(f"w{word}" for word in rng.integers(40, size=n)) for n in range(2, 13)] * 8
    write(folder, *[{"text": text} for text in words])
    return folder


def write(folder, *rows):
    for name, part in zip("ab", np.array_split(rows, 2), strict=True):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, part)))


def config_of(folder, texts=None, moe_layers=1, **keys):
    paths = FrozenDict({name: str((texts or folder) / f"{name}.jsonl") for name in "ab"})
    data = Data("jsonl", paths=paths, tokens=TOKENS, trial_samples=4, objective="next_token")
    model = replace(tiny.merged_config(folder, 2), tokenizer="words", lora=Lora(rank=2))
    keys = {"step_size": 0.05, "steps_per_round": 2, "batch_size": 8} | keys
    return LearningConfig(
        3, ("a", "b"), (1, 1), replace(model, moe_layers=moe_layers), data=data,
        pretraining=Pretraining(gate_steps=0), **keys,
    )  # fmt: skip


def test_questions_are_learnt_with_their_right_option(tmp_path, folder):
    asked = {"question": "w1 w2", "options": ["w3", "w4 w5"], "answer": 1}
    arrays = []
    for row in (asked, {"text": "w1 w2\nw4 w5"}):
        write(tmp_path, *[row] * 40)
        arrays.append(load_samples(config_of(folder, tmp_path)).test["a"].x)
    np.testing.assert_array_equal(*arrays)
    assert ((arrays[0] >= 0).sum(1) == 4).all()


def losses_of(config):
    """What is lost after a cycle, and the shares of experts."""
    learner = Learner(config)
    server = cycle(learner, learner.start(), scale=0.5)
    shares = np.ravel(learner.relevance(server))
    return [*(score["loss"] for score in learner.evaluate(server)), *shares]


def test_only_layers_with_experts_count_as_such(folder):
    """Of two experts and a gate in a block below one feed-forward network is left."""
    part, whole = (Learner(config_of(folder, moe_layers=n)).architecture for n in (1, None))
    assert whole.tuned_parameters == 4 * part.tuned_parameters
    model = tiny.skeleton(part.config.model, InputSpec("next_token", (TOKENS,), 1, 61))
    assert sum(p.numel() for p in model.parameters()) == part.parameters


def test_blocks_without_experts_run_once(folder, monkeypatch):
    """What is too much to be kept is found once too; runs that differ in rounds alone share it."""
    runs, before = [], MixtralMoE.before_experts
    monkeypatch.setattr(
        MixtralMoE, "before_experts", lambda model, x: runs.append(len(x)) or before(model, x)
    )
    samples = load_samples(config_of(folder))
    shards = (shard for own in samples.shards.values() for shard in own)
    once = sum(len(p.y) for p in (*samples.test.values(), *samples.trial.values(), *shards))
    found = {}
    for largest in (embedding.LARGEST_OF_BLOCKS, 0):
        monkeypatch.setattr(embedding, "LARGEST_OF_BLOCKS", largest)
        TASKS.clear()
        runs.clear()
        sizes = (0.3, 0.1, 0.3)
        found[largest] = [losses_of(config_of(folder, step_size=s, clip_norm=s)) for s in sizes]
        assert sum(runs) == once
        assert found[largest][0] == found[largest][2] != found[largest][1]
    np.testing.assert_allclose(*found.values(), rtol=0, atol=1e-6)
