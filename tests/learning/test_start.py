"""The start: a task, its upcycled experts, gates pretrained on trial data, and scores."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy, gelu

from learning import LearningConfig, ModelConfig
from learning.policies.model_splitting import home_clusters
from learning.settings import Data
from learning.training import evaluation
from learning.training.start import build_task, gate_loss, loss_of_origin, start_model
from tests.kit.rounds import moved

CONFIG = LearningConfig(5, ("a", "b", "c"), devices=(2, 2, 2), model=ModelConfig(experts=3))


def test_the_start_is_the_same_when_built_again_and_experts_fit_their_own_domains(task, server):
    assert moved(server, start_model(build_task(CONFIG))) == set()
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


def test_gates_learn_from_the_task_and_in_every_layer_from_the_origin():
    deep = ModelConfig(experts=3, top_k=3, layers=2, hidden=16, expert_hidden=8)
    task = build_task(replace(CONFIG, model=deep))
    model = task.model(start_model(task))
    trial = task.trial["b"]
    x, y, _ = trial
    with torch.no_grad():
        hidden = gelu(model.embed(x))
        of_gates = []
        for norm, layer in zip(model.norms, model.moe, strict=True):
            share = (norm(hidden) @ layer.gate.weight.T).softmax(-1)
            of_gates.append(-share[:, 1].log().mean())
            hidden = hidden + layer(norm(hidden))
        homes = torch.from_numpy(home_clusters(3, 3))
        rows = torch.arange(len(y))
        loss = gate_loss(model, (trial.x,), trial, homes, task.objective)(rows, rows)
        torch.testing.assert_close(loss, cross_entropy(model(x), y) + sum(of_gates))
    alone = loss_of_origin(model, (trial.x,), trial, homes)(rows, rows)
    torch.testing.assert_close(alone.detach(), sum(of_gates))
