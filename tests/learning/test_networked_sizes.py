"""Sizes of networked experts in closed form against modules, and against torch's FLOP counter."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.kit.learning import (
    DataConfig,
    Handle,
    InputSpec,
    Learner,
    LearningConfig,
    ModelConfig,
    NetworkedLearner,
    architecture,
    extractor_of,
    input_spec,
    measured_tensors,
    sizes_of,
    tensors_of,
    torch_dtype,
)
from tests.kit.training import PersonalExpert, Pretext, make_extractor

VECTOR = LearningConfig(
    1, ("a", "b"), (4, 3),
    ModelConfig(kind="vector-nmoe", experts=7, top_k=2, hidden=24, expert_hidden=10, layers=3),
    DataConfig(kind="digits"),
)  # fmt: skip
IMAGE = replace(
    VECTOR,
    model=replace(VECTOR.model, kind="image-nmoe", layers=2),
    data=DataConfig(kind="digit-images"),
)
KINDS = pytest.mark.parametrize("config", [VECTOR, IMAGE], ids=["vector", "image"])


def shapes(module: torch.nn.Module, prefix: str = "") -> dict[str, tuple[int, ...]]:
    return {prefix + name: tuple(p.shape) for name, p in module.named_parameters()}


@KINDS
def test_tensors_are_those_of_the_module(config: LearningConfig) -> None:
    closed, measured = tensors_of(config), measured_tensors(config, input_spec(config))
    assert replace(closed, places={}) == measured


@KINDS
def test_parts_are_those_of_the_modules(config: LearningConfig) -> None:
    sizes, spec = sizes_of(config), input_spec(config)
    assert sizes.extractor == shapes(make_extractor(config.model, spec), "extractor.")
    for loss in ("ce", "spectral", "none"):
        wanted = shapes(Pretext(config.model, spec, loss))
        assert {**sizes.extractor, **sizes.trained_with(loss)} == wanted
    assert sizes.expert == shapes(PersonalExpert(24, 10, 10))
    assert sizes.gate == {"weight": (7, 24), "bias": (7,)}


@KINDS
def test_bytes_are_those_of_the_tensors(config: LearningConfig) -> None:
    net = NetworkedLearner(Learner(config))
    sizes = sizes_of(config)

    def held(handle: Handle) -> int:
        return sum(t.numel() * t.element_size() for t in net.learner.force(handle).values())

    server = net.start_extractor("spectral")
    assert sizes.download_bytes(sizes.extractor, sizes.projector) == held(server)
    assert sizes.upload_bytes(sizes.extractor, sizes.projector) == held(server)
    assert sizes.download_bytes(sizes.gate) == held(net.start_gate())
    zero = np.zeros(4, int)
    experts = {n: net.train_experts(server, n, zero[:k], zero[:k]) for n, k in (("a", 4), ("b", 3))}
    assert 4 * sizes.expert_bytes == held(experts["a"])
    known = net.learner.force(net.knowledge(server, experts, "b"))
    samples = sum(net.samples()[1])
    assert known["features"].nbytes == samples * sizes.feature_bytes
    assert known["outputs"].nbytes == samples * 7 * sizes.output_bytes
    matrix = net.learner.force(net.correlation(server, "b", 0))["matrix"][0]
    rows, columns = np.triu_indices(len(matrix))
    assert sizes.correlation_bytes == matrix[rows, columns].nbytes


def test_the_published_figures() -> None:
    """Section 1.6 of the notes: d = 512, ten classes, ten clients, float32."""
    model = ModelConfig(kind="vector-nmoe", experts=10, hidden=512)
    sizes = sizes_of(replace(VECTOR, devices=(5, 5), model=model))
    assert (sizes.feature_bytes, sizes.output_bytes) == (2048, 40)
    assert sizes.download_bytes(sizes.gate) == 4 * 5130
    assert sizes.download_bytes(sizes.projector) == 4 * 1_050_112
    assert sizes.correlation_bytes == pytest.approx(0.525e6, rel=2e-3)


def test_sixteen_bits_go_up_only() -> None:
    half = sizes_of(replace(VECTOR, upload_format="float16"))
    assert 2 * half.upload_bytes(half.gate) == half.download_bytes(half.gate)
    names = [
        (tensor.name, tensor.format) for tensor in half.upload_tensors(half.gate_part(("bias",)))
    ]
    assert names == [("bias", "float16")]


def flops_of(module: torch.nn.Module, x: torch.Tensor, backward: bool) -> int:
    with FlopCounterMode(display=False) as counter:
        out = module(x)
        if backward:
            out.sum().backward()
    return counter.get_total_flops()


@KINDS
@pytest.mark.parametrize("side", [8, 11])
def test_flops_are_those_that_torch_counts(config: LearningConfig, side: int) -> None:
    if config.model.kind == "vector-nmoe":
        spec = InputSpec("vector", (side,), 10)
    else:
        spec = InputSpec("image", (3, side, side), 10)
    made = extractor_of(config.model, spec)
    sizes = replace(sizes_of(config), extractor=made.shapes, places=made.places)
    x = torch.rand(5, *spec.shape, dtype=torch_dtype(config))
    extractor = make_extractor(config.model, spec)
    assert 5 * sizes.extractor_flops == flops_of(extractor, x, backward=False)
    expert = PersonalExpert(24, 10, 10)
    assert 5 * sizes.expert_flops == flops_of(expert, torch.rand(5, 24), backward=False)
    # Torch needs no gradient to the inputs of the first map, which the cost of a round counts too.
    first = next(iter(made.places))
    unneeded = 2 * int(np.prod(made.shapes[first])) * made.places[first]
    counted = flops_of(Pretext(config.model, spec, "ce"), x, backward=True) / 5
    assert sizes.extractor_round("ce").flops / sizes.samples == counted + unneeded


@KINDS
def test_stages_take_what_they_train(config: LearningConfig) -> None:
    sizes = sizes_of(config)
    numbers = sum(int(np.prod(shape)) for shape in sizes.extractor.values())
    contrast, labels = sizes.extractor_round("spectral"), sizes.extractor_round("ce")
    assert contrast.flops > 2 * labels.flops
    assert labels.memory_bytes > 3 * 4 * numbers
    assert sizes.expert_round.flops > sizes.samples * (sizes.extractor_flops + sizes.expert_flops)
    assert sizes.expert_round.expert_bytes == sizes.expert_bytes
    gates = sizes.gate_round(np.array([50, 60]), 1)
    assert (gates.flops < sizes.expert_round.flops).all()
    double = sizes_of(replace(config, steps_per_round=2 * config.steps_per_round))
    assert double.expert_round.flops == 2 * sizes.expert_round.flops


@KINDS
@pytest.mark.parametrize("number_format", ["float32", "float64"])
def test_memory_is_what_a_client_holds(config: LearningConfig, number_format: str) -> None:
    """Seven clients, ten classes, d = 24, experts of ten hidden units: all written out."""
    sizes = sizes_of(replace(config, precision=number_format))
    each = {"float32": 4, "float64": 8}[number_format]
    extractor = sum(int(np.prod(shape)) for shape in sizes.extractor.values())
    expert, gate = (24 * 10 + 10) + (10 * 10 + 10), 24 * 7 + 7

    stage_1 = sizes.extractor_round("none")
    matrices = [(s, sizes.places[n]) for n, s in sizes.extractor.items() if len(s) > 1]
    through = sum((s[0] + s[1]) * places for s, places in matrices)
    assert stage_1.memory_bytes == each * (3 * extractor + through)
    assert stage_1.expert_bytes == 0

    stage_2 = sizes.expert_round
    maps = (24 + 10) + (10 + 10)
    assert stage_2.memory_bytes == each * (extractor + through + 2 * expert + maps)
    assert stage_2.expert_bytes == each * expert

    samples = np.array([5, 40])
    for experts in (1, 7):
        stage_3 = sizes.gate_round(samples, experts)
        kept = samples * (24 + 7 * 10)
        held = extractor + experts * expert + 2 * gate + (24 + 7)
        assert np.array_equal(stage_3.memory_bytes, each * (kept + held))
        assert np.array_equal(stage_3.expert_bytes, [each * experts * expert] * 2)
        flops = 6 * gate - 6 * 7 + 4 * 7 * 10
        assert np.array_equal(stage_3.flops, [sizes.samples * flops] * 2)


def test_other_methods_count_every_place_of_an_image() -> None:
    """An image's convolutions run at many places, its experts on one row of features."""
    cost = architecture(IMAGE).round_cost((), (0,), False, samples=1)
    sizes = sizes_of(IMAGE)
    assert cost.flops == 2 * (sizes.extractor_flops + sizes.expert_flops + sizes.gate_flops) + 4 * (
        sum(
            int(np.prod(s))
            for s in (*sizes.extractor.values(), *sizes.expert.values())
            if len(s) == 1
        )
        + 7
    )


def test_sizes_need_no_torch() -> None:
    code = (
        "import sys; from learning.networked.learner import NetworkedLearner; "
        "from learning.networked.sizes import sizes_of; import learning.networked.metrics; "
        "from learning.config import *; from learning.learner import Learner; "
        "c = LearningConfig(1, ('a',), (2,), ModelConfig(kind='image-nmoe', experts=2), "
        "DataConfig(kind='digit-images')); "
        "n = NetworkedLearner(Learner(c, train=False)); n.spread(n.start_gate(), 'a'); "
        "sizes_of(c); "
        "print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
