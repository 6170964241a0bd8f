"""Gradients by a tape are those of autograd, to the last bit."""

from __future__ import annotations

from dataclasses import replace

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from learning import ModelConfig
from learning.models import Residency
from tests.kit.learning import InputSpec
from tests.kit.training import VectorMLP, VectorMoE, cross_entropy, gradients_of, with_tensors

SPEC = InputSpec("vector", (6,), classes=3)


def _is_of(path: str, part: str) -> bool:
    return any(piece == part for piece in path.split("."))


def _stacked(
    model: nn.Module, devices: int, trained: list[str], own: list[str]
) -> dict[str, Tensor]:
    """Return random tensors of a model: those of the parts named are stacked by device."""
    made = {}
    for path, tensor in model.named_parameters():
        each = any(_is_of(path, part) for part in [*trained, *own])
        made[path] = torch.randn(*([devices] if each else []), *tensor.shape)
    return made


def _equal(model: nn.Module, devices: int, trained: list[str], own: list[str], rows: int) -> None:
    tensors = _stacked(model, devices, trained, own)
    batch = torch.randn(devices, rows, 6), torch.randint(3, (devices, rows))
    leaves = {p: t for p, t in tensors.items() if any(_is_of(p, part) for part in trained)}
    frozen = {path: tensor for path, tensor in tensors.items() if path not in leaves}

    def loss(given: dict[str, Tensor]):  # type: ignore[no-untyped-def]
        run = with_tensors(model, given)
        return lambda x, y: cross_entropy(run(x), y)

    free = {path: leaf.clone().requires_grad_() for path, leaf in leaves.items()}
    value = loss({**frozen, **free})(*batch)
    wanted = list(free.values())
    by_autograd = torch.autograd.grad(value, wanted, allow_unused=True, materialize_grads=True)
    expected = dict(zip(free, by_autograd, strict=True))
    found = gradients_of(lambda: loss({**frozen, **leaves})(*batch), leaves)
    assert found.keys() == expected.keys() == leaves.keys() != set()
    for path, gradient in expected.items():
        assert torch.equal(found[path], gradient), path


@given(
    seed=st.integers(0, 2**31),
    devices=st.integers(1, 6),
    rows=st.integers(1, 9),
    layers=st.integers(1, 3),
    held=st.sets(st.integers(0, 4), min_size=1),
    top_k=st.integers(1, 3),
    rank=st.sampled_from([None, 2]),
    reach=st.booleans(),
    masked=st.sampled_from([-torch.inf, 0.0]),
    trained=st.sets(st.sampled_from(["a", "gate", "up", "norms", "embed", "head"]), min_size=1),
    own=st.sets(st.sampled_from(["0", "down", "norm"])),
)
def test_a_mixture_has_the_gradients_of_autograd(
    seed: int, devices: int, rows: int, layers: int, held: set[int], top_k: int,
    rank: int | None, reach: bool, masked: float, trained: set[str], own: set[str],
) -> None:  # fmt: skip
    torch.manual_seed(seed)
    config = ModelConfig(
        kind="vector-moe", experts=5, top_k=top_k, hidden=16, expert_hidden=8, layers=layers,
        lora=replace(ModelConfig().lora, rank=rank),
    )  # fmt: skip
    tuned = tuple(held) if rank is not None else ()
    here = Residency(tuple(sorted(held)), tuned, dense=True, masked=masked, own_reach=reach)
    model = VectorMoE(config, SPEC, here)
    # Factors are those of each device, as everywhere.
    names = [*trained - {"a"}, *(["a", "b"] if rank is not None else ["up"])]
    _equal(model, devices, names, [*own, *(["a", "b"] if rank is not None else [])], rows)


@given(
    seed=st.integers(0, 2**31),
    devices=st.integers(1, 6),
    rows=st.integers(1, 9),
    layers=st.integers(1, 3),
    hidden=st.sampled_from([5, 16]),
)
def test_a_plain_model_has_the_gradients_of_autograd(
    seed: int, devices: int, rows: int, layers: int, hidden: int
) -> None:
    torch.manual_seed(seed)
    config = ModelConfig(kind="vector-mlp", hidden=hidden, layers=layers)
    model = VectorMLP(config, SPEC, Residency(()))
    _equal(model, devices, ["layers", "head"], [], rows)
