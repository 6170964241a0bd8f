"""Merged Llama models as they are trained at full size: sixteen bits, bases by reference."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from learning import Learner
from tests.kit import tiny_checkpoints as tiny
from tests.kit.inner.learning import (
    Data,
    LearningConfig,
    Lora,
    ModelConfig,
    Pretraining,
    held_state,
    pretrained_at_once,
)
from tests.kit.rounds import committed, cycle, downloaded, merged, moved
from tests.kit.rounds import trained as after_rounds
from tests.learning import peak_memory

EXPERTS = [0, 1]
TOKENS = 9
STEPS = Pretraining(gate_steps=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two Llama models, and texts of 4 or 8 words that mostly belong to a class."""
    folder = tmp_path_factory.mktemp("merged")
    tiny.llamas(folder, 2, initializer_range=0.1)
    rng = np.random.default_rng(0)
    lines = []
    for number in range(240):
        label = number % 4
        length = 4 if number % 16 < 4 else 8
        words = 10 * np.where(rng.random(length) < 0.8, label, 4) + rng.integers(10, size=length)
        lines.append({"text": " ".join(map("w{}".format, words)), "label": label})
    (folder / "texts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


def learner_of(folder, precision="bfloat16", rank=2, devices=2, **keys):
    lora = Lora(rank=rank, **keys.pop("lora", {}))
    model = replace(tiny.merged_config(folder, 2), tokenizer="words", lora=lora)
    data = Data("jsonl", str(folder / "texts.jsonl"), tokens=TOKENS, trial_samples=8)
    keys = {"step_size": 0.02, "steps_per_round": 2, "batch_size": 8} | keys
    clusters = {"clusters": ("a", "b"), "devices": (devices, devices)}
    return Learner(
        LearningConfig(3, **clusters, model=model, data=data, precision=precision,
                       pretraining=STEPS, **keys)
    )  # fmt: skip


def loss_of(learner, server):
    return np.mean([score["loss"] for score in learner.evaluate(server)])


@pytest.mark.wide
def test_small_changes_survive_sixteen_bits(folder):
    """A weight of 0.1 has a spacing of 5e-4 in bfloat16; what a cycle adds is far below it."""
    before = {}
    after = {}
    for precision in ("float32", "bfloat16"):
        learner = learner_of(folder, precision, devices=1, steps_per_round=8, step_size=0.08)
        states = {}
        server = learner.start()
        before[precision] = loss_of(learner, server)
        for number in range(6):
            server = cycle(learner, server, number, states, scale=0.1, gate=False)
        after[precision] = loss_of(learner, server)
    assert after["bfloat16"] == pytest.approx(after["float32"], rel=0.02)
    fallen = {precision: before[precision] - after[precision] for precision in before}
    assert fallen["float32"] > 0.05
    assert fallen["bfloat16"] == pytest.approx(fallen["float32"], rel=0.05)


@pytest.mark.wide
def test_devices_refer_to_the_servers_tensors_and_results_are_as_large_as_factors(tmp_path):
    """Peaks are what torch allocates; beside the activations of a step there are factors alone."""
    peak_memory.write(tmp_path)
    one, ten = (peak_memory.measured(tmp_path, devices) for devices in (1, 10))
    for row in (one, ten):
        assert row["result"] <= 1.1 * row["factors"] and row["on disk"] <= 1.1 * row["factors"]
        assert row["cycles"] - row["plain step"] <= 5 * row["factors"] + 0.01 * row["model"]
        # Factors of two versions, two states and an offer; the bases are the run's start.
        assert row["checkpoint"] <= 5 * row["factors"] + 0.01 * row["model"]
        assert row["its CPU, ms"] < 1000
    assert one["cycles"] <= one["plain step"] + 0.1 * one["model"]


def test_what_the_server_adds_stays_in_factors_until_these_would_be_larger(folder):
    """To 1e-5 of weights of 0.1: a product is rounded once, and many of them are not together."""
    learner = learner_of(folder, rank=1)
    start = server = learner.start()
    matrix = "expert.1.0.up.weight"
    exact = first = learner.force(start)[matrix].double()
    share = torch.tensor(learner.samples()[0]).double()
    added = learner.config.model.lora.scale * 0.1 * share / share.sum()
    forms = []
    for number in range(9):
        state = after_rounds(downloaded(learner, server, number=number), 1, number, gate=False)
        sent = learner.force(state.offer(EXPERTS, gate=False))
        a, b = (sent[f"{matrix}+{factor}"].double() for factor in "ab")
        exact = exact + torch.einsum("k,kor,kri->oi", added, b, a)
        server = merged(server, state, scale=0.1, gate=False)
        found = learner.force(server)
        forms.append(matrix + "+a" in found)
        if forms[-1]:
            assert found[matrix] is learner.force(start)[matrix]
            assert {found[matrix + factor].dtype for factor in ("", "+a", "+b")} == {torch.bfloat16}
            whole = held_state.whole(learner.task, found)[matrix].double()
            torch.testing.assert_close(whole, exact, rtol=0, atol=1e-5)
    assert forms == [True] * 8 + [False]  # rank 2 a round; 32 x 40 numbers are 17 ranks
    assert (exact - first).abs().max() > 1e-4


PIECES = [*({"micro_batch": size} for size in (1, 3, 8)), {"checkpoint_activations": True}]


@pytest.mark.wide
def test_pieces_of_a_minibatch_and_recomputed_layers_give_the_same_gradients(folder):
    """Of a text model, device by device, and of a small one, all devices at once.

    What the server trains before time begins is alike too: what a gate loses counts by token, what
    the task does by text.
    """
    same = {"batch_size": 8, "steps_per_round": 2, "step_size": 0.1}
    text = replace(
        learner_of(folder, "float32", **same).config,
        pretraining=Pretraining(expert_steps=2, gate_steps=3),
    )
    small = LearningConfig(3, ("a", "b"), (2, 2), ModelConfig(experts=2), clip_norm=0.5, **same)
    for config in (text, small):
        ends = []
        for more in ({}, *PIECES):
            learner = Learner(replace(config, **more))
            state = after_rounds(downloaded(learner, learner.start()))
            ends.append(learner.force(state.whole))
        for end in ends[1:]:
            for name, tensor in ends[0].items():
                torch.testing.assert_close(end[name], tensor, rtol=0, atol=1e-6, msg=name)


@pytest.mark.wide
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_devices_that_hold_different_versions_train_from_their_own(folder, precision):
    """Two devices with one version each end where two clusters of both versions do."""
    learner = learner_of(folder, precision)
    first = learner.start()
    second = cycle(learner, first, scale=0.1)

    def ends(state):
        state = committed(after_rounds(state, experts=[0]), 7, gate=False)
        return learner.force(after_rounds(state, 1, 1).own)

    old, new = (downloaded(learner, server) for server in (first, second))
    mixed = downloaded(learner, second, old, who=(False, True))
    assert mixed.servers == (first, second)
    found = ends(mixed)
    for device, own in enumerate((ends(old), ends(new))):
        assert own.keys() == found.keys()
        assert moved(own, found, device) == set()
    assert not any(".base.expert" in name for name in found)


def test_of_many_tokens_the_server_takes_few_samples_at_once_before_time_begins(folder):
    config = learner_of(folder).config
    large = replace(config, data=replace(config.data, tokens=8192))
    assert pretrained_at_once(config, "gate") == 64 > pretrained_at_once(large, "gate") >= 1
