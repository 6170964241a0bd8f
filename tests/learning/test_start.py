"""The start: a task, its upcycled experts, gates pretrained on trial data, and scores."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy, gelu

from tests.kit import training
from tests.kit.devices import moved
from tests.kit.learning import Data, LearningConfig, ModelConfig, Optimizer
from tests.kit.training import build_task, evaluation, start_model

CONFIG = LearningConfig(5, ("a", "b", "c"), devices=(2, 2, 2), model=ModelConfig(experts=3))
DEEP = ModelConfig(experts=3, top_k=2, layers=2, hidden=16, expert_hidden=8)


@pytest.fixture(scope="module")
def deep():
    task = build_task(replace(CONFIG, model=DEEP))
    return task, start_model(task)


def test_the_start_is_the_same_when_built_again_and_experts_fit_their_own_domains(task, server):
    before = {name: tensor.clone() for name, tensor in task.initial.items()}
    assert moved(server, start_model(build_task(CONFIG))) == set()
    start_model(task)
    assert moved(before, task.initial) == set()
    # A small one is made once for all runs of its task, and not for a task with another seed.
    again, other = start_model(task), start_model(replace(task, config=replace(CONFIG, seed=6)))
    assert all(again[name] is tensor for name, tensor in server.items())
    assert moved(server, other) == set(server)
    untuned = {n.replace("expert.0.", "expert.1."): t for n, t in task.initial.items()}
    for domain, cluster in enumerate(CONFIG.clusters):
        x, y, _ = task.trial[cluster]
        models = [task.model(server, held=(expert,)) for expert in task.all_experts]
        models.append(task.model({**server, **untuned}, (1,)))
        *losses, dense = (cross_entropy(model(x), y).item() for model in models)
        assert losses.index(min(losses)) == domain
        assert losses[domain] < dense


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_steps_before_the_start_are_those_of_torch(kind):
    draw = torch.Generator().manual_seed(3)
    x, y = torch.randn(60, 8, generator=draw), torch.randint(4, (60,), generator=draw)
    start = [torch.randn(4, 8, generator=draw), torch.randn(4, generator=draw)]
    batches = torch.randint(60, (20, 6), generator=draw)
    ours, torchs = ([part.clone().requires_grad_() for part in start] for _ in range(2))
    descent = Optimizer(kind), 0.1 if kind == "sgd" else 0.03
    loss = lambda rows, _: cross_entropy(x[rows] @ ours[0].T + ours[1], y[rows])  # noqa: E731
    training.fit(ours, descent, loss, batches.numpy(), len(batches))
    make = torch.optim.SGD if kind == "sgd" else torch.optim.Adam
    optimiser = make(torchs, lr=0.1 if kind == "sgd" else 0.03)
    for rows in batches:
        optimiser.zero_grad()
        cross_entropy(x[rows] @ torchs[0].T + torchs[1], y[rows]).backward()
        optimiser.step()
    for mine, expected in zip(ours, torchs, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-6)
    assert not torch.equal(ours[0], start[0])


def test_gates_send_trial_data_to_their_own_experts_and_uniform_data_to_all(task, server):
    assert torch.tensor(evaluation.trial_relevance(task, server)).diagonal().min() >= 0.9
    uniform = Data(own_domain_fraction=1 / 3, trial_samples=60)
    mixed = build_task(replace(CONFIG, data=uniform))
    relevance = torch.tensor(evaluation.trial_relevance(mixed, start_model(mixed)))
    # 60 draws at 1/3: standard deviation 0.06
    assert (relevance - 1 / 3).abs().max() < 4 * 0.061


@pytest.mark.parametrize(("experts", "layers", "top_k"), [(2, 1, 1), (7, 2, 2)])
def test_more_and_fewer_experts_than_clusters_and_deeper_models_start_too(experts, layers, top_k):
    model = ModelConfig(experts=experts, layers=layers, top_k=top_k, hidden=16, expert_hidden=8)
    small = build_task(replace(CONFIG, model=model))
    started = start_model(small)
    assert len(started) == layers * (4 * experts + 1)
    relevance = torch.tensor(evaluation.trial_relevance(small, started))
    torch.testing.assert_close(relevance.sum(1), torch.full((3,), float(top_k)))
    # experts beyond the clusters are further specialists and not copies
    ups = {started[f"expert.{e}.0.up.weight"].numpy().tobytes() for e in range(experts)}
    assert len(ups) == experts


def test_gates_learn_from_the_task_and_in_every_layer_from_the_origin(deep):
    task, server = deep
    soft = replace(task, config=replace(task.config, model=replace(DEEP, top_k=3)))
    model = soft.model(server)
    trial = task.trial["b"]
    x, y, _ = trial
    with torch.no_grad():
        hidden = gelu(model.embed(x))
        of_gates = []
        for norm, layer in zip(model.norms, model.moe, strict=True):
            share = (norm(hidden) @ layer.gate.weight.T).softmax(-1)
            of_gates.append(-share[:, 1].log().mean())
            hidden = hidden + layer(norm(hidden))
        homes = torch.from_numpy(training.home_clusters(3, 3))
        rows = torch.arange(len(y))
        loss = training.gate_loss(model, (trial.x,), trial, homes, task.objective)(rows, rows)
        torch.testing.assert_close(loss, cross_entropy(model(x), y) + sum(of_gates))
    alone = training.loss_of_origin(model, (trial.x,), trial, homes)(rows, rows)
    torch.testing.assert_close(alone.detach(), sum(of_gates))
    # Without gradients through experts: a gate moves by what it is given, not by who gave it.
    by_name = dict(model.named_parameters())
    found = torch.autograd.grad(alone, list(by_name.values()), allow_unused=True)
    moved_ones = {name for name, one in zip(by_name, found, strict=True) if one is not None}
    assert moved_ones == {"moe.0.gate.weight", "moe.1.gate.weight"}
