"""Scores of options, by properties that hold whatever the weights are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.kit.learning import ModelConfig
from tests.kit.tiny_checkpoints import CHOICES, TOKENS, skeleton
from tests.kit.training import MixtralMoE, attention_mask


@pytest.fixture(scope="module")
def model() -> MixtralMoE:
    config = ModelConfig(kind="mixtral", hidden=16, expert_hidden=8, kv_heads=2, vocabulary=61)
    made = skeleton(config, CHOICES)
    torch.manual_seed(0)
    values = {name: 0.5 * torch.randn(p.shape) for name, p in made.named_parameters()}
    made.load_state_dict(values, assign=True)
    return made


def option(tokens: list[int], scored: list[int]) -> Tensor:
    x = torch.full((2, TOKENS), -1)
    x[0, : len(tokens)] = torch.tensor(tokens)
    x[1] = 0
    x[1, scored] = 1
    return x


ABSENT = option([], [])


def scores(model: MixtralMoE, *options: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(torch.stack(options)[None])[0]
    return found


def test_a_score_is_the_mean_over_its_tokens(model: MixtralMoE) -> None:
    first, second, both = scores(
        model,
        option([5, 6, 7, 8], [2]),
        option([5, 6, 7, 8], [3]),
        option([5, 6, 7, 8], [2, 3]),
    )
    torch.testing.assert_close((first + second) / 2, both)


def test_probabilities_of_all_next_tokens_sum_to_one(model: MixtralMoE) -> None:
    every = [option([5, 6, token], [2]) for token in range(61)]
    torch.testing.assert_close(scores(model, *every).exp().sum(), torch.tensor(1.0))


def test_an_option_that_does_not_exist_is_never_chosen_and_gives_no_gradient(
    model: MixtralMoE,
) -> None:
    given = option([5, 6, 7], [2]), option([5, 6, 9, 3], [2, 3])
    x = torch.stack([*given, ABSENT])[None]
    with_it = functional.cross_entropy(model(x), torch.tensor([1]))
    without = functional.cross_entropy(model(x[:, :2]), torch.tensor([1]))
    assert scores(model, *given, ABSENT)[2] == -torch.inf
    torch.testing.assert_close(with_it, without)
    parameters = [p for p in model.parameters() if p.requires_grad]
    pairs = zip(
        torch.autograd.grad(with_it, parameters),
        torch.autograd.grad(without, parameters),
        strict=True,
    )
    for one, other in pairs:
        assert one.isfinite().all()
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_the_first_token_has_no_probability_and_is_left_out(model: MixtralMoE) -> None:
    first_too, second_only = scores(model, option([5, 6], [0, 1]), option([5, 6], [1]))
    assert first_too == second_only


def test_a_place_looks_back_on_real_tokens_and_on_itself() -> None:
    real = torch.tensor([[True, True, False, True]])
    looks = attention_mask(real)[0, 0].long().tolist()
    assert looks == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 1]]
    near = attention_mask(real, window=2)[0, 0].long().tolist()
    assert near == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]]
