"""The server's scores against a model written out in numpy."""

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from scipy.special import erf, log_softmax, softmax

from tests.kit.learning import LearningConfig, ModelConfig
from tests.kit.training import evaluate, final_tensors

MODEL = ModelConfig(experts=3, top_k=2, layers=2, hidden=16, expert_hidden=8)
CONFIG = LearningConfig(7, ("a", "b"), (2, 2), MODEL)


def gelu(x):
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def logits_by_hand(tensors, x, layers, top_k):
    """Run the stored tensors through equations (7) to (9) in float64."""
    t = {name: tensor.double().numpy() for name, tensor in tensors.items()}

    def linear(name, v):
        return v @ t[f"{name}.weight"].T + t[f"{name}.bias"]

    def norm(name, v):
        v = (v - v.mean(-1, keepdims=True)) / np.sqrt(v.var(-1, keepdims=True) + 1e-5)
        return v * t[f"{name}.weight"] + t[f"{name}.bias"]

    hidden = gelu(linear("embed", x.double().numpy()))
    for layer in range(layers):
        v = norm(f"norms.{layer}", hidden)
        share = softmax(v @ t[f"gate.{layer}.weight"].T, axis=-1)
        share[share < np.sort(share, axis=-1)[:, [-top_k]]] = 0.0
        for e in range(share.shape[1]):
            inner = gelu(linear(f"expert.{e}.{layer}.up", v))
            hidden = hidden + share[:, [e]] * linear(f"expert.{e}.{layer}.down", inner)
    return linear("head", norm("norm", hidden))


def test_scores_are_those_of_the_stored_tensors_run_by_hand(task, server):
    tensors = final_tensors(task, server)
    for cluster, score in zip(("a", "b"), evaluate(task, server), strict=True):
        x, y, _ = task.test[cluster]
        logits = logits_by_hand(tensors, x, layers=2, top_k=2)
        labels = y.numpy()
        assert score["cluster"] == cluster
        assert score["samples"] == 397
        assert score["accuracy"] == pytest.approx((logits.argmax(-1) == labels).mean(), abs=1e-12)
        loss = -log_softmax(logits, axis=-1)[np.arange(len(labels)), labels].mean()
        assert score["loss"] == pytest.approx(loss, abs=1e-5)


def test_final_tensors_are_the_whole_model_and_survive_storage(task, server):
    tensors = final_tensors(task, server)
    assert set(tensors) == set(task.backbone) | set(server)
    stored = load(save(tensors))
    again = {name: stored[name] for name in server}
    assert evaluate(task, again) == evaluate(task, server)


def test_evaluating_twice_gives_the_same_numbers_and_changes_nothing(task, server):
    before = {name: tensor.clone() for name, tensor in server.items()}
    assert evaluate(task, server) == evaluate(task, server)
    assert all(torch.equal(before[name], server[name]) for name in server)
