"""Dense Llamas put together: each expert is one of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.kit.tiny_checkpoints import CHOICES, TOKENS, llamas, loaded, merged_config
from tests.kit.training import is_gate, names_of

GATE = {f"model.layers.{layer}.mlp.gate.weight": torch.zeros(3, 32) for layer in range(2)}


def questions(count: int, seed: int = 0) -> Tensor:
    """Questions with two to three options; a question of 3 tokens, options of 1 to 5 tokens."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.full((count, 3, 2, TOKENS), -1)
    x[:, :, 1] = 0
    for sample in range(count):
        asked = torch.randint(0, 61, (3,), generator=rng)
        for option in range(2 + sample % 2):
            length = int(torch.randint(1, 6, (), generator=rng))
            x[sample, option, 0, :3] = asked
            x[sample, option, 0, 3 : 3 + length] = torch.randint(0, 61, (length,), generator=rng)
            x[sample, option, 1, 3 : 3 + length] = 1
    return x


def by_hand(theirs: torch.nn.Module, x: Tensor) -> Tensor:
    """Mean log-likelihood of each option's tokens, one option at a time and without padding."""
    scores = torch.full(x.shape[:2], -torch.inf)
    for sample, options in enumerate(x):
        for number, (row, scored) in enumerate(options):
            tokens = row[row >= 0]
            if not len(tokens):
                continue
            share = theirs(input_ids=tokens[None]).logits[0].log_softmax(-1)
            own = [share[p - 1, tokens[p]] for p in range(len(tokens)) if scored[p] == 1]
            scores[sample, number] = torch.stack(own).mean()
    return scores


@pytest.mark.parametrize("expert", [0, 1, 2])
@pytest.mark.parametrize("tied", [False, True])
def test_masked_to_one_expert_it_is_that_dense_model(
    tmp_path: Path, expert: int, tied: bool
) -> None:
    models = llamas(tmp_path, tie_word_embeddings=tied)
    ours = loaded(merged_config(tmp_path), CHOICES, (expert,), **GATE)
    x = questions(8)
    with torch.no_grad():
        got = ours(x)
        torch.testing.assert_close(got, by_hand(models[expert], x), rtol=0, atol=1e-5)
        apart = (by_hand(models[(expert + 1) % 3], x) - got).nan_to_num(0).abs()
    assert apart.max() > 0.1  # the dense models do differ


def test_a_gate_that_prefers_an_expert_routes_to_that_dense_model(tmp_path: Path) -> None:
    """Top-1 over all three experts: a chosen one counts in full, as Mixtral normalises."""
    models = llamas(tmp_path)
    ours = loaded(merged_config(tmp_path), CHOICES, **GATE)
    x = questions(4)
    with torch.no_grad():  # equal logits: the first expert is chosen everywhere
        torch.testing.assert_close(ours(x), by_hand(models[0], x), rtol=0, atol=1e-5)


def test_llama_3_frequencies_are_scaled_as_hugging_face_does(tmp_path: Path) -> None:
    rope = {
        "rope_type": "llama3",
        "rope_theta": 500_000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 4,
    }
    models = llamas(tmp_path, rope_parameters=rope)
    ours = loaded(merged_config(tmp_path), CHOICES, (1,), **GATE)
    x = questions(4)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), by_hand(models[1], x), rtol=0, atol=1e-5)


def test_with_top_1_a_gradient_flows_to_every_gate(tmp_path: Path) -> None:
    llamas(tmp_path)
    torch.manual_seed(0)
    gates = {name: torch.randn(3, 32) for name in GATE}
    ours = loaded(merged_config(tmp_path), CHOICES, **gates)
    loss = functional.cross_entropy(ours(questions(6)), torch.tensor([0, 1, 0, 1, 0, 2]))
    loss.backward()
    names = names_of(ours)
    gradients = {names.stored(path): p.grad for path, p in ours.named_parameters()}
    for name, gradient in gradients.items():
        if is_gate(name):
            assert gradient is not None and gradient.abs().max() > 1e-6, name
    known = [gradient for gradient in gradients.values() if gradient is not None]
    assert all(gradient.isfinite().all() for gradient in known)
