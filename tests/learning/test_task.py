"""The learning task and the upcycled start."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from learning.models import Residency
from tests.kit.learning import DataConfig, LearningConfig, ModelConfig
from tests.kit.training import (
    build_task,
    gate_loss,
    home_domains,
    origin_loss,
    start_model,
    trial_relevance,
    use_one_thread,
)

CONFIG = LearningConfig(5, ("a", "b", "c"), devices=(2, 2, 2), model=ModelConfig(experts=3))


def test_the_server_model_has_full_experts_and_gates_by_name(task, server):
    shapes = {name: tuple(tensor.shape) for name, tensor in server.items()}
    expected = {"gate.0.weight": (3, 64)}
    for e in range(3):
        for matrix in ("up", "down"):
            expected[f"expert.{e}.0.{matrix}.weight"] = (64, 64)
            expected[f"expert.{e}.0.{matrix}.bias"] = (64,)
    assert shapes == expected
    assert all(not tensor.requires_grad for tensor in server.values())
    assert not set(task.backbone) & set(server)
    assert {"embed.weight", "norms.0.weight", "norm.bias", "head.weight"} <= set(task.backbone)


def test_the_start_is_the_same_bit_for_bit_when_built_again(task, server):
    again = start_model(build_task(CONFIG))
    assert all(torch.equal(server[name], again[name]) for name in server)


def test_start_model_changes_nothing_in_the_task(task, server):
    before = {name: tensor.clone() for name, tensor in task.initial.items()}
    start_model(task)
    assert all(torch.equal(before[name], task.initial[name]) for name in before)


def test_each_expert_fits_its_own_domains_trial_data_best(task, server):
    for domain, cluster in enumerate(CONFIG.clusters):
        x, y, _ = task.trial[cluster]
        losses = []
        for expert in task.all_experts:
            model = task.model(server, held=(expert,))
            losses.append(functional.cross_entropy(model(x), y).item())
        untuned = {n.replace("expert.0.", "expert.1."): t for n, t in task.initial.items()}
        dense = functional.cross_entropy(task.model({**server, **untuned}, (1,))(x), y).item()
        assert losses.index(min(losses)) == domain
        assert losses[domain] < dense


def test_the_pretrained_gate_sends_each_clusters_data_to_its_own_expert(task, server):
    relevance = torch.tensor(trial_relevance(task, server))
    assert relevance.diagonal().min() >= 0.9


def test_uniform_trial_data_still_make_domain_experts_but_no_cluster_of_their_own():
    uniform = DataConfig(own_domain_fraction=1 / 3, trial_samples=60)
    mixed = build_task(replace(CONFIG, data=uniform))
    relevance = torch.tensor(trial_relevance(mixed, start_model(mixed)))
    # 60 draws at 1/3: standard deviation 0.06
    assert (relevance - 1 / 3).abs().max() < 4 * 0.061


@pytest.mark.parametrize(("experts", "layers", "top_k"), [(7, 1, 2), (2, 1, 1), (4, 2, 2)])
def test_more_and_fewer_experts_than_clusters_and_deeper_models_start_too(experts, layers, top_k):
    model = ModelConfig(experts=experts, layers=layers, top_k=top_k, hidden=16, expert_hidden=8)
    small = build_task(replace(CONFIG, model=model))
    started = start_model(small)
    assert len(started) == layers * (4 * experts + 1)
    relevance = torch.tensor(trial_relevance(small, started))
    torch.testing.assert_close(relevance.sum(1), torch.full((3,), float(top_k)))


def test_experts_beyond_the_clusters_are_further_specialists_and_not_copies(task):
    more = build_task(replace(CONFIG, model=ModelConfig(experts=6)))
    started = start_model(more)
    first, second = started["expert.0.0.up.weight"], started["expert.3.0.up.weight"]
    assert not torch.equal(first, second)


def test_homes_are_modular_both_ways():
    assert home_domains(5, 2).int().tolist() == [[1, 0], [0, 1], [1, 0], [0, 1], [1, 0]]
    assert home_domains(2, 5).int().tolist() == [[1, 0, 1, 0, 1], [0, 1, 0, 1, 0]]
    assert home_domains(3, 3).int().tolist() == torch.eye(3).int().tolist()


def test_origin_loss_is_the_cross_entropy_of_the_home_experts_joint_share():
    share = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.9, 0.0]])
    at_home = torch.tensor([[True, True, False], [True, False, False]])
    expected = -(torch.tensor([0.8, 0.1]).log()).mean()
    torch.testing.assert_close(origin_loss(share, at_home), expected)
    assert torch.isfinite(origin_loss(share, torch.zeros(2, 3, dtype=torch.bool)))


def test_gates_learn_from_the_task_and_in_every_layer_from_the_origin():
    use_one_thread()
    deep = replace(CONFIG, model=ModelConfig(experts=3, layers=2, top_k=3))
    deep_task = build_task(deep)
    model = deep_task.model(start_model(deep_task))
    trial = deep_task.trial["b"]
    x, y, _ = trial
    with torch.no_grad():
        hidden = functional.gelu(model.embed(x))
        expected = functional.cross_entropy(model(x), y)
        for norm, layer in zip(model.norms, model.moe, strict=True):
            share = (norm(hidden) @ layer.gate.weight.T).softmax(-1)
            expected = expected - share[:, 1].log().mean()
            hidden = hidden + layer(norm(hidden))
        loss = gate_loss(model, trial, home_domains(3, 3))(torch.arange(len(y)))
    torch.testing.assert_close(loss, expected)


def test_unknown_kinds_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'gpt'; known are .*vector-moe"):
        build_task(replace(CONFIG, model=ModelConfig(kind="gpt")))
    with pytest.raises(ValueError, match=r"'imagenet'; known are digit-images"):
        build_task(replace(CONFIG, data=DataConfig(kind="imagenet")))


def test_a_skeleton_takes_no_memory(task):
    model = task.skeleton(Residency(held=(0, 2), tuned=(2,)))
    assert all(parameter.is_meta for parameter in model.parameters())
