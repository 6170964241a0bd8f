"""Sizes of networked experts in closed form against modules, and against torch's FLOP counter."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from learning.architecture import kinds
from learning.data.samples import InputSpec
from learning.nmoe.costs import sizes_of
from learning.nmoe.models import PersonalExpert, Pretext, make_extractor
from learning.nmoe.shapes import extractor_of
from tests.kit.small_nmoe import IMAGES, VECTOR

KINDS = pytest.mark.parametrize("config", [VECTOR, IMAGES], ids=["vector", "image"])
HIDDEN, CLIENTS, CLASSES = 8, 5, 10


@KINDS
@pytest.mark.parametrize("loss", ["ce", "spectral", "none"])
def test_what_a_loss_trains_is_what_its_module_holds(config, loss):
    sizes = sizes_of(config)
    module = Pretext(config.model, kinds.input_spec(config), loss)
    shapes = {name: tuple(p.shape) for name, p in module.named_parameters()}
    assert {**sizes.extractor, **sizes.trained_with(loss)} == shapes


def test_the_published_figures_and_sixteen_bits_up_only():
    """d = 512, ten classes, ten clients, float32 (section 1.6 of the notes)."""
    single = replace(VECTOR, devices=(5, 5), precision="float32")
    model = replace(VECTOR.model, experts=10, hidden=512)
    sizes = sizes_of(replace(single, model=model))
    assert (sizes.feature_bytes, sizes.output_bytes) == (2048, 40)
    assert sizes.kept_bytes(sizes.gate) == 4 * 5130
    assert sizes.correlation_bytes == pytest.approx(0.525e6, rel=2e-3)
    half = sizes_of(replace(single, model=model, upload_format="float16"))
    (weight, bias) = half.sent_tensors(half.gate)
    assert 2 * (weight.bytes + bias.bytes) == half.kept_bytes(half.gate)


def flops_of(module, x, backward=False):
    with FlopCounterMode(display=False) as counter:
        out = module(x)
        if backward:
            out.sum().backward()
    return counter.get_total_flops()


@KINDS
@pytest.mark.parametrize("side", [8, 11])
def test_flops_are_those_that_torch_counts(config, side):
    form, shape = ("vector", (side,)) if config is VECTOR else ("image", (3, side, side))
    spec = InputSpec(form, shape, CLASSES)
    d = config.model.hidden
    shapes, places = extractor_of(config.model, spec)
    sizes = sizes_of(config)
    tensors = replace(sizes.tensors, backbone=shapes, places=places)
    sizes = replace(sizes, tensors=tensors, extractor=shapes)
    x = torch.rand(5, *shape)
    extractor, expert = make_extractor(config.model, spec), PersonalExpert(d, HIDDEN, CLASSES)
    assert 5 * sizes.forward_flops(sizes.extractor) == flops_of(extractor, x)
    assert 5 * sizes.forward_flops(sizes.expert) == flops_of(expert, torch.rand(5, d))
    # Torch needs no gradient to the inputs of the first map, which the cost of a round counts too.
    first = next(iter(places))
    unneeded = 2 * int(np.prod(shapes[first])) * places[first]
    counted = flops_of(Pretext(config.model, spec, "ce"), x, backward=True) / 5
    assert sizes.extractor_round("ce").flops / sizes.samples == counted + unneeded


@KINDS
def test_memory_is_what_a_client_holds(config):
    sizes = sizes_of(config)
    d = config.model.hidden
    each = 8
    extractor = sum(int(np.prod(s)) for s in sizes.extractor.values() if s)
    expert = (d * HIDDEN + HIDDEN) + (HIDDEN * CLASSES + CLASSES)
    gate = d * CLIENTS + CLIENTS
    matrices = [(s, sizes.tensors.places[n]) for n, s in sizes.extractor.items() if len(s) > 1]
    through = sum((s[0] + s[1]) * places for s, places in matrices)
    at_once = config.batch_size
    stage_1 = sizes.extractor_round("none")
    stage_2 = sizes.expert_round
    assert stage_1.memory_bytes == each * (3 * extractor + at_once * through)
    maps = (d + HIDDEN) + (HIDDEN + CLASSES)
    assert stage_2.memory_bytes == each * (extractor + 2 * expert + at_once * (through + maps))
    assert stage_2.expert_bytes == each * expert
    samples = np.array([5, 40])
    kept = samples * (d + CLIENTS * CLASSES)
    held = extractor + CLIENTS * expert + 2 * gate + at_once * (d + CLIENTS)
    assert np.array_equal(sizes.gate_round(samples, CLIENTS).memory_bytes, each * (kept + held))
