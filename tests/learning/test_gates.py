"""Gates of networked experts: how they are trained, shared, routed by and combined."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learning.architecture.costs import as_sent
from learning.nmoe.models import answer, losses, mixed
from learning.nmoe.training import gates as gates_module
from learning.nmoe.training.gates import reach_of, route
from learning.training import aggregation
from tests.kit.small_nmoe import VECTOR, System

PARTS = ("weight", "bias")
SPLIT = System()
COUNTS = st.lists(st.integers(0, 3), min_size=3, max_size=3).map(np.array)


def shared_gates(system, gates, who, names=PARTS, weighted=True):
    how = {"clusters": list(gates), "who": list(who.values()), "names": names}
    mean = aggregation.average(system.task, *gates.values(), **how, weighted=weighted)
    return {n: gates_module.with_mean(system.task, own, mean) for n, own in gates.items()}


@given(COUNTS, COUNTS)
def test_rounds_in_several_calls_are_rounds_in_one(first, more):
    """So FedGate and RollGate of one client are central training of its gate, bit for bit."""
    gates = SPLIT.start()["a"]
    nothing = np.zeros(3, int)
    part = SPLIT.trained(gates, "a", first, nothing)
    shared = shared_gates(SPLIT, {"a": part}, {"a": [False, True, False]})["a"]
    one = gates_module.take_gate(SPLIT.task, part, device=1)
    rolled = gates_module.spread(SPLIT.task, one, cluster="a")
    whole = SPLIT.trained(gates, "a", first + more, nothing)
    for start, devices in ((part, [0, 1, 2]), (shared, [1]), (rolled, [1])):
        found = SPLIT.trained(start, "a", more, first)
        for name in PARTS:
            assert torch.equal(found[name][devices], whole[name][devices])


@pytest.mark.parametrize(("name", "weighted"), [("weight", True), ("bias", False)])
def test_gates_are_averaged_as_they_were_sent(name, weighted):
    system = System(replace(VECTOR, upload_format="int8"))
    before = system.train(2)
    counted = [system.task.shards[cluster].sizes for cluster in "ab"]
    sizes = [counted[0][0], counted[0][2], counted[1][0]] if weighted else [1, 1, 1]
    copies = torch.cat([before["a"][name][[0, 2]], before["b"][name][[0]]])
    wanted = np.average(as_sent(copies, "int8").numpy(), axis=0, weights=sizes)
    who = {"a": [True, False, True], "b": [True, False]}
    for cluster, found in shared_gates(system, before, who, (name,), weighted).items():
        for own in found[name].numpy():
            np.testing.assert_allclose(own, wanted, rtol=0, atol=1e-15)
        [other] = {*PARTS} - {name}
        assert torch.equal(found[other], before[cluster][other])


@given(
    st.lists(st.floats(-60, 60), min_size=5, max_size=5),
    st.lists(st.booleans(), min_size=5, max_size=5).filter(any),
    st.none() | st.integers(1, 5),
)
def test_routing_is_a_softmax_of_the_top_k_in_reach(logits, reach, k):
    gate = {"weight": torch.zeros(5, 12, dtype=torch.float64)}
    gate["bias"] = torch.tensor(logits, dtype=torch.float64)
    features = torch.ones(1, 12, dtype=torch.float64)
    found = route(SPLIT.task, gate, features, k, reach_of(SPLIT.task, reach))
    weights = found.weight[0].numpy()
    here = np.exp(np.sort(np.array(logits)[reach])[::-1][:k] - 60)
    np.testing.assert_allclose(np.sort(weights)[::-1][: len(here)], here / here.sum(), rtol=1e-9)
    assert weights.sum() == pytest.approx(1.0) and not weights[~np.array(reach)].any()
    first = int(found.chosen[0, 0])
    assert reach[first] and weights[first] == weights.max()
    with pytest.raises(ValueError, match="reaches no expert"):
        reach_of(SPLIT.task, [False] * 5)


def test_neither_the_mixture_nor_its_gradient_depends_on_an_expert_of_weight_0():
    weights = torch.tensor([[0.25, 0.0, 0.75]], dtype=torch.float64, requires_grad=True)
    outputs = torch.rand(1, 3, 4, dtype=torch.float64).softmax(-1)
    outputs[0, 1] = torch.tensor([torch.nan, torch.inf, -torch.inf, 0.0])
    out = mixed(weights, outputs)
    torch.testing.assert_close(out[0], 0.25 * outputs[0, 0] + 0.75 * outputs[0, 2])
    (gradient,) = torch.autograd.grad(answer(out).sum(), weights)
    assert torch.isfinite(gradient).all()


def test_a_probability_of_zero_has_a_finite_loss():
    weights = torch.tensor([[1.0, 0.0]], requires_grad=True)
    outputs = torch.tensor([[[1.0, 0.0], [0.5, 0.5]]])
    loss = losses(answer(mixed(weights, outputs)), torch.tensor([1]))
    assert loss.item() == pytest.approx(-np.log(torch.finfo(torch.float32).tiny), rel=1e-6)
    (gradient,) = torch.autograd.grad(loss.sum(), weights)
    assert torch.isfinite(gradient).all()
