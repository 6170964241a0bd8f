"""Merged Llama models as they are trained at full size: sixteen bits, bases by reference."""

import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from learning import Learner
from tests.kit import tiny_checkpoints as tiny
from tests.kit.learning import (
    Data,
    DeviceState,
    InputSpec,
    LearningConfig,
    Lora,
    ModelConfig,
    Pretraining,
    footprint,
    kinds,
    pretrained_at_once,
)
from tests.kit.rounds import cycle, downloaded, merged
from tests.kit.rounds import trained as after_rounds
from tests.kit.training import (
    LocalRounds,
    Residency,
    TrainedPart,
    evaluation,
    held_state,
    skeleton,
)

EXPERTS = [0, 1]
TOKENS = 9
STEPS = Pretraining(gate_steps=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two Llama models, and texts whose words mostly belong to a class."""
    folder = tmp_path_factory.mktemp("merged")
    tiny.llamas(folder, 2, initializer_range=0.1)
    rng = np.random.default_rng(0)
    lines = []
    for number in range(240):
        label = number % 4
        words = 10 * np.where(rng.random(8) < 0.8, label, 4) + rng.integers(10, size=8)
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
        learner = learner_of(folder, precision, devices=1, steps_per_round=8)
        states = {}
        server = learner.start()
        before[precision] = loss_of(learner, server)
        for number in range(20):
            server = cycle(learner, server, number, states, scale=0.1, gate=False)
        after[precision] = loss_of(learner, server)
    assert after["bfloat16"] == pytest.approx(after["float32"], rel=0.02)
    fallen = {precision: before[precision] - after[precision] for precision in before}
    assert fallen["float32"] > 0.05
    assert fallen["bfloat16"] == pytest.approx(fallen["float32"], rel=0.05)


def test_what_is_trained_is_kept_in_single_precision_and_sent_in_sixteen_bits(folder):
    learner = learner_of(folder)
    server = learner.start()
    assert {t.dtype for t in learner.force(server).values()} == {torch.bfloat16}
    state = after_rounds(downloaded(learner, server))
    formats = {name: tensor.dtype for name, tensor in learner.force(state.whole).items()}
    own = {name: kind for name, kind in formats.items() if not name.startswith(".base.")}
    assert set(own.values()) == {torch.float32}
    assert {kind for name, kind in formats.items() if name not in own} == {torch.bfloat16}
    sent = learner.force(state.offer(EXPERTS, gate=True))
    assert {tensor.dtype for tensor in sent.values()} == {torch.bfloat16}


@pytest.mark.wide
def test_pieces_of_a_minibatch_and_recomputed_layers_give_the_same_gradients(folder):
    """Of a text model, device by device, and of a small one, all devices at once."""
    digits = LearningConfig(3, ("a", "b"), (2, 2), ModelConfig(experts=2), clip_norm=0.5)
    same = {"batch_size": 8, "steps_per_round": 2, "step_size": 0.1}
    untrained = Pretraining(gate_steps=0)  # of which pieces are summed otherwise
    ends = []
    for more in (
        {},
        *({"micro_batch": size} for size in (1, 2, 8)),
        {"checkpoint_activations": True},
    ):
        small = Learner(replace(digits, **(same | more)))
        text = learner_of(folder, "float32", **same, **more).config
        learners = Learner(replace(text, pretraining=untrained)), small
        ends += [one.force(after_rounds(downloaded(one, one.start())).whole) for one in learners]
    for number, end in enumerate(ends):
        for name, tensor in ends[number % 2].items():
            torch.testing.assert_close(end[name], tensor, rtol=0, atol=1e-7, msg=name)


@pytest.mark.wide
def test_the_server_trains_the_same_before_time_begins_however_few_samples_it_takes_at_once(
    folder, tmp_path
):
    """Texts of different lengths: what a gate loses counts by token, what the task does by text."""
    rng = np.random.default_rng(1)
    lines = []
    for number in range(120):
        words = map("w{}".format, rng.integers(40, size=rng.integers(1, 9)))
        lines.append({"text": " ".join(words), "label": number % 4})
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    data = Data("jsonl", str(tmp_path / "texts.jsonl"), tokens=TOKENS, trial_samples=20)
    config = replace(
        learner_of(folder, "float32").config,
        data=data,
        pretraining=Pretraining(expert_steps=2, gate_steps=3),
    )
    starts = []
    for more in ({}, {"micro_batch": 5}, {"checkpoint_activations": True, "micro_batch": 1}):
        learner = Learner(replace(config, **more))
        starts.append(learner.force(learner.start()))
    whole, *others = starts
    for other in others:
        assert any(not torch.equal(other[name], whole[name]) for name in whole)
        for name, tensor in whole.items():
            torch.testing.assert_close(other[name], tensor, rtol=0, atol=1e-6, msg=name)


def test_what_the_server_trains_before_time_begins_does_not_grow_beyond_a_bound(folder):
    """Of many tokens so few samples are taken at once that they fit; of few all of them are."""
    config = learner_of(folder).config
    small, large = (
        replace(config, data=replace(config.data, tokens=tokens)) for tokens in (TOKENS, 8192)
    )
    assert pretrained_at_once(small, "gate") == 64
    few = pretrained_at_once(large, "gate")
    assert 1 <= few < 64
    by_origin = replace(large, pretraining=Pretraining(gate_steps=2, gate_loss="origin"))
    assert pretrained_at_once(by_origin, "gate") > few


@pytest.mark.wide
def test_devices_refer_to_the_servers_tensors_and_results_are_as_large_as_factors(
    capsys, monkeypatch
):
    """Peaks are what torch allocates; beside the activations of a step there are factors alone."""
    script = Path(__file__).parents[1] / "benchmarks" / "bench_memory.py"
    monkeypatch.setattr(sys, "argv", [str(script), "small"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    runpy.run_path(str(script), run_name="__main__")
    one, ten = json.loads(capsys.readouterr().out.splitlines()[-1]).values()
    for row in (one, ten):
        assert row["result"] <= 1.1 * row["factors"] and row["on disk"] <= 1.1 * row["factors"]
        assert row["cycles"] - row["plain step"] <= 5 * row["factors"] + 0.01 * row["model"]
        # Factors of two versions, two states and an offer; the bases are the run's start.
        assert row["checkpoint"] <= 5 * row["factors"] + 0.01 * row["model"]
        assert row["its CPU, ms"] < 1000
    assert one["cycles"] <= one["plain step"] + 0.1 * one["model"]


@pytest.mark.wide
def test_what_the_server_adds_stays_in_factors_until_these_would_be_larger(folder):
    """The model with factors beside its matrices is that with both in single precision."""
    learner = learner_of(folder, rank=1)
    start = server = learner.start()
    forms = []
    for number in range(9):
        server = cycle(learner, server, number, scale=0.1)
        tensors = learner.force(server)
        first = learner.force(start)
        matrix = "expert.1.0.up.weight"
        forms.append(matrix + "+a" in tensors)
        assert forms[-1] == (tensors[matrix] is first[matrix])
        if forms[-1]:
            kinds = {tensors[matrix + factor].dtype for factor in ("", "+a", "+b")}
            assert kinds == {torch.bfloat16}
            full = replace(learner.task, config=replace(learner.config, precision="float32"))
            found = evaluation.evaluate(full, tensors)[0]["loss"]
            made = evaluation.evaluate(full, held_state.whole(full, tensors))
            assert found == pytest.approx(made[0]["loss"])
    assert forms == [True] * 4 + [False] * 5  # rank 4 a cycle; 32 x 40 numbers are 17 ranks


def test_factors_in_sixteen_bits_add_what_the_devices_products_add(folder):
    """To 1e-5 of weights of 0.1: a product is rounded once, and many of them are not together."""
    learner = learner_of(folder, rank=1)
    server = learner.start()
    matrix = "expert.1.0.up.weight"
    exact = learner.force(server)[matrix].double()
    share = torch.tensor(learner.samples()[0]).double()
    share /= share.sum()
    added = learner.config.model.lora.scale * 0.1
    for number in range(4):
        state = downloaded(learner, server, number=number)
        state = after_rounds(state, first=number, gate=False)
        sent = state.offer(EXPERTS, gate=False)
        a, b = (learner.force(sent)[f"expert.1.0.up.weight+{f}"].double() for f in "ab")
        exact = exact + added * torch.einsum("k,kor,kri->oi", share, b, a)
        server = merged(server, state, scale=0.1, gate=False)
    found = learner.force(server)
    assert matrix + "+a" in found
    whole = held_state.whole(learner.task, found)[matrix].double()
    start = learner.force(learner.start())[matrix].double()
    assert (exact - start).abs().max() > 1e-4
    torch.testing.assert_close(whole, exact, rtol=0, atol=1e-5)


def test_three_models_of_eight_billion_are_counted_as_they_would_be_made():
    """Parameters and bytes of the module on torch's device "meta", which allocates nothing."""
    config = kinds.resolved_task(
        LearningConfig(1, ("a",), (5,), ModelConfig("llama-3-8b-x3"), data=Data("digits"))
    )
    made = skeleton(config, InputSpec("choices", (4, 2, 384), 4, 128_256), Residency((0, 1, 2)))
    tensors = list(made.parameters())
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    found = footprint(config, cycles=60, versions=3, own_experts=True)
    assert found.parameters == sum(tensor.numel() for tensor in tensors) == 19_304_943_616
    assert found.model == sum(tensor.numel() * 2 for tensor in tensors)


@pytest.mark.wide
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_devices_that_hold_different_versions_train_from_their_own(folder, precision):
    """Two devices with one version each end where two clusters of both versions do."""
    learner = learner_of(folder, precision)
    both = np.ones(2, bool)
    none = np.zeros(2, np.int64)
    first = learner.start()
    second = cycle(learner, first, scale=0.1)

    def trained(state):
        state = state.train(LocalRounds("a", none + 1, none), TrainedPart([0], gate=True))
        state = state.commit(both, none + 7, [0], gate=False)
        return state.train(LocalRounds("a", none + 1, none + 1), TrainedPart(EXPERTS, gate=True))

    old, new = (downloaded(learner, server) for server in (first, second))
    mixed = DeviceState.load(learner, second, old, "a", np.array([False, True]), EXPERTS, none)
    assert mixed.servers == (first, second)
    expected = [learner.values.force(trained(state).own) for state in (old, new)]
    found = learner.values.force(trained(mixed).own)
    for device, own in enumerate(expected):
        assert own.keys() == found.keys()
        for name, tensor in own.items():
            assert torch.equal(found[name][device], tensor[device]), name
    assert not any(".base.expert" in name for name in found)
