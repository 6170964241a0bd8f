"""Expert relevance against counting token by token."""

import numpy as np
import pytest
import torch

from learning.models import Residency
from tests.kit.learning import InputSpec, LearningConfig, ModelConfig, stream
from tests.kit.training import (
    VectorMoE,
    build_task,
    expert_relevance,
    initialise,
    start_model,
    trial_relevance,
    use_one_thread,
)


def model(experts=5, top_k=2, layers=3):
    config = ModelConfig(experts=experts, top_k=top_k, layers=layers, hidden=12, expert_hidden=6)
    made = VectorMoE(
        config, InputSpec("vector", (4,), 3, None), Residency(held=tuple(range(experts)))
    )
    made.load_state_dict(initialise(made, 1, dict(made.named_parameters())))
    return made


def rows(*shape):
    return torch.tensor(stream(0, *shape).standard_normal((*shape, 4)), dtype=torch.float32)


def counted(made, tokens):
    """Count selections (tokens, layers) one token at a time, from the gates' own weights."""
    counts = np.zeros(len(made.moe[0].gate.weight))
    with torch.no_grad():
        for token in tokens:
            hidden = torch.nn.functional.gelu(made.embed(token))
            for norm, layer in zip(made.norms, made.moe, strict=True):
                scores = (layer.gate.weight @ norm(hidden)).numpy()
                counts[np.argsort(-scores)[: layer.gate.k]] += 1
                hidden = hidden + layer(norm(hidden)[None])[0]
    return counts / (len(tokens) * len(made.moe))


@pytest.mark.parametrize("top_k", [1, 2, 5])
def test_relevance_is_the_share_of_token_layer_pairs_and_sums_to_k(top_k):
    made = model(top_k=top_k)
    x = rows(40)
    relevance = expert_relevance(made, [x])
    np.testing.assert_allclose(relevance, counted(made, x), rtol=1e-12)
    assert relevance.sum() == pytest.approx(top_k)
    assert relevance.dtype == np.float64


def test_padding_is_not_counted():
    made = model()
    x = rows(6, 7)
    keep = torch.tensor(stream(0, "keep").random((6, 7)) < 0.6)
    relevance = expert_relevance(made, [(x, keep)])
    np.testing.assert_allclose(relevance, counted(made, x[keep]), rtol=1e-12)
    assert relevance.sum() == pytest.approx(2)
    assert not np.allclose(relevance, counted(made, x.reshape(-1, 4)))


def test_batches_weigh_by_their_tokens():
    made = model()
    x = rows(30)
    whole = expert_relevance(made, [x])
    np.testing.assert_allclose(expert_relevance(made, [x[:3], x[3:]]), whole, rtol=1e-12)
    np.testing.assert_allclose(expert_relevance(made, iter([x])), whole, rtol=1e-12)
    tokens = x.reshape(5, 6, 4)
    np.testing.assert_allclose(expert_relevance(made, [tokens]), whole, rtol=1e-12)


@pytest.mark.parametrize("batches", [[], [(rows(2, 3), torch.zeros(2, 3, dtype=torch.bool))]])
def test_nothing_to_count_is_refused(batches):
    with pytest.raises(ValueError, match="no tokens to count"):
        expert_relevance(model(), batches)


@pytest.mark.parametrize(
    "keep", [torch.ones(2, 3), torch.ones(2, dtype=torch.bool), torch.zeros(2, dtype=torch.int64)]
)
def test_a_mask_of_another_type_or_shape_is_refused(keep):
    with pytest.raises(ValueError, match=r"give bool of the tokens' shape \(2, 3\)"):
        expert_relevance(model(), [(rows(2, 3), keep)])


def test_a_model_without_experts_has_no_relevance():
    with pytest.raises(ValueError, match="Linear has no MoE layer"):
        expert_relevance(torch.nn.Linear(4, 2), [rows(2)])


def test_trial_relevance_has_one_row_a_cluster_in_canonical_order():
    use_one_thread()
    task = build_task(LearningConfig(0, ("a", "b", "c"), (1, 1, 1), ModelConfig(experts=4)))
    server = start_model(task)
    relevance = trial_relevance(task, server)
    whole = task.model(server)
    for row, cluster in zip(relevance, ("a", "b", "c"), strict=True):
        np.testing.assert_allclose(row, counted(whole, task.trial[cluster].x), rtol=1e-12)
