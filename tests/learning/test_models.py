"""The MoE layer against equations (7) to (9) and (43), written out row by row in numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf, softmax

from learning.models import MODELS, MoELayer, Residency
from tests.kit.learning import InputSpec, LoraConfig, ModelConfig, stream
from tests.kit.training import (
    LoraLinear,
    VectorMoE,
    forward_with_routing,
    fresh_a,
    gates_of,
    initialise,
    names_of,
    use_one_thread,
    with_factors,
)

use_one_thread()


SPEC = InputSpec("vector", (4,), 3, None)


def start(model, seed):
    drawn = initialise(model, seed, dict(model.named_parameters()))
    model.load_state_dict(drawn)


def gelu(x):
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def array(tensor):
    return tensor.detach().double().numpy()


def layer(experts, top_k, held, *, dense=False, seed=0):
    config = ModelConfig(experts=experts, top_k=top_k, hidden=6, expert_hidden=5)
    made = MoELayer(config, Residency(held=held, dense=dense))
    start(made, seed)
    made.gate.weight.data *= 5.0
    return made


def by_hand(made, x, held, top_k):
    """Each row on its own: softmax over the held experts, the k largest, weighted by p itself."""
    out = np.zeros_like(x)
    gate = array(made.gate.weight)
    for row, features in enumerate(x):
        share = dict(zip(held, softmax(gate[list(held)] @ features), strict=True))
        for e in sorted(held, key=lambda e: -share[e])[:top_k]:
            up, down = made.experts[str(e)].up, made.experts[str(e)].down
            inner = gelu(array(up.weight) @ features + array(up.bias))
            out[row] += share[e] * (array(down.weight) @ inner + array(down.bias))
    return out


cases = st.integers(1, 6).flatmap(
    lambda experts: st.tuples(
        st.just(experts),
        st.integers(1, experts),
        st.sets(st.integers(0, experts - 1), min_size=1).map(lambda s: tuple(sorted(s))),
        st.integers(0, 2**31),
    )
)


@settings(max_examples=40, deadline=None)
@given(cases)
def test_the_layer_is_the_sum_over_the_top_k_held_experts_weighted_by_their_softmax_share(case):
    experts, top_k, held, seed = case
    x = stream(seed, "x").standard_normal((7, 6))
    made = layer(experts, top_k, held, seed=seed)
    out = array(made(torch.tensor(x, dtype=torch.float32)))
    np.testing.assert_allclose(out, by_hand(made, x, held, top_k), atol=2e-6)


@settings(max_examples=40, deadline=None)
@given(cases)
def test_running_every_expert_on_every_row_is_the_same_function_with_the_same_gradients(case):
    experts, top_k, held, seed = case
    x = torch.tensor(stream(seed, "x").standard_normal((3, 4, 6)), dtype=torch.float32)
    gradients = []
    for dense in (False, True):
        made = layer(experts, top_k, held, dense=dense, seed=seed)
        out = made(x)
        loss = (out * torch.arange(out.numel()).reshape(out.shape)).sum()
        loss.backward()
        gradients.append([out, *(_or_zero(p) for p in made.parameters())])
    for sparse, dense_one in zip(*gradients, strict=True):
        torch.testing.assert_close(sparse, dense_one, atol=2e-4, rtol=1e-4)


def _or_zero(parameter):
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def test_a_top_1_gate_is_not_renormalised_and_so_keeps_a_gradient():
    made = layer(4, 1, (0, 1, 2, 3))
    made(torch.ones(3, 6)).sum().backward()
    assert made.gate.weight.grad.abs().max() > 1e-3


def test_a_masked_expert_is_never_chosen_even_where_all_others_score_below_zero():
    made = layer(3, 2, (1, 2))
    made.gate.weight.data = torch.tensor([[0.0], [-4.0], [-5.0]]).expand(3, 6).clone()
    routing = made.gate(torch.ones(5, 6))
    assert set(routing.chosen.flatten().tolist()) == {1, 2}
    assert routing.weight[:, 0].eq(0).all()
    torch.testing.assert_close(routing.weight.sum(-1), torch.ones(5))


def test_a_gate_masked_to_one_expert_passes_that_expert_through_unscaled():
    made = layer(4, 2, (2,))
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(made(x), made.experts["2"](x))


def test_experts_that_are_not_held_do_not_exist():
    made = layer(4, 1, (1, 3))
    assert {name.split(".")[1] for name, _ in made.named_parameters() if "experts" in name} == {
        "1",
        "3",
    }


@pytest.mark.parametrize(
    ("held", "top_k", "message"),
    [((), 1, "held experts"), ((0, 4), 1, "0 to 3"), ((0,), 0, "top_k is 0"), ((0,), 5, "1 to 4")],
)
def test_impossible_layers_are_refused_with_the_allowed_range(held, top_k, message):
    with pytest.raises(ValueError, match=message):
        layer(4, top_k, held)


def test_low_rank_factors_add_scale_b_a_to_the_weight():
    made = LoraLinear(torch.nn.Linear(6, 5), LoraConfig(rank=2))
    rng = stream(0, "lora test")
    made.a.data = torch.tensor(rng.standard_normal((2, 6)), dtype=torch.float32)
    x = torch.tensor(rng.standard_normal((3, 6)), dtype=torch.float32)
    torch.testing.assert_close(made(x), x @ made.weight.T + made.bias)
    made.b.data = torch.tensor(rng.standard_normal((5, 2)), dtype=torch.float32)
    whole = array(made.weight) + 2.0 * array(made.b) @ array(made.a)
    np.testing.assert_allclose(array(made(x)), array(x) @ whole.T + array(made.bias), atol=1e-5)


def test_fresh_factors_have_variance_one_over_the_input_width():
    drawn = fresh_a(200, 500, stream(0, "variance"))
    assert drawn.shape == (200, 500)
    # the variance of 1e5 normal draws has a relative standard error of sqrt(2e-5) = 0.45 %
    assert drawn.var() * 500 == pytest.approx(1.0, abs=5 * 0.0045)


def test_alpha_over_rank_scales_the_product_and_is_two_unless_said():
    assert LoraConfig(rank=8).scale == 2.0
    assert LoraConfig(rank=8, alpha=4.0).scale == 0.5


def test_only_targets_get_factors_and_unknown_ones_are_refused():
    config = ModelConfig(experts=1, hidden=6, lora=LoraConfig(rank=2, targets=("down",)))
    names = [n for n, _ in MoELayer(config, Residency((0,), (0,))).named_parameters()]
    assert [n for n in names if n.endswith(".a")] == ["experts.0.down.a"]
    with pytest.raises(ValueError, match=r"targets names 'w1'.* down, up"):
        with_factors(MoELayer(config, Residency((0,))).experts["0"], LoraConfig(targets=("w1",)))


def test_stored_names_and_model_paths_are_one_to_one():
    here = Residency(held=(0, 2), tuned=(2,))
    model = VectorMoE(ModelConfig(experts=3, layers=2), SPEC, here)
    paths = list(dict(model.named_parameters()))
    names = names_of(model)
    stored = [names.stored(path) for path in paths]
    assert [names.path(name) for name in stored] == paths
    assert len(set(stored)) == len(paths)
    assert {"expert.2.1.up.a", "expert.0.1.down.bias", "gate.1.weight", "head.bias"} <= set(stored)
    assert "expert.0.0.up.a" not in stored


def test_the_vector_model_adds_each_layer_to_its_input_behind_a_norm():
    config = ModelConfig(experts=3, top_k=2, hidden=6, expert_hidden=5, layers=2)
    model = VectorMoE(config, SPEC, Residency(held=(0, 1, 2)))
    start(model, 0)
    x = stream(0, "x").standard_normal((9, 4))
    hidden = gelu(x @ array(model.embed.weight).T + array(model.embed.bias))
    for made in model.moe:
        hidden = hidden + by_hand(made, _norm(hidden), (0, 1, 2), 2)
    logits = _norm(hidden) @ array(model.head.weight).T + array(model.head.bias)
    np.testing.assert_allclose(array(model(torch.tensor(x).float())), logits, atol=1e-5)


def _norm(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def test_initial_values_depend_on_the_seed_and_the_tensor_not_on_what_else_there_is():
    small, large = (ModelConfig(experts=experts, hidden=6) for experts in (2, 5))
    models = [VectorMoE(c, SPEC, Residency(held=(0, 1))) for c in (small, large)]
    for model in models:
        start(model, 3)
    first, second = (dict(model.named_parameters()) for model in models)
    same = [name for name in first if first[name].shape == second[name].shape]
    assert len(same) == len(first) - 1
    assert all(torch.equal(first[name], second[name]) for name in same)
    bound = first["moe.0.experts.1.down.weight"].shape[-1] ** -0.5
    assert 0.9 * bound < first["moe.0.experts.1.down.weight"].abs().max() <= bound


def test_routing_is_watched_layer_by_layer_and_no_hook_stays_behind():
    model = VectorMoE(ModelConfig(layers=3, top_k=2), SPEC, Residency(held=(0, 1, 2, 3)))
    start(model, 0)
    logits, routings = forward_with_routing(model, torch.ones(5, 4))
    assert [tuple(r.chosen.shape) for r in routings] == [(5, 2)] * 3
    assert torch.equal(logits, model(torch.ones(5, 4)))
    assert not any(gate._forward_hooks for gate in gates_of(model))


def test_a_model_without_gates_cannot_be_watched():
    with pytest.raises(ValueError, match="Linear has no MoE layer"):
        forward_with_routing(torch.nn.Linear(2, 2), torch.ones(1, 2))


def test_the_register_finds_shipped_kinds_own_ones_and_importable_ones():
    assert MODELS.find(ModelConfig().kind) is VectorMoE
    MODELS.add("mine")(VectorMoE)
    assert MODELS.find("mine") is VectorMoE
    assert MODELS.find("learning.models.vector:VectorMoE") is VectorMoE
    with pytest.raises(ValueError, match="did you mean 'vector-moe'"):
        MODELS.find("vektor-moe")
    with pytest.raises(ValueError, match="shipped model"):
        MODELS.add("vector-moe")
    with pytest.raises(ValueError, match="cannot be imported"):
        MODELS.find("no_such_module:Model")


def test_a_backbone_that_calls_its_tensors_like_a_gates_is_refused():
    class Confusing(VectorMoE):
        def __init__(self, *given):
            super().__init__(*given)
            self.gate = torch.nn.Linear(2, 2)

    made = Confusing(ModelConfig(), SPEC, Residency(held=(0,)))
    with pytest.raises(ValueError, match=r"'gate\.weight' outside its MoE layers"):
        names_of(made)
    with pytest.raises(ValueError, match="Linear has no MoE layer"):
        names_of(torch.nn.Linear(2, 2))


def test_a_zero_mask_leaves_absent_experts_their_share_as_the_paper_writes():
    """Equation (43) read literally: rows whose own experts score below zero get nothing."""
    config = ModelConfig(experts=3, top_k=1, hidden=6, expert_hidden=5)
    made = MoELayer(config, Residency(held=(1,), masked=0.0))
    start(made, 0)
    made.gate.weight.data = torch.tensor([[9.0], [1.0], [9.0]]).expand(3, 6).clone()
    x = torch.stack([torch.ones(6), -torch.ones(6)])
    routing = made.gate(x)
    assert routing.chosen[0].item() == 1
    assert routing.weight[0, 1].item() == pytest.approx(softmax([0.0, 6.0, 0.0])[1], rel=1e-6)
    assert routing.chosen[1].item() != 1
    assert made(x)[1].abs().max() == 0


@pytest.mark.parametrize("top_k", [1, 2])
def test_normalised_weights_sum_to_one_and_keep_a_gradient(top_k):
    config = ModelConfig(experts=4, top_k=top_k, hidden=6, expert_hidden=5)
    made = MoELayer(config, Residency(held=(0, 1, 2, 3)), normalised=True)
    start(made, 0)
    x = torch.tensor(stream(0, "x").standard_normal((5, 6)), dtype=torch.float32)
    torch.testing.assert_close(made.gate(x).weight.sum(-1), torch.ones(5))
    made(x).sum().backward()
    assert made.gate.weight.grad.abs().max() > 1e-4
