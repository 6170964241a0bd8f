"""Sizes in closed form against the modules themselves, for every kind of model."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from learning import LearningConfig, ModelConfig
from learning.models import MODELS, Residency
from tests.kit.learning import (
    DataConfig,
    InputSpec,
    LoraConfig,
    Rows,
    Steps,
    architecture,
    measured_tensors,
    precision_of,
    pretraining_of,
    resolved,
    tensors_of,
)
from tests.kit.training import build_task, expert_of, is_gate, names_of, skeleton

TEXT = {"hidden": 32, "expert_hidden": 48, "layers": 2, "heads": 4, "kv_heads": 2}


def config_of(kind, *, data=None, **model):
    shape = resolved(ModelConfig(kind=kind, **model))
    return LearningConfig(1, ("a", "b"), (1, 1), shape, data or DataConfig())


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (80, 12, 8, 3), dtype=np.uint8)
    path = tmp_path / "images.npz"
    np.savez(
        path, x_train=x[:60], y_train=np.arange(60) % 3, x_test=x[60:], y_test=np.arange(20) % 3
    )
    return DataConfig(kind="npz", path=str(path), trial_samples=10)


def modules_shapes(config, spec):
    """Every tensor of the real module by stored name."""
    everything = Residency(tuple(range(config.model.experts)))
    model = skeleton(config, spec, MODELS.find(config.model.kind), everything)
    names = names_of(model)
    return {names.stored(path): tuple(p.shape) for path, p in model.named_parameters()}


def compare(config, spec):
    said, shapes = tensors_of(config), modules_shapes(config, spec)
    for layer in range(said.layers):
        assert shapes[f"gate.{layer}.weight"] == said.gate
        for name, shape in said.expert.items():
            assert shapes[f"expert.{config.model.experts - 1}.{layer}.{name}"] == shape
    gates = sum(is_gate(name) for name in shapes)
    experts = sum(expert_of(name) is not None for name in shapes)
    assert gates == said.layers
    assert experts == said.layers * config.model.experts * len(said.expert)
    backbone = {n: s for n, s in shapes.items() if expert_of(n) is None and not is_gate(n)}
    assert dict(said.backbone) == backbone


def test_the_vector_model():
    config = config_of("vector-moe", experts=3, hidden=16, expert_hidden=24, layers=2)
    compare(config, InputSpec("vector", (64,), 10, None))


def test_the_image_model_and_its_tokens(images):
    config = config_of("image-moe", data=images, experts=3, hidden=16, expert_hidden=8, layers=2)
    compare(config, InputSpec("image", (3, 12, 8), 3, None))
    assert architecture(config).rows == Rows(1, 3 * 2)


def test_a_mixtral_of_keys():
    config = config_of("mixtral", experts=4, top_k=2, vocabulary=50, **TEXT)
    compare(config, InputSpec("choices", (4, 2, 16), 4, 50))


def test_looking_at_a_model_finds_what_the_closed_form_says():
    config = config_of("vector-moe", experts=3, hidden=16, expert_hidden=24, layers=2)
    seen = measured_tensors(config, InputSpec("vector", (64,), 10, None))
    said = tensors_of(config)
    assert dict(seen.expert) == dict(said.expert)
    assert dict(seen.backbone) == dict(said.backbone)
    assert (seen.layers, seen.gate, set(seen.factored)) == (2, said.gate, set(said.factored))


@pytest.mark.parametrize(
    "lora", [LoraConfig(rank=2), LoraConfig(rank=3, targets=("down",)), LoraConfig(rank=None)]
)
@pytest.mark.parametrize("backbone", [False, True])
@pytest.mark.parametrize("upload_format", ["native", "int8"])
def test_the_bytes_of_an_upload_are_those_of_the_tensors_that_are_offered(
    lora, backbone, upload_format
):
    from tests.kit.training import offer, receive, start_model

    model = ModelConfig(experts=3, hidden=8, expert_hidden=6, layers=2, lora=lora)
    config = LearningConfig(
        1, ("a", "b"), (2, 1), model, trains_backbone=backbone, upload_format=upload_format
    )
    task, sizes = build_task(config), architecture(config)
    both = {"cluster": "a", "who": (True, True), "generation": (0, 0)}
    state = receive(task, start_model(task), None, experts=(0, 2), **both)
    offered = offer(task, state, experts=(0, 2), gate=True)
    listed = sizes.upload_tensors([0, 2], gate=True)
    names = {n.removeprefix("factor.").removeprefix("delta."): t for n, t in offered.items()}
    assert {tensor.name: tensor.shape for tensor in listed} == {
        name: tuple(tensor.shape[1:]) for name, tensor in names.items()
    }
    one = 1 if upload_format == "int8" else 4
    numbers = sum(tensor[0].numel() for tensor in offered.values())
    scales = 4 * len(offered) if upload_format == "int8" else 0
    assert sizes.upload_bytes([0, 2], gate=True) == one * numbers + scales


def test_what_the_paper_prints_for_experiment_1():
    """Table I and section V-A: 14.16 MB an expert, 43.3 MB in all, 22.55 GB less in memory."""
    config = config_of("llama-3-8b-x3", data=DataConfig(tokens=384))
    sizes = architecture(config)
    assert sizes.upload_bytes([0], gate=False) / 1e6 == pytest.approx(14.16, abs=0.005)
    assert sizes.upload_bytes([0, 1, 2], gate=True) / 1e6 == pytest.approx(43.25, abs=0.05)
    assert 2 * sizes.expert_bytes / 1e9 == pytest.approx(22.55, abs=0.005)
    own = sizes.round_cost([0], [0], gate=False, samples=1)
    everything = sizes.round_cost([0, 1, 2], [0, 1, 2], gate=True, samples=1)
    assert everything.expert_bytes - own.expert_bytes == 2 * sizes.expert_bytes


def test_lora_spares_the_gradients_of_what_is_frozen():
    small = ModelConfig(experts=2, hidden=8, expert_hidden=6, lora=LoraConfig(rank=2))
    whole = ModelConfig(experts=2, hidden=8, expert_hidden=6, lora=LoraConfig(rank=None))
    low, full = (
        architecture(LearningConfig(1, ("a",), (1,), m)).round_cost([0], [0], False, 10)
        for m in (small, whole)
    )
    backbone = 65 * 8 + 4 * 8 + 9 * 10
    expert, gate = 2 * 8 * 6 + 8 + 6, 2 * 8
    factors = 2 * 2 * (8 + 6)
    assert full.flops == 10 * (4 * (backbone + expert + gate) + 2 * expert)
    assert low.flops == 10 * (4 * (backbone + expert + gate + factors) + 2 * factors)


def test_a_question_costs_as_many_sequences_as_it_has_options(tmp_path):
    """One option is in memory at a time in the estimate; all are computed."""
    lines = [
        {"question": f"is {n} odd", "options": ["yes", "no", "?"], "answer": n % 2}
        for n in range(90)
    ]
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    data = DataConfig(kind="jsonl", path=str(path), tokens=16, trial_samples=5)
    config = config_of("mixtral", data=data, experts=2, vocabulary=400, top_k=1, **TEXT)
    sizes = architecture(config)
    assert sizes.rows == Rows(3, 16)
    one = replace(sizes, rows=Rows(1, 16))
    cost, single = (s.round_cost([0], [0], False, 8) for s in (sizes, one))
    assert cost.flops == 3 * single.flops
    assert cost.memory_bytes == single.memory_bytes


def test_flops_are_those_that_torch_counts():
    """Experts, gate, head and the backbone's linear maps of a text model; scores left out."""
    from torch.utils.flop_counter import FlopCounterMode

    config = config_of("mixtral", experts=2, vocabulary=50, top_k=1, **TEXT)
    spec = InputSpec("choices", (4, 2, 16), 4, 50)
    model = skeleton(config, spec, MODELS.find("mixtral"), Residency((0,)))
    model.to_empty(device="cpu").eval()
    x = torch.zeros(3, 4, 2, 16, dtype=torch.int64)
    x[:, :, 1, 1:] = 1
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(x)
    counted = counter.get_total_flops()
    sizes = replace(architecture(config), rows=Rows(4, 16), lora=LoraConfig(rank=None))
    forward = sizes.round_cost([], [0], False, 3).flops / 2
    scores = 2 * 2 * 3 * 4 * 2 * 16 * 16 * 32
    assert forward - scores < counted <= forward + scores


def test_memory_counts_weights_factors_gradients_and_one_sequence():
    config = config_of("mixtral", experts=3, vocabulary=50, top_k=2, **TEXT)
    config = replace(config, model=replace(config.model, lora=LoraConfig(rank=2)))
    sizes = replace(architecture(config), rows=Rows(4, 16))
    expert, gate = 2 * 3 * 32 * 48, 2 * 3 * 32
    attention = 2 * (32 * 32 + 2 * 16 * 32 + 32 * 32 + 2 * 32)
    backbone = 2 * 50 * 32 + 32 + attention
    factors = 2 * 3 * 2 * (32 + 48)
    maps = 2 * (4 * 32 + 2 * (32 + 16) + 3 + 32 + 3 * (32 + 48)) + 50 + 32
    own = sizes.round_cost([1], [1], gate=True, samples=7)
    assert own.memory_bytes == 4 * (expert + gate + backbone + 2 * factors + gate + 16 * maps)
    assert own.expert_bytes == 4 * expert


def test_a_rank_above_the_smallest_matrix_and_unknown_targets_are_refused():
    def sizes(**lora):
        model = ModelConfig(experts=2, hidden=16, expert_hidden=6, lora=LoraConfig(**lora))
        return architecture(LearningConfig(1, ("a",), (1,), model))

    assert sizes(rank=6).tuned_parameters == 2 * 6 * (16 + 6)
    with pytest.raises(ValueError, match=r"rank is 7.* at most 6, or null"):
        sizes(rank=7)
    with pytest.raises(ValueError, match=r"targets names 'w1'.* down, up"):
        sizes(targets=("w1",))


def test_what_goes_down_is_experts_gate_and_a_backbone_that_is_trained():
    model = ModelConfig(experts=2, hidden=16, expert_hidden=6)
    frozen, trained = (
        architecture(LearningConfig(1, ("a",), (1,), model, trains_backbone=backbone))
        for backbone in (False, True)
    )
    expert, gate = 2 * 16 * 6 + 16 + 6, 2 * 16
    backbone = 65 * 16 + 4 * 16 + 17 * 10
    assert frozen.download_bytes([0, 1], gate=True) == 4 * (2 * expert + gate)
    assert trained.download_bytes([0, 1], gate=True) == 4 * (2 * expert + gate + backbone)
    assert trained.download_bytes([0], gate=False) == 4 * expert


@pytest.mark.parametrize(("stored", "kept"), [("float16", "bfloat16"), ("float32", "float32")])
def test_a_checkpoint_is_kept_in_what_it_says(tmp_path, stored, kept):
    config = {"model_type": "mixtral", "torch_dtype": stored}
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = ModelConfig(kind="mixtral", checkpoints=(str(tmp_path),))
    assert precision_of(LearningConfig(1, ("a",), (1,), model)) == kept


def test_text_kinds_pretrain_their_gate_as_the_paper_does_and_small_ones_everything():
    kinds = {kind: pretraining_of(config_of(kind)) for kind in ("llama-3-8b-x3", "vector-moe")}
    assert kinds["llama-3-8b-x3"] == Steps(0, 0, 60)
    assert kinds["vector-moe"] == Steps(150, 60, 60)
