"""The MoE layer against equations (7) to (9) and (43), row by row in numpy; LoRA; registers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erf, softmax

from learning import ModelConfig
from learning.data.samples import InputSpec
from learning.models import MoELayer, Residency
from learning.models.build import initialise
from learning.models.moe import fresh_a
from learning.models.small import VectorMoE
from learning.rng import stream

SPEC = InputSpec("vector", (4,), 3, None)


def start(model, seed=0):
    model.load_state_dict(initialise(model, seed, dict(model.named_parameters())))
    return model


def array(tensor):
    return tensor.detach().double().numpy()


def layer(experts, top_k, held, *, seed=0, normalised=False, **here):
    config = ModelConfig(experts=experts, top_k=top_k, hidden=6, expert_hidden=5)
    made = start(MoELayer(config, Residency(held=held, **here), normalised=normalised), seed)
    made.gate.weight.data *= 5.0
    return made


def by_hand(made, x, held, top_k):
    """Each row on its own: softmax over the held experts, the k largest, weighted by p itself."""
    out = np.zeros_like(x)
    gate = array(made.gate.weight)
    for row, features in enumerate(x):
        share = dict(zip(held, softmax(gate[list(held)] @ features), strict=True))
        for e in sorted(held, key=lambda e: -share[e])[:top_k]:
            up = made.experts[str(e)].up
            down = made.experts[str(e)].down
            inner = array(up.weight) @ features + array(up.bias)
            inner = 0.5 * inner * (1 + erf(inner / np.sqrt(2)))
            out[row] += share[e] * (array(down.weight) @ inner + array(down.bias))
    return out


@given(st.data(), st.integers(1, 6), st.integers(0, 2**31))
def test_the_layer_is_the_sum_over_the_top_k_held_experts(data, experts, seed):
    """Whether experts run on the rows that chose them or on all."""
    top_k = data.draw(st.integers(1, experts))
    held = tuple(sorted(data.draw(st.sets(st.integers(0, experts - 1), min_size=1))))
    x = stream(seed, "x").standard_normal((12, 6))
    rows = torch.tensor(x, dtype=torch.float32).reshape(3, 4, 6)
    results = []
    for dense in (False, True):
        made = layer(experts, top_k, held, dense=dense, seed=seed)
        out = made(rows)
        expected = by_hand(made, x, held, top_k)
        np.testing.assert_allclose(array(out).reshape(12, 6), expected, atol=4e-6)
        (out * torch.arange(out.numel()).reshape(out.shape)).sum().backward()
        parameters = list(made.parameters())
        results.append([torch.zeros_like(p) if p.grad is None else p.grad for p in parameters])
    for sparse, everywhere in zip(*results, strict=True):
        torch.testing.assert_close(sparse, everywhere, atol=2e-4, rtol=1e-4)


def test_a_zero_mask_leaves_absent_experts_their_share_as_the_paper_writes():
    """Equation (43) read literally: rows whose own experts score below zero get nothing."""
    made = layer(3, 1, (1,), masked=0.0)
    made.gate.weight.data = torch.tensor([[9.0], [1.0], [9.0]]).expand(3, 6).clone()
    x = torch.stack([torch.ones(6), -torch.ones(6)])
    routing = made.gate(x)
    assert routing.chosen[0].item() == 1 != routing.chosen[1].item()
    assert routing.weight[0, 1].item() == pytest.approx(softmax([0.0, 6.0, 0.0])[1], rel=1e-6)
    assert made(x)[1].abs().max() == 0


def test_initial_values_depend_on_the_seed_and_the_tensor_not_on_what_else_there_is():
    small, large = (ModelConfig(experts=experts, hidden=6) for experts in (2, 5))
    models = (start(VectorMoE(c, SPEC, Residency(held=(0, 1))), 3) for c in (small, large))
    first, second = (dict(model.named_parameters()) for model in models)
    same = [name for name in first if first[name].shape == second[name].shape]
    assert len(same) == len(first) - 1
    assert all(torch.equal(first[name], second[name]) for name in same)
    down = first["moe.0.experts.1.down.weight"]
    assert 0.9 * down.shape[-1] ** -0.5 < down.abs().max() <= down.shape[-1] ** -0.5


def test_normalised_weights_sum_to_one_with_a_gradient():
    for top_k in (1, 2):
        made = layer(4, top_k, (0, 1, 2, 3), normalised=True)
        x = torch.tensor(stream(0, "x").standard_normal((5, 6)), dtype=torch.float32)
        torch.testing.assert_close(made.gate(x).weight.sum(-1), torch.ones(5))
        made(x).sum().backward()
        assert made.gate.weight.grad.abs().max() > 1e-4


def test_factors_are_drawn_with_the_variance_of_their_inputs():
    drawn = fresh_a(200, 500, stream(0, "variance"))
    # the variance of 1e5 normal draws has a relative standard error of sqrt(2e-5) = 0.45 %
    assert drawn.shape == (200, 500) and drawn.var() * 500 == pytest.approx(1.0, abs=5 * 0.0045)
