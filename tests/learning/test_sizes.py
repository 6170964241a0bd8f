"""Sizes in closed form: against the modules themselves, and against published figures."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from learning import Learner, LearningConfig, ModelConfig
from learning.architecture import kinds
from learning.architecture.costs import architecture
from learning.data.samples import InputSpec
from learning.models import Residency
from learning.models.build import skeleton
from learning.models.custom import measured_tensors
from learning.settings import Data, Lora, Pretraining
from tests.kit.rounds import downloaded

TEXT = {"hidden": 32, "expert_hidden": 48, "layers": 2, "heads": 4, "kv_heads": 2}
TEXT |= {"vocabulary": 50}
LLAMA = {"kind": "llama-3-8b-x3", "data": Data(tokens=384)}


def config_of(kind="vector-moe", *, data=None, **model):
    shape = kinds.resolved(ModelConfig(kind=kind, **model))
    return LearningConfig(1, ("a", "b"), (1, 1), shape, data=data or Data())


def sizes_of(**how):
    return architecture(config_of(**how))


MIXTURES = {
    "vector-moe": InputSpec("vector", (9,), 4),
    "image-moe": InputSpec("image", (3, 12, 8), 3),
    "vector-nmoe": InputSpec("vector", (9,), 4),
    "image-nmoe": InputSpec("image", (3, 8, 8), 10),
    "mixtral": InputSpec("choices", (4, 2, 16), 4, 50),
}
PLAIN = {
    "vector-mlp": InputSpec("vector", (9,), 4),
    "image-cnn": InputSpec("image", (3, 13, 10), 4),
    "text-mean": InputSpec("text", (6,), 4, vocabulary=30),
}


@pytest.mark.parametrize("kind", [*MIXTURES, *PLAIN])
def test_the_closed_form_of_every_kind_is_what_its_modules_hold(kind):
    spec = (MIXTURES | PLAIN)[kind]
    asked = ModelConfig(kind=kind, experts=3 if kind in MIXTURES else 0, **TEXT)
    measured = measured_tensors(LearningConfig(1, ("a",), (1,), asked), spec)
    if kind == "mixtral":
        said = replace(kinds.text_shape(asked), experts=3).tensors(None)
    else:
        said = kinds.KINDS[kind].made_of(asked, spec)
    if kind in PLAIN:
        assert said.activations <= measured.activations  # which counts look-ups of words too
    assert replace(said, places={}, activations=None) == replace(measured, activations=None)


@pytest.mark.parametrize(
    ("lora", "backbone", "upload_format"),
    [
        (Lora(rank=2), True, "int8"),
        (Lora(rank=3, targets=("down",)), False, "native"),
        (Lora(rank=None), True, "native"),
    ],
)
def test_uploads_have_the_bytes_of_the_tensors_that_are_offered(lora, backbone, upload_format):
    model = ModelConfig(experts=3, hidden=8, expert_hidden=6, layers=2, lora=lora)
    how = {"upload_format": upload_format, "pretraining": Pretraining(1, 1, 1)}
    config = LearningConfig(1, ("a", "b"), (2, 1), model, trains_backbone=backbone, **how)
    learner = Learner(config)
    sizes = learner.architecture
    state = downloaded(learner, learner.start(), experts=(0, 2))
    offered = learner.force(state.offer((0, 2), gate=True))
    named = {n.removeprefix(".changes.").replace(".weight+", "."): t for n, t in offered.items()}
    listed = {tensor.name: tensor.shape for tensor in sizes.upload_tensors([0, 2], gate=True)}
    assert listed == {name: tuple(tensor.shape[1:]) for name, tensor in named.items()}
    numbers = sum(tensor[0].numel() for tensor in offered.values())
    expected = numbers + 4 * len(offered) if upload_format == "int8" else 4 * numbers
    assert sizes.upload_bytes([0, 2], gate=True) == expected


def test_what_the_paper_prints_for_experiment_1():
    """EMS-FL, Table I and section V-A: 14.16 MB an expert at rank 4, 43.3 MB in all."""
    sizes = sizes_of(lora=Lora(rank=4), **LLAMA)
    assert sizes.tuned_parameters == 7_077_888
    assert sizes.upload_bytes([0], gate=False) / 1e6 == pytest.approx(14.16, abs=0.005)
    assert sizes.upload_bytes([0, 1, 2], gate=True) / 1e6 == pytest.approx(43.25, abs=0.05)
    assert sizes.download_bytes([1], gate=False) == pytest.approx(11.27e9, rel=1e-3)
    assert 2 * sizes.expert_bytes / 1e9 == pytest.approx(22.55, abs=0.005)
    own = sizes.round_cost([0], [0], gate=False, samples=1)
    everything = sizes.round_cost([0, 1, 2], [0, 1, 2], gate=True, samples=1)
    assert everything.expert_bytes - own.expert_bytes == 2 * sizes.expert_bytes
    assert everything.memory_bytes - own.memory_bytes == pytest.approx(22.77e9, rel=0.02)


def test_memory_is_that_of_the_samples_that_are_computed_at_a_time():
    """A map of i inputs and o outputs keeps i + o numbers of each token until its gradient."""
    small = config_of(experts=2, hidden=8, expert_hidden=6, lora=Lora(rank=None))
    text = config_of("mixtral", data=Data(tokens=16), experts=2, **TEXT)

    def memory(config, batch_size, micro_batch=None):
        config = replace(config, batch_size=batch_size, micro_batch=micro_batch)
        cost = architecture(config).round_cost([0], [0], gate=True, samples=100)
        return cost.memory_bytes

    through = (64 + 8) + (8 + 10) + (8 + 6) + (6 + 8) + (8 + 2)
    assert memory(small, 8) - memory(small, 1) == 4 * 7 * through
    assert memory(small, 8, 3) == memory(small, 3) and memory(small, 8, 9) == memory(small, 8)
    layer = 4 * (32 + 32) + 2 * (32 + 48) + (48 + 32) + (32 + 2)
    layer -= 2 * 16  # two of four heads: keys and values are half as wide
    through = 2 * layer + (32 + 50)
    options = 4
    assert memory(text, 8) - memory(text, 1) == 4 * 7 * options * 16 * through


def test_lora_spares_the_gradients_of_what_is_frozen_and_the_rest_goes_down():
    cost = []
    for rank in (2, None):
        sizes = sizes_of(experts=2, hidden=8, expert_hidden=6, lora=Lora(rank=rank))
        cost.append(sizes.round_cost([0], [0], gate=False, samples=10).flops)
    backbone = 65 * 8 + 4 * 8 + 9 * 10
    expert = 2 * 8 * 6 + 8 + 6
    gate = 2 * 8
    factors = 2 * 2 * 14
    assert cost[0] == 10 * (4 * (backbone + expert + gate + factors) + 2 * factors)
    assert cost[1] == 10 * (4 * (backbone + expert + gate) + 2 * expert)
    trained = replace(config_of(experts=2, hidden=8, expert_hidden=6), trains_backbone=True)
    trained = architecture(trained)
    assert trained.download_bytes([0, 1], gate=True) == 4 * (2 * expert + gate + backbone)
    assert trained.download_bytes([0], gate=False) == 4 * expert


def test_flops_are_those_that_torch_counts():
    """Experts, gate, head and the backbone's linear maps of a text model; scores left out."""
    config = config_of("mixtral", experts=2, top_k=1, **TEXT)
    spec = InputSpec("choices", (4, 2, 16), 4, 50)
    model = skeleton(config, spec, Residency((0,)))
    model.to_empty(device="cpu").eval()
    x = torch.zeros(3, 4, 2, 16, dtype=torch.int64)
    x[:, :, 0, 0] = torch.arange(4)  # options that share nothing are run whole
    x[:, :, 1, 1:] = 1
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(x)
    whole = replace(config, model=replace(config.model, lora=Lora(rank=None)))
    sizes = replace(architecture(whole), rows=kinds.SequenceShape(4, 16))
    forward = sizes.round_cost([], [0], gate=False, samples=3).flops / 2
    scores = 2 * 2 * 3 * 4 * 2 * 16 * 16 * 32
    assert forward - scores < counter.get_total_flops() <= forward + scores


def test_what_has_no_size_is_refused():
    keys = {"experts": 2, "hidden": 16, "expert_hidden": 6}
    assert sizes_of(**keys, lora=Lora(rank=6)).tuned_parameters == 2 * 6 * (16 + 6)
    for wrong, message in (
        ({"lora": Lora(rank=7)}, r"rank: got 7.* at most 6, or null"),
        ({"lora": Lora(targets=("w1",))}, r"targets: names 'w1'.* down, up"),
        ({"kind": "gpt"}, r"'gpt'.*mixtral-8x7b.*vector-moe"),
    ):
        with pytest.raises(ValueError, match=message):
            sizes_of(**keys, **wrong)
